//! How `send` and `chat` end: when asked to, in time, and with what became of every message.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, pipe};
use std::net::UdpSocket;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use crate::run::{Home, RATE, Running, Stopwatch};

/// For a process to take in what it was given.
const MOMENT: Duration = Duration::from_millis(500);

fn listening_chat(home: &Home) -> (Running, String) {
    let host = Running::start(home.command_with_stdin(&["chat", "--listen", "127.0.0.1:0", "--rate", RATE]));
    let waiting = host.err_with("waiting for a peer at ");
    let uri = waiting.split_whitespace().last().unwrap().to_owned();
    (host, uri)
}

#[test]
fn a_chat_asked_to_stop_tells_what_was_not_confirmed_and_stops_at_once_when_asked_twice() {
    let (receiver, sender) = (Home::with_key(), Home::with_key());
    let server = receiver.serve(&[]);
    let mut chat = Running::start(sender.command_with_stdin(&["chat", "--rate", RATE, &server.uri]));
    chat.say(b"one\n");
    assert_eq!(server.next_of("message")["text"], "one");
    sleep(MOMENT);
    server.running.signal(Signal::STOP);
    chat.say(b"two\nthree\n");
    sleep(MOMENT);
    let start = Stopwatch::start();
    chat.signal(Signal::INT);
    sleep(MOMENT);
    chat.signal(Signal::INT);
    let outcome = chat.outcome();
    assert!(start.elapsed() < Duration::from_secs(5), "it takes ten to give a peer up");
    server.running.signal(Signal::CONT);
    outcome.fails(10, &["1 of 3 messages", "were confirmed, then: interrupted", "may or may not have arrived"]);
}

