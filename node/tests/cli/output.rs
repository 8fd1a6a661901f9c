//! What was confirmed is written out, however slow its reader is, or its loss is told.

use std::io::{BufRead as _, BufReader, Lines, PipeReader, pipe};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::run::{Home, RATE, Running, Stopwatch};

/// Messages: more than fit into the pipe, so that most of them wait in the process.
const COUNT: usize = 800;
/// Longer than anybody waits for a reader who is merely slow.
const SLOW: Duration = Duration::from_secs(3);

/// A server whose output nobody has begun to read, its address, and all messages confirmed by it.
fn confirmed() -> (Running, String, Lines<BufReader<PipeReader>>) {
    let (receiver, sender) = (Home::with_key(), Home::with_key());
    let (reader, writer) = pipe().unwrap();
    let args = ["serve", "--listen", "127.0.0.1:0", "--json", "--rate", RATE, "--sessions", "2"];
    let mut command = receiver.command(&args);
    command.stdout(writer);
    let server = Running::start(command);
    let mut out = BufReader::new(reader).lines();
    let listening: Value = serde_json::from_str(&out.next().unwrap().unwrap()).unwrap();
    let uri = listening["uris"][0].as_str().unwrap().to_owned();
    let lines: Vec<_> = (0..COUNT).map(|n| format!("line {n} {}\n", "x".repeat(100))).collect();
    sender.run_with(&["send", "--rate", RATE, &uri, "-"], lines.concat().as_bytes()).ok();
    (server, uri, out)
}

fn messages(out: Lines<BufReader<PipeReader>>) -> usize {
    let events = out.map(|line| serde_json::from_str::<Value>(&line.unwrap()));
    let texts = events.filter_map(|event| event.ok()?["text"].as_str().map(str::to_owned));
    let mut count = 0;
    for text in texts {
        assert!(text.starts_with(&format!("line {count} ")), "{text}");
        count += 1;
    }
    count
}

#[test]
fn a_node_asked_to_stop_prints_all_that_it_has_confirmed() {
    let (server, _, out) = confirmed();
    server.signal(Signal::TERM);
    sleep(SLOW);
    server.err_with("wait for the reader of standard output");
    assert_eq!(messages(out), COUNT);
    server.outcome().ok();
}

#[test]
fn a_node_asked_twice_tells_what_it_has_not_printed() {
    let (server, _, out) = confirmed();
    server.signal(Signal::TERM);
    server.err_with("wait for the reader of standard output");
    server.signal(Signal::TERM);
    let outcome = server.outcome();
    let written = messages(out);
    assert!(written < COUNT);
    let said = format!("{} confirmed messages were not written to standard output", COUNT - written);
    outcome.fails(10, &[&said, "interrupted"]);
}

#[test]
fn a_node_that_cannot_print_tells_its_peers_and_what_is_lost() {
    let (server, uri, out) = confirmed();
    let other = Home::new();
    let chat = Running::start(other.command_with_stdin(&["chat", "--rate", RATE, &uri]));
    chat.err_with("talking with");
    drop(out);
    let start = Stopwatch::start();
    chat.err_with("closed by the peer");
    chat.outcome().ok();
    let outcome = server.outcome();
    assert!(start.elapsed() < Duration::from_secs(20), "the peer does not wait for it to fall silent");
    outcome.fails(1, &["confirmed messages were not written to standard output", "Broken pipe"]);
}
