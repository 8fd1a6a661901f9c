//! Messages between processes: whole, once, in order, confirmed.

use std::fs;

use data_encoding::BASE64;
use rustix::process::Signal;

use crate::run::{Home, RATE, Running};

#[test]
fn a_message_arrives_in_either_mode_with_its_senders_fingerprint() {
    let (receiver, sender) = (Home::with_key(), Home::with_key());
    let server = receiver.serve(&[]);
    let fingerprint = sender.run(&["id", "--no-qr", "--host", "h"]).ok().out;
    for mode in ["a", "b"] {
        let text = format!("hello in mode {mode}");
        sender.run(&["send", "--rate", RATE, "--mode", mode, &server.uri, &text]).ok();
        let opened = server.next_of("session_opened");
        assert_eq!(opened["mode"], mode);
        assert!(fingerprint.contains(opened["peer"].as_str().unwrap()));
        let message = server.next_of("message");
        assert_eq!(message["text"], text);
        assert_eq!(message["session"], opened["session"]);
        assert_eq!(server.next_of("session_closed")["reason"], "peer");
    }
}

#[test]
fn both_means_b_where_possible_else_a() {
    let (receiver, sender) = (Home::with_key(), Home::with_key());
    for (accepts, agreed) in [("both", "b"), ("a", "a"), ("b", "b")] {
        let server = receiver.serve(&["--mode", accepts]);
        sender.run(&["send", "--rate", RATE, &server.uri, "x"]).ok();
        assert_eq!(server.next_of("session_opened")["mode"], agreed);
    }
}

#[test]
fn a_thousand_lines_arrive_once_and_in_order() {
    let (receiver, sender) = (Home::with_key(), Home::with_key());
    let server = receiver.serve(&[]);
    let lines: Vec<_> = (0..1000).map(|n| format!("line {n}\n")).collect();
    sender.run_with(&["send", "--rate", RATE, &server.uri, "-"], lines.concat().as_bytes()).ok();
    for n in 0..1000 {
        assert_eq!(server.next_of("message")["text"], format!("line {n}"));
    }
    // Nothing was sent twice: the session's end comes next.
    assert_eq!(server.next()["event"], "session_closed");
}

#[test]
fn a_message_of_a_mebibyte_arrives_intact_and_one_byte_more_is_refused() {
    let (receiver, sender) = (Home::with_key(), Home::with_key());
    let server = receiver.serve(&[]);
    let path = sender.path("big");
    let bytes: Vec<u8> = (0..1_u32 << 18).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    fs::write(&path, &bytes).unwrap();
    sender.run(&["send", "--rate", RATE, &server.uri, "--file", path.to_str().unwrap()]).ok();
    let message = server.next_of("message");
    assert_eq!(message["length"], 1 << 20);
    assert!(BASE64.decode(message["base64"].as_str().unwrap().as_bytes()).unwrap() == bytes);
    fs::write(&path, [&bytes[..], b"!"].concat()).unwrap();
    let outcome = sender.run(&["send", "--rate", RATE, &server.uri, "--file", path.to_str().unwrap()]);
    outcome.fails(11, &["longer than a message may be", "1048576", "split"]);
}

#[test]
fn lines_before_one_that_is_too_long_are_delivered() {
    let (receiver, sender) = (Home::with_key(), Home::with_key());
    let server = receiver.serve(&[]);
    let input = [b"short\n".as_slice(), &vec![b'x'; (1 << 20) + 1], b"\n"].concat();
    let outcome = sender.run_with(&["send", "--rate", RATE, &server.uri, "-"], &input);
    outcome.fails(11, &["line 2 of standard input"]);
    assert_eq!(server.next_of("message")["text"], "short");
    let closed = server.next();
    assert_eq!((&closed["event"], &closed["reason"]), (&"session_closed".into(), &"peer".into()));
}

#[test]
fn an_empty_line_is_a_message_too() {
    let (receiver, sender) = (Home::with_key(), Home::with_key());
    let server = receiver.serve(&[]);
    sender.run_with(&["send", "--rate", RATE, &server.uri, "-"], b"\nlast").ok();
    assert_eq!(server.next_of("message")["text"], "");
    assert_eq!(server.next_of("message")["text"], "last");
}

#[test]
fn without_a_key_file_an_identity_for_one_use_is_made_and_named() {
    let (receiver, sender) = (Home::with_key(), Home::new());
    let server = receiver.serve(&[]);
    let outcome = sender.run(&["send", "--rate", RATE, &server.uri, "hello"]).ok();
    let opened = server.next_of("session_opened");
    assert!(outcome.err.contains("made for this one use") && outcome.err.contains(opened["peer"].as_str().unwrap()));
    assert!(!sender.key().exists());
}

