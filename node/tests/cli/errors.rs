//! Every failure says what happened, to what, and what to do, and has an exit code of its own.

use std::net::UdpSocket;

use rustix::process::Signal;

use crate::run::{Home, RATE, Running};

#[test]
fn an_unknown_flag_is_a_usage_error() {
    Home::new().run(&["serve", "--frobnicate"]).fails(2, &["--frobnicate", "--help"]);
    Home::new().run(&["send"]).fails(2, &["<URI>"]);
    Home::new().run(&["chat"]).fails(2, &["URI", "--listen"]);
    for command in ["serve", "chat"] {
        Home::new().run(&[command, "--listen", "46254"]).fails(2, &["--listen", "0.0.0.0:46254", "[::]:46254"]);
    }
    Home::new().run(&["demo", "--seconds", "0"]).fails(2, &["--seconds"]);
}

#[test]
fn options_that_no_schedule_has_together_are_refused() {
    let home = Home::with_key();
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    for (args, words) in [
        (&["--profile", "burst", "--rate", "10"][..], &["--rate", "--period", "--cells"][..]),
        (&["--period", "30"], &["--period", "--profile burst"]),
        (&["--profile", "poisson", "--cells", "4"], &["--cells", "--profile burst"]),
        // 64 sessions of four cells, 10 ms apart.
        (&["--profile", "burst", "--period", "2"], &["--period must be at least 3 seconds", "--cells", "--sessions"]),
    ] {
        home.run(&[&serve, args].concat()).fails(2, words);
    }
}

#[test]
fn a_malformed_address_is_shown_with_what_is_wrong() {
    let home = Home::new();
    for (uri, wrong) in [
        ("http://host:1#x", "starts with b4ae://"),
        ("b4ae://host:46254", "fingerprint is missing"),
        ("b4ae://host#x", "port"),
        ("b4ae://:1#x", "host is missing"),
        ("b4ae://host:1#short", "56 letters and digits"),
    ] {
        for args in [&["send", uri, "x"][..], &["chat", uri]] {
            home.run(args).fails(3, &[uri, wrong, "b4ae id"]);
        }
    }
}

#[test]
fn one_wrong_letter_in_a_fingerprint_is_noticed_before_anything_is_sent() {
    let home = Home::with_key();
    let id = home.run(&["id", "--no-qr", "--host", "127.0.0.1"]).ok().out;
    let uri = id.split_whitespace().last().unwrap().to_owned();
    let (rest, last) = uri.split_at(uri.len() - 1);
    let other = if last == "a" { "b" } else { "a" };
    home.run(&["send", &format!("{rest}{other}"), "x"]).fails(3, &["checksum"]);
}

#[test]
fn a_silent_peer_and_a_wrong_fingerprint_look_alike_and_both_are_said() {
    let (receiver, stranger) = (Home::with_key(), Home::with_key());
    let server = receiver.serve(&[]);
    let wrong = stranger.run(&["id", "--no-qr", "--host", "127.0.0.1"]).ok().out;
    let (_, fingerprint) = wrong.trim().rsplit_once('#').unwrap();
    let (place, right) = server.uri.rsplit_once('#').unwrap();
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for uri in [format!("{place}#{fingerprint}"), format!("b4ae://{nobody}#{right}")] {
        let outcome = stranger.run(&["send", "--timeout", "2", &uri, "hello"]);
        outcome.fails(6, &["no answer from 127.0.0.1:", "down, unreachable or full", "fingerprint is wrong", "silent"]);
    }
}

#[test]
fn a_host_name_that_does_not_resolve_is_named() {
    let home = Home::with_key();
    let id = home.run(&["id", "--no-qr", "--host", "nowhere.invalid"]).ok().out;
    let uri = id.split_whitespace().last().unwrap();
    home.run(&["send", uri, "x"]).fails(6, &["nowhere.invalid", "name resolution"]);
}

#[test]
fn no_common_mode_is_told_apart() {
    let (receiver, sender) = (Home::with_key(), Home::with_key());
    for (accepts, offers, named) in [("a", "b", "mode B"), ("b", "a", "mode A")] {
        let server = receiver.serve(&["--mode", accepts]);
        let outcome = sender.run(&["send", "--rate", RATE, "--mode", offers, &server.uri, "x"]);
        outcome.fails(7, &["does not accept", named, "--mode"]);
    }
}

#[test]
fn a_port_in_use_is_named() {
    let home = Home::with_key();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let port = taken.local_addr().unwrap().port().to_string();
    home.run(&["serve", "--listen", &address]).fails(9, &[&port, "in use", "another port"]);
    home.run(&["serve", "--listen", "192.0.2.1:0"]).fails(9, &["192.0.2.1", "not an address of this machine"]);
}

#[test]
fn what_is_not_confirmed_in_time_is_counted() {
    let (receiver, sender) = (Home::with_key(), Home::with_key());
    let server = receiver.serve(&[]);
    let args = ["send", "--rate", RATE, "--timeout", "4", &server.uri, "-"];
    let mut sending = Running::start(sender.command_with_stdin(&args));
    sending.say(b"one\n");
    assert_eq!(server.next_of("message")["text"], "one");
    server.running.signal(Signal::STOP);
    sending.say(b"two\n");
    let outcome = sending.outcome();
    server.running.signal(Signal::CONT);
    outcome.fails(10, &["of 2 messages", "gave up after 4 s", "may or may not have arrived"]);
}

#[test]
fn a_rate_beyond_the_session_limits_is_made_to_fit() {
    let home = Home::with_key();
    let args = ["serve", "--listen", "127.0.0.1:0", "--rate", "1", "--sessions", "64", "--json"];
    let running = Running::start(home.command(&args));
    assert!(running.next_out().contains("listening"));
    running.signal(Signal::INT);
    running.outcome().ok();
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let home = Home::with_key();
    let id = home.run(&["id", "--no-qr", "--host", "127.0.0.1"]).ok().out;
    let uri = id.split_whitespace().last().unwrap();
    home.run(&["send", uri, "--file", "/no/such/file"]).fails(1, &["/no/such/file", "No such file"]);
}

#[test]
fn help_tells_the_exit_codes() {
    let help = Home::new().run(&["--help"]).ok();
    assert!(help.out.contains("Exit codes:") && help.out.contains("Examples:"));
    for command in ["keygen", "id", "serve", "send", "chat", "demo"] {
        let help = Home::new().run(&[command, "--help"]).ok();
        assert!(help.out.contains("Examples:"), "{command}");
    }
}