#[test]
fn a_chat_asked_to_stop_prints_all_that_it_has_confirmed() {
    const COUNT: usize = 1000;
    let (one, other) = (Home::with_key(), Home::new());
    let (reader, writer) = pipe().unwrap();
    let mut command = one.command_with_stdin(&["chat", "--listen", "127.0.0.1:0", "--rate", RATE]);
    command.stdout(writer);
    let host = Running::start(command);
    let waiting = host.err_with("waiting for a peer at ");
    let uri = waiting.split_whitespace().last().unwrap();
    let mut guest = Running::start(other.command_with_stdin(&["chat", "--rate", RATE, uri]));
    let lines: Vec<_> = (0..COUNT).map(|n| format!("line {n} {}\n", "x".repeat(100))).collect();
    guest.say(lines.concat().as_bytes());
    // Most of them fit into the pipe and the host's queues.
    sleep(Duration::from_secs(4));
    host.signal(Signal::TERM);
    let outcome = guest.outcome();
    let confirmed = if outcome.code == 0 {
        COUNT
    } else {
        let said = outcome.err.lines().find(|line| line.contains("messages to")).unwrap();
        said.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    host.err_with("wait for the reader of standard output");
    let printed: Vec<_> = BufReader::new(reader).lines().map(Result::unwrap).collect();
    assert!(printed.iter().zip(&lines).all(|(printed, line)| *printed == line.trim_end()));
    assert!((confirmed..=COUNT).contains(&printed.len()), "{confirmed} confirmed, {} printed", printed.len());
    assert!(confirmed > COUNT / 2, "{confirmed}");
    host.outcome().ok();
}

#[test]
fn interrupted_before_there_is_a_session_nothing_was_sent() {
    let home = Home::with_key();
    let id = home.run(&["id", "--no-qr", "--host", "127.0.0.1"]).ok().out;
    let (_, fingerprint) = id.trim().rsplit_once('#').unwrap();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let place = silent.local_addr().unwrap();
    let uri = format!("b4ae://{place}#{fingerprint}");
    for args in [&["send", &uri, "hello"][..], &["chat", &uri]] {
        let running = Running::start(home.command(args));
        // It has been heard of, and so watches for signals.
        silent.recv(&mut [0; 1500]).unwrap();
        running.signal(Signal::INT);
        running.outcome().fails(10, &[&format!("interrupted before {place} answered"), "nothing was sent"]);
    }
}

#[test]
fn what_the_peer_says_to_somebody_who_sends_is_counted() {
    let (one, other) = (Home::with_key(), Home::new());
    let (mut host, uri) = listening_chat(&one);
    let mut sending = Running::start(other.command_with_stdin(&["send", "--rate", RATE, &uri, "-"]));
    sending.say(b"anybody there?\n");
    assert_eq!(host.next_out(), "anybody there?");
    host.say(b"yes\nwho is it?\n");
    sleep(MOMENT * 2);
    let outcome = sending.outcome().ok();
    assert_eq!(outcome.out, "");
    assert!(outcome.err.contains("2 messages from the peer were not shown"), "{outcome:#?}");
    host.outcome().ok();
}

#[test]
fn an_input_without_lines_is_remarked_on() {
    let (receiver, sender) = (Home::with_key(), Home::with_key());
    let server = receiver.serve(&[]);
    let outcome = sender.run(&["send", "--rate", RATE, &server.uri, "-"]).ok();
    assert!(outcome.err.contains("nothing was sent"), "{outcome:#?}");
}

#[test]
fn a_time_limit_holds_for_the_goodbye_too() {
    let (receiver, sender) = (Home::with_key(), Home::with_key());
    let server = receiver.serve(&[]);
    let start = Stopwatch::start();
    let mut sending =
        Running::start(sender.command_with_stdin(&["send", "--rate", RATE, "--timeout", "6", &server.uri, "-"]));
    sending.say(b"one\n");
    server.next_of("message");
    sleep(MOMENT);
    server.running.signal(Signal::STOP);
    sleep(Duration::from_millis(5700).saturating_sub(start.elapsed()));
    sending.outcome().ok();
    let took = start.elapsed();
    server.running.signal(Signal::CONT);
    assert!(took < Duration::from_millis(7300), "{took:?}: two seconds of goodbye on top would be 7.7");
}

#[test]
fn a_terminal_that_hangs_up_ends_it_as_any_other_signal_does() {
    let (receiver, sender) = (Home::with_key(), Home::with_key());
    let server = receiver.serve(&[]);
    let mut chat = Running::start(sender.command_with_stdin(&["chat", "--rate", RATE, &server.uri]));
    chat.say(b"here\n");
    server.next_of("message");
    sleep(MOMENT);
    chat.signal(Signal::HUP);
    assert_eq!(server.next()["reason"], "peer");
    chat.outcome().ok();
    server.running.signal(Signal::HUP);
    server.running.outcome().ok();
}

#[test]
fn under_nohup_a_terminal_may_hang_up() {
    let (receiver, sender) = (Home::with_key(), Home::with_key());
    let plain = receiver.command(&["serve", "--listen", "127.0.0.1:0", "--rate", RATE]);
    let mut command = receiver.command(&[]);
    let envs: Vec<_> =
        command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
    command = Command::new("nohup");
    command.arg(plain.get_program()).args(plain.get_args()).env_clear().envs(envs);
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let server = Running::start(command);
    assert!(server.next_out().contains("listening"));
    let uri = server.next_out();
    server.signal(Signal::HUP);
    sender.run(&["send", "--rate", RATE, &uri, "still there?"]).ok();
    server.signal(Signal::TERM);
    assert!(server.outcome().ok().out.contains("still there?"));
}

#[test]
fn whoever_cannot_be_told_anything_is_served_all_the_same() {
    let (receiver, sender) = (Home::new(), Home::new());
    let deaf = |home: &Home, args: &[&str]| {
        let mut command = home.command(args);
        command.stderr(OpenOptions::new().write(true).open("/dev/full").unwrap());
        Running::start(command)
    };
    deaf(&receiver, &["keygen"]).outcome().ok();
    deaf(&receiver, &["id"]).outcome().ok();
    let server = deaf(&receiver, &["serve", "--listen", "127.0.0.1:0", "--rate", RATE, "--sessions", "4"]);
    assert!(server.next_out().contains("listening"));
    let uri = server.next_out();
    deaf(&sender, &["send", "--rate", RATE, &uri, "hello"]).outcome().ok();
    deaf(&sender, &["chat", "--rate", RATE, &uri]).outcome().ok();
    server.signal(Signal::TERM);
    server.outcome().ok();
}

#[test]
fn a_node_that_stops_at_once_has_counted_everything() {
    let (receiver, sender) = (Home::with_key(), Home::with_key());
    let server = receiver.serve(&[]);
    sender.run(&["send", "--rate", RATE, &server.uri, "the last"]).ok();
    server.running.signal(Signal::TERM);
    let stopped = server.next_of("stopped");
    assert_eq!((&stopped["handshakes_completed"], &stopped["handshakes_failed"]), (&1.into(), &0.into()));
    server.running.outcome().ok();
}
