//! The demonstration, measured.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::run::{Home, Running, Stopwatch};

#[test]
fn the_demo_measures_equal_links_and_says_so_in_one_object() {
    let home = Home::new();
    let picture = home.path("demo.svg");
    let outcome = home.run(&["demo", "--json", "--seconds", "5", "--svg", picture.to_str().unwrap()]).ok();
    let json: Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(json["seconds"], 5);
    assert_eq!(json["mode"], "a");
    assert_eq!(json["datagram_lengths"], serde_json::json!([1200]));
    assert_eq!(json["datagrams_per_link"].as_array().unwrap().len(), 3);
    assert_eq!(json["handshake_ms"].as_array().unwrap().len(), 3);
    assert_eq!(json["messages_sent"], json["messages_delivered"]);
    assert!(json["bytes_delivered"].as_u64().unwrap() > 200 * 1024);
    assert!(json["slot_lateness_us"]["p50"].is_u64() && json["slot_lateness_us"]["p99"].is_u64());
    let picture = fs::read_to_string(picture).unwrap();
    assert!(picture.starts_with("<svg ") && picture.contains("prefers-color-scheme:dark"));
}

#[test]
fn the_demo_in_mode_b_tells_it_line_by_line_where_there_is_no_terminal() {
    let outcome = Home::new().run(&["demo", "--mode", "b", "--seconds", "4"]).ok();
    assert!(outcome.out.contains("mode B"), "{outcome:#?}");
    assert!(!outcome.out.contains('\x1b'), "no control sequences: {outcome:#?}");
    assert!(outcome.out.lines().filter(|line| line.contains("bytes on their way")).count() >= 4, "{outcome:#?}");
    assert_eq!(outcome.out.lines().filter(|line| line.contains("holds")).count(), 5, "{outcome:#?}");
}

#[test]
fn a_picture_that_cannot_be_written_is_noticed_before_anybody_watches() {
    let start = Stopwatch::start();
    let home = Home::new();
    home.run(&["demo", "--seconds", "60", "--svg", "/no/such/place.svg"])
        .fails(1, &["/no/such/place.svg", "check the path"]);
    assert!(start.elapsed() < Duration::from_secs(50));
}

#[test]
fn a_demo_that_is_interrupted_has_not_failed() {
    let running = Running::start(Home::new().command(&["demo", "--seconds", "60"]));
    while !running.next_out().contains("bytes on their way") {}
    running.signal(Signal::INT);
    let outcome = running.outcome();
    outcome.fails(13, &["interrupted before there was a verdict"]);
    assert!(!outcome.err.contains("failed"), "{outcome:#?}");
}
