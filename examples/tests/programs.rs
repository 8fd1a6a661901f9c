//! Runs the example programs as their README describes them.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// A program that runs beside the test, and is stopped with it.
struct Running {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

/// A line that takes longer will not come.
const PATIENCE: Duration = Duration::from_secs(120);

impl Running {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{program}: {e}"));
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, input, lines }
    }

    /// The next line it prints.
    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("it prints another line")
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().expect("its input is open"), "{line}").expect("it listens");
    }

    /// Ends its input, waits for its end, and tells what else it printed.
    fn finish(mut self) -> Vec<String> {
        self.input = None;
        let rest = self.lines.iter().collect();
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}");
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const ECHO: &str = env!("CARGO_BIN_EXE_echo");
const EVENT_LOOP: &str = env!("CARGO_BIN_EXE_event-loop");
const CHAT: &str = env!("CARGO_BIN_EXE_chat");
const FILE: &str = env!("CARGO_BIN_EXE_file");
const SIMULATE: &str = env!("CARGO_BIN_EXE_simulate");
const EMBEDDED: &str = env!("CARGO_BIN_EXE_embedded");

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"))
}

fn succeeds(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", output.status, text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn echo_and_event_loop_answer_each_other() {
    for service in [ECHO, EVENT_LOOP] {
        let serving = Running::start(service, &["serve"]);
        let uri = serving.line();
        for caller in [ECHO, EVENT_LOOP] {
            let output = succeeds(&run(caller, &["call", &uri, "good morning", "good night"]));
            let lines: Vec<_> = output.lines().collect();
            assert!(lines.len() == 2 && lines[0].starts_with("good morning") && lines[1].starts_with("good night"));
        }
    }
}

#[test]
fn a_caller_whom_nobody_answers_says_so() {
    let gone = Running::start(ECHO, &["serve"]);
    let uri = gone.line();
    drop(gone);
    for caller in [ECHO, EVENT_LOOP] {
        let output = run(caller, &["call", &uri, "hello"]);
        assert!(!output.status.success());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("answer"), "{error}");
    }
}

#[test]
fn chat_goes_both_ways_until_one_side_leaves() {
    let mut listening = Running::start(CHAT, &["listen"]);
    let uri = listening.line();
    let mut calling = Running::start(CHAT, &["call", &uri]);
    for n in 0..3 {
        calling.say(&format!("question {n}"));
        assert_eq!(listening.line(), format!("question {n}"));
        listening.say(&format!("answer {n}"));
        assert_eq!(calling.line(), format!("answer {n}"));
    }
    calling.say("good bye");
    assert_eq!(calling.finish(), Vec::<String>::new());
    assert_eq!(listening.finish(), ["good bye"]);
}

#[test]
fn a_file_arrives_whole_although_both_sides_were_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let (inbox, original) = (folder.path().join("inbox"), folder.path().join("original"));
    let mut content = vec![0; 6 << 20];
    fastrand::Rng::with_seed(1).fill(&mut content);
    fs::write(&original, &content).expect("written");
    let [inbox_text, original_text] = [&inbox, &original].map(|path| path.to_str().expect("UTF-8").to_owned());

    let receive = ["receive", &inbox_text, "--rate", "4000", "--listen", "127.0.0.1:46256"];
    let receiving = Running::start(FILE, &receive);
    let uri = receiving.line();
    let send = ["send", &uri, &original_text, "--rate", "4000"];
    // The receiver is stopped on the way, then the sender too.
    let sending = Running::start(FILE, &send);
    wait_for_part(&inbox, 1 << 20);
    drop(receiving);
    let kept = part(&inbox).expect("what came is kept");
    let receiving = Running::start(FILE, &receive);
    assert_eq!(receiving.line(), uri, "the address is the same after a restart");
    wait_for_part(&inbox, kept + (1 << 20));
    drop(sending);
    let kept = part(&inbox).expect("what came is kept");

    let output = run(FILE, &send);
    assert_eq!(succeeds(&output), format!("original: {} bytes delivered\n", content.len()));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let from = told.lines().find_map(|line| line.strip_prefix("going on at byte ")?.parse::<u64>().ok());
    assert!(from.is_some_and(|from| from >= kept), "began again: {told}");
    assert!(fs::read(inbox.join("original")).expect("there") == content);
    assert_eq!(part(&inbox), None);
}

/// The length of the file that is on its way.
fn part(inbox: &Path) -> Option<u64> {
    let mut files = fs::read_dir(inbox).expect("a folder").filter_map(Result::ok);
    let part = files.find(|file| file.path().extension().is_some_and(|extension| extension == "part"))?;
    Some(part.metadata().ok()?.len())
}

fn wait_for_part(inbox: &Path, len: u64) {
    for _ in 0..6000 {
        if part(inbox).is_some_and(|there| there >= len) {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{len} bytes did not arrive within a minute");
}

#[test]
fn a_sound_shop_passes_the_simulation_and_a_forgetful_one_is_found() {
    let sound = succeeds(&run(SIMULATE, &["--seeds", "20"]));
    assert!(sound.contains("every order was served exactly once"), "{sound}");
    let forgetful = run(SIMULATE, &["--seeds", "100", "--forgetful"]);
    assert!(!forgetful.status.success());
    let error = String::from_utf8_lossy(&forgetful.stderr).into_owned();
    let seed = error.split("--seed ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("it names a seed");
    assert!(!run(SIMULATE, &["--forgetful", "--seed", seed]).status.success(), "seed {seed} finds it again");
}

#[test]
fn a_device_reports_to_an_echo_service_out_of_a_heap_of_settled_size() {
    let serving = Running::start(ECHO, &["serve"]);
    let uri = serving.line();
    let output = succeeds(&run(EMBEDDED, &[&uri, "--readings", "2"]));
    assert!(output.starts_with("2 readings delivered"), "{output}");
}
