//! The report, as Markdown.

use b4ae_core::PROVIDER;

use crate::measure::Case;
use crate::memory::Memory;
use crate::number::thousands;
use crate::results::{Cost, Results};

/// A row: what it is called, the cases it is the sum of, those of the bare primitives, the target of the ratio.
type Row = (&'static str, &'static [&'static str], &'static [&'static str], &'static str);

const AGAINST_PRIMITIVES: [Row; 7] = [
    ("handshake, mode A", &["handshake A"], &["handshake A bare"], "1.15"),
    ("handshake, mode A, 10,000 sessions in the same heap", &["handshake A 10000"], &["handshake A bare"], "-"),
    ("handshake, mode B", &["handshake B"], &["handshake B bare"], "1.15"),
    ("cell sealed", &["slot 1"], &["seal bare"], "1.3"),
    ("cell opened", &["open"], &["open bare"], "1.3"),
    ("cell sealed and opened", &["slot 1", "open"], &["seal bare", "open bare"], "1.3"),
    ("message and its acknowledgement", &["message"], &["seal bare", "open bare", "seal bare", "open bare"], "-"),
];

/// What a server pays in all for a handshake, by mode.
const SERVED: [&[&str]; 2] = [&["hello", "init A", "finish A"], &["hello", "init B", "finish B"]];

/// Prints it all.
pub(crate) fn print(results: &Results, memory: &Memory) {
    against_primitives(results);
    strangers(results);
    slots(results);
    sizes(memory);
}

/// Prints the times of this build beside those of another with the provider `aws-lc`.
pub(crate) fn print_both(ours: &Results, theirs: &Results) {
    let columns = ["", "target", PROVIDER, "bare", "ratio", "aws-lc", "bare", "ratio"];
    heading("Both providers", &columns);
    let both = [ours, theirs];
    for (what, names, bare, target) in AGAINST_PRIMITIVES {
        let mut cells = vec![what.to_owned(), target.to_owned()];
        for (whole, bare) in both.map(|results| (results.sum(names), results.sum(bare))) {
            cells.extend([time(whole), time(bare), format!("{:.2}", whole.nanoseconds / bare.nanoseconds)]);
        }
        row(&cells);
    }
    for (what, names) in [
        ("whole handshake served: mode A", SERVED[0]),
        ("whole handshake served: mode B", SERVED[1]),
        ("Hello, Challenge sent", &["hello"]),
        ("junk", &["junk"]),
    ] {
        let mut cells = vec![what.to_owned(), "-".to_owned()];
        for results in both {
            cells.extend([time(results.sum(names)), "-".to_owned(), "-".to_owned()]);
        }
        row(&cells);
    }
    println!();
}

/// Says how far apart the rounds were.
pub(crate) fn print_noise(cases: &[Case]) {
    let noisiest = cases.iter().map(Case::spread).fold(0.0, f64::max);
    println!("Half the distance between the quartiles of the rounds: at most {:.1} % of the median.", noisiest * 100.0);
}

fn heading(title: &str, columns: &[&str]) {
    println!("### {title}\n\n| {} |", columns.join(" | "));
    println!("|---{}|", "|--:".repeat(columns.len() - 1));
}

fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

fn against_primitives(results: &Results) {
    let columns = ["", "time", "bare", "ratio", "target", "instructions", "bare", "ratio"];
    heading("Against the bare primitives", &columns);
    for (what, ours, bare, target) in AGAINST_PRIMITIVES {
        let (ours, bare) = (results.sum(ours), results.sum(bare));
        row(&[
            what.to_owned(),
            time(ours),
            time(bare),
            format!("{:.2}", ours.nanoseconds / bare.nanoseconds),
            target.to_owned(),
            count(ours),
            count(bare),
            ours.instructions.zip(bare.instructions).map_or("-".to_owned(), |(a, b)| format!("{:.2}", a / b)),
        ]);
    }
    println!();
}

fn strangers(results: &Results) {
    heading("What a server pays", &["", "time", "served A", "served B", "instructions", "served A"]);
    let [served_a, served_b] = SERVED.map(|names| results.sum(names));
    let rows: [(_, &[_]); 11] = [
        ("junk", &["junk"]),
        ("Init fragment with a forged cookie", &["forged"]),
        ("Hello beyond the budget", &["crowded"]),
        ("Hello, Challenge sent", &["hello"]),
        ("Init, Response sent: mode A", &["init A"]),
        ("Init, Response sent: mode B", &["init B"]),
        ("Finish, session open: mode A", &["finish A"]),
        ("Finish, session open: mode A, 10,000 sessions there", &["finish 10000"]),
        ("Finish, session open: mode B", &["finish B"]),
        ("whole handshake served: mode A", SERVED[0]),
        ("whole handshake served: mode B", SERVED[1]),
    ];
    let times = |whole: f64, part: f64| format!("1 : {:.0}", whole / part);
    for (what, names) in rows {
        let cost = results.sum(names);
        let stranger = names.len() == 1 && !names[0].contains(' ');
        let ratio = |text: String| if stranger { text } else { "-".to_owned() };
        let instructions = served_a.instructions.zip(cost.instructions);
        row(&[
            what.to_owned(),
            time(cost),
            ratio(times(served_a.nanoseconds, cost.nanoseconds)),
            ratio(times(served_b.nanoseconds, cost.nanoseconds)),
            count(cost),
            ratio(instructions.map_or("-".to_owned(), |(whole, part)| times(whole, part))),
        ]);
    }
    println!();
}

fn slots(results: &Results) {
    heading("A slot of a server, by its sessions", &["sessions", "time", "against one", "instructions"]);
    let one = results.sum(&["slot 1"]);
    for (sessions, name) in [("1", "slot 1"), ("100", "slot 100"), ("10,000", "slot 10000")] {
        let cost = results.sum(&[name]);
        row(&[sessions.to_owned(), time(cost), format!("{:.2}", cost.nanoseconds / one.nanoseconds), count(cost)]);
    }
    println!();
}

fn sizes(memory: &Memory) {
    heading("Memory", &["", "bytes"]);
    for (what, bytes) in [
        ("idle session, responder", memory.responder),
        ("idle session, initiator", memory.initiator),
        ("of which keys of missing cells", memory.reorder_window),
        ("more, once it has sent and received a message", memory.after_a_message),
        ("server without sessions", memory.empty_server),
    ] {
        row(&[what.to_owned(), thousands(bytes)]);
    }
    println!();
}

fn time(cost: Cost) -> String {
    let nanoseconds = cost.nanoseconds;
    if nanoseconds < 10_000.0 {
        format!("{:.2} µs", nanoseconds / 1e3)
    } else {
        format!("{:.1} µs", nanoseconds / 1e3)
    }
}

fn count(cost: Cost) -> String {
    cost.instructions.map_or("-".to_owned(), thousands)
}
