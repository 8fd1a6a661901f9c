//! The report, as Markdown.

use crate::callgrind::Instructions;
use crate::measure::Case;
use crate::memory::Memory;

/// All that was measured.
struct Results<'r> {
    cases: &'r [Case],
    instructions: Option<&'r Instructions>,
}

/// What one case, or several one after the other, cost.
#[derive(Clone, Copy)]
struct Cost {
    nanoseconds: f64,
    instructions: Option<f64>,
}

impl Results<'_> {
    /// The sum of the named cases.
    fn sum(&self, names: &[&str]) -> Cost {
        let nanoseconds = names.iter().map(|name| {
            let case = self.cases.iter().find(|case| case.name == *name);
            case.map_or(f64::NAN, Case::median)
        });
        let instructions = self.instructions.and_then(|counted| {
            names.iter().map(|name| counted.get(*name).map(|&count| count as f64)).sum::<Option<f64>>()
        });
        Cost { nanoseconds: nanoseconds.sum(), instructions }
    }
}

/// Prints it all.
pub(crate) fn print(cases: &[Case], instructions: Option<&Instructions>, memory: &Memory) {
    let results = Results { cases, instructions };
    against_primitives(&results);
    strangers(&results);
    slots(&results);
    sizes(memory);
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

fn against_primitives(results: &Results<'_>) {
    let columns = ["", "time", "bare", "ratio", "target", "instructions", "bare", "ratio"];
    heading("Against the bare primitives", &columns);
    let rows: [(_, &[_], &[_], _); 6] = [
        ("handshake, mode A", &["handshake A"], &["handshake A bare"], "1.15"),
        ("handshake, mode B", &["handshake B"], &["handshake B bare"], "1.15"),
        ("cell sealed", &["slot 1"], &["seal bare"], "1.3"),
        ("cell opened", &["open"], &["open bare"], "1.3"),
        ("cell sealed and opened", &["slot 1", "open"], &["seal bare", "open bare"], "1.3"),
        ("message and its acknowledgement", &["message"], &["seal bare", "open bare", "seal bare", "open bare"], "-"),
    ];
    for (what, ours, bare, target) in rows {
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

fn strangers(results: &Results<'_>) {
    heading("What a server pays", &["", "time", "served A", "served B", "instructions", "served A"]);
    let served_a = results.sum(&["hello", "init A", "finish A"]);
    let served_b = results.sum(&["hello", "init B", "finish B"]);
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
        ("whole handshake served: mode A", &["hello", "init A", "finish A"]),
        ("whole handshake served: mode B", &["hello", "init B", "finish B"]),
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

fn slots(results: &Results<'_>) {
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

/// A whole number with its thousands apart.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