#[test]
fn what_a_message_holds_does_nothing_to_the_terminal() {
    let (receiver, sender) = (Home::with_key(), Home::with_key());
    let running =
        Running::start(receiver.command(&["serve", "--listen", "127.0.0.1:0", "--rate", RATE, "--sessions", "4"]));
    assert!(running.next_out().starts_with("listening on 127.0.0.1:"));
    let uri = running.next_out();
    sender.run(&["send", "--rate", RATE, &uri, "\x1b]0;title\x07\r\nforged line"]).ok();
    assert!(running.next_out().contains("opened by"));
    assert!(running.next_out().ends_with(r"\u{1b}]0;title\u{7}\r\nforged line"));
    running.signal(Signal::TERM);
    running.outcome().ok();
}

#[test]
fn peers_that_are_not_listed_are_refused_and_listed_ones_are_not() {
    let (receiver, friend, stranger) = (Home::with_key(), Home::with_key(), Home::with_key());
    let id = friend.run(&["id", "--no-qr", "--host", "h"]).ok().out;
    let fingerprint = id.lines().next().unwrap().split_whitespace().last().unwrap();
    let server = receiver.serve(&["--allow", fingerprint]);
    for mode in ["a", "b"] {
        let args = ["send", "--rate", RATE, "--timeout", "5", "--mode", mode, &server.uri, "let me in"];
        stranger.run(&args).fails(6, &["no answer", "does not allow this identity", "`b4ae id`"]);
    }
    friend.run(&["send", "--rate", RATE, &server.uri, "it is me"]).ok();
    assert_eq!(server.next_of("session_opened")["peer"], fingerprint);
    assert_eq!(server.next_of("message")["text"], "it is me");
}

#[test]
fn a_signal_ends_the_node_gracefully_and_its_peers_are_told() {
    let (receiver, sender) = (Home::with_key(), Home::with_key());
    let server = receiver.serve(&[]);
    let mut chat = Running::start(sender.command_with_stdin(&["chat", "--rate", RATE, &server.uri]));
    chat.say(b"still there?\n");
    assert_eq!(server.next_of("message")["text"], "still there?");
    server.running.signal(Signal::TERM);
    assert_eq!(server.next_of("session_closed")["reason"], "local");
    server.running.outcome().ok();
    assert!(chat.err_with("ended").contains("closed by the peer"));
    chat.outcome().ok();
}

#[test]
fn a_chat_goes_both_ways() {
    let (one, other) = (Home::with_key(), Home::new());
    let mut host = Running::start(one.command_with_stdin(&["chat", "--listen", "127.0.0.1:0", "--rate", RATE]));
    let waiting = host.err_with("waiting for a peer at ");
    let uri = waiting.split_whitespace().last().unwrap();
    let mut guest = Running::start(other.command_with_stdin(&["chat", "--rate", RATE, uri]));
    guest.say(b"knock knock\n");
    assert_eq!(host.next_out(), "knock knock");
    host.say("who is there? \x07ü\n".as_bytes());
    assert_eq!(guest.next_out(), "who is there? \\u{7}ü");
    guest.say(b"bye");
    guest.outcome().ok();
    assert_eq!(host.next_out(), "bye");
    host.outcome().ok();
}

#[test]
fn messages_arrive_at_random_times_and_in_groups() {
    for profile in
        [&["--profile", "poisson", "--rate", "100"][..], &["--profile", "burst", "--period", "1", "--cells", "8"]]
    {
        let (receiver, sender) = (Home::with_key(), Home::with_key());
        let server = receiver.serve_with(&[profile, &["--sessions", "4"]].concat());
        let args = [&["send"], profile, &[&server.uri, "hello"]].concat();
        sender.run(&args).ok();
        assert_eq!(server.next_of("session_opened")["mode"], "b");
        assert_eq!(server.next_of("message")["text"], "hello");
        assert_eq!(server.next_of("session_closed")["reason"], "peer");
    }
}

#[test]
fn a_message_is_bytes_wherever_it_comes_from() {
    use std::os::unix::ffi::OsStrExt as _;
    let (receiver, sender) = (Home::with_key(), Home::with_key());
    let server = receiver.serve(&[]);
    let mut command = sender.command(&["send", "--rate", RATE, &server.uri]);
    command.arg(std::ffi::OsStr::from_bytes(b"\xff\x01"));
    Running::start(command).outcome().ok();
    assert_eq!(server.next_of("message")["base64"], BASE64.encode(b"\xff\x01"));
    sender.run(&["send", "--rate", RATE, &server.uri, "--", "-v"]).ok();
    assert_eq!(server.next_of("message")["text"], "-v");
    for whole in ["two\nlines\n", "-"] {
        sender.run_with(&["send", "--rate", RATE, &server.uri, "--file", "-"], whole.as_bytes()).ok();
        assert_eq!(server.next_of("message")["text"], whole);
    }
    let long = vec![b'x'; (1 << 20) + 1];
    let outcome = sender.run_with(&["send", "--rate", RATE, &server.uri, "--file", "-"], &long);
    outcome.fails(11, &["standard input is longer"]);
}
