//! Running the binary: with a home of its own, and never for longer than a test may take.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use b4ae_core::{Clock, Instant};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Far beyond what anything here takes; only a hang meets it.
const PATIENCE: Duration = Duration::from_secs(120);
/// Slots a second in tests.
pub(crate) const RATE: &str = "400";

/// What a finished run left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Outcome {
    /// Asserts success.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    /// Asserts failure with `code` and every one of `words` on standard error.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:#?}");
        for word in words {
            assert!(self.err.contains(word), "{word:?} is missing in {self:#?}");
        }
    }
}

/// A home directory of its own.
#[derive(Debug)]
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// A home with an identity in the default place.
    pub(crate) fn with_key() -> Self {
        let home = Self::new();
        home.run(&["keygen"]).ok();
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Where the key file is by default.
    pub(crate) fn key(&self) -> PathBuf {
        self.path("data/b4ae/identity.key")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_b4ae"));
        command.args(args).env_clear().env("HOME", self.0.path()).env("XDG_DATA_HOME", self.path("data"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        Running::start(self.command(args)).outcome()
    }

    pub(crate) fn run_with(&self, args: &[&str], stdin: &[u8]) -> Outcome {
        let mut running = Running::start(self.command_with_stdin(args));
        running.say(stdin);
        running.outcome()
    }

    pub(crate) fn command_with_stdin(&self, args: &[&str]) -> Command {
        let mut command = self.command(args);
        command.stdin(Stdio::piped());
        command
    }

    /// Listens on a free port, printing JSON.
    pub(crate) fn serve(&self, args: &[&str]) -> Server {
        self.serve_with(&[&["--rate", RATE, "--sessions", "16"], args].concat())
    }

    /// The same, with traffic and sessions of the caller's choice.
    pub(crate) fn serve_with(&self, args: &[&str]) -> Server {
        Server::start(self.command(&[&SERVE, args].concat()))
    }
}

/// Listening on a free port, printing JSON.
pub(crate) const SERVE: [&str; 4] = ["serve", "--listen", "127.0.0.1:0", "--json"];

/// A process under way. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        // What a test has put in place of a pipe, it reads itself.
        let out = child.stdout.take().map_or_else(|| mpsc::channel().1, lines);
        let err = child.stderr.take().map_or_else(|| mpsc::channel().1, lines);
        let stdin = child.stdin.take();
        Self { child, stdin, out, err }
    }

    /// Writes to its standard input. A process that has ended does not mind.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().unwrap();
        let _ = stdin.write_all(bytes).and_then(|()| stdin.flush());
    }

    /// Ends its standard input.
    pub(crate) fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// The next line of its standard output.
    #[track_caller]
    pub(crate) fn next_out(&self) -> String {
        self.out.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("{e}; standard error: {:?}", self.err_so_far()))
    }

    /// The first line of its standard error with `word` in it.
    #[track_caller]
    pub(crate) fn err_with(&self, word: &str) -> String {
        loop {
            let line = self.err.recv_timeout(PATIENCE).unwrap();
            if line.contains(word) {
                return line;
            }
        }
    }

    fn err_so_far(&self) -> Vec<String> {
        self.err.try_iter().collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn outcome(mut self) -> Outcome {
        self.hang_up();
        // Both pipes close when the process ends.
        let text = |lines: &Receiver<String>| {
            let mut text = String::new();
            loop {
                match lines.recv_timeout(PATIENCE) {
                    Ok(line) => text = text + &line + "\n",
                    Err(mpsc::RecvTimeoutError::Disconnected) => return text,
                    Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs, having said: {text}"),
                }
            }
        };
        let (out, err) = (text(&self.out), text(&self.err));
        let status: ExitStatus = self.child.wait().unwrap();
        Outcome { code: status.code().unwrap_or(-1), out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(pipe: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}

/// A listening node.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) uri: String,
}

impl Server {
    /// Waits until the command, which begins as `SERVE`, listens.
    pub(crate) fn start(command: Command) -> Self {
        let running = Running::start(command);
        let listening: Value = serde_json::from_str(&running.next_out()).unwrap();
        assert_eq!(listening["event"], "listening");
        let uri = listening["uris"][0].as_str().unwrap().to_owned();
        Self { running, uri }
    }

    /// The next event.
    #[track_caller]
    pub(crate) fn next(&self) -> Value {
        serde_json::from_str(&self.running.next_out()).unwrap()
    }

    /// The next event of this kind.
    #[track_caller]
    pub(crate) fn next_of(&self, kind: &str) -> Value {
        loop {
            let event = self.next();
            if event["event"] == kind {
                return event;
            }
        }
    }
}

/// How long something takes.
pub(crate) struct Stopwatch(Clock, Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        let clock = Clock::new();
        let now = clock.now();
        Self(clock, now)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.now() - self.1
    }
}

/// Permission bits.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().unwrap().permissions().mode() & 0o7777
}
