//! The report, as Markdown.

use std::rc::Rc;

use crate::MESSAGES;
use crate::figures::Figures;
use crate::number::thousands;
use crate::peer::Peer;
use crate::v2;

/// Prints it all.
pub(crate) fn print(peers: &[Rc<dyn Peer>], figures: &Figures, noise: f64) {
    let mut names: Vec<_> = peers.iter().map(|peer| peer.name()).collect();
    let others = names.split_off(v2::MODES.len());
    names.extend(v2::WITH_AWS_LC);
    names.extend(others);
    handshakes(&names, figures);
    messages(&names, figures);
    knocks(&names, figures);
    memory(&names, figures);
    loopback(&names, figures);
    println!("### What they do not do\n\n| | made of | what B4AE v2 does and it does not |\n|---|---|---|");
    for peer in peers {
        row(&[peer.name().to_owned(), peer.made_of().to_owned(), peer.lacks().join("; ")]);
    }
    println!("\nHalf the distance between the quartiles of the rounds: at most {:.0} % of the median.", noise * 100.0);
}

fn handshakes(names: &[&str], figures: &Figures) {
    heading("Handshake, both ends", &["", "CPU", "ratio", "datagrams", "bytes"], 1);
    for &name in names {
        let get = |what| figures.get(name, what);
        row(&[
            name.to_owned(),
            time(get("handshake")),
            ratio(figures, name, "handshake"),
            whole(get("handshake, datagrams")),
            whole(get("handshake, bytes")),
        ]);
    }
    println!();
}

fn messages(names: &[&str], figures: &Figures) {
    let mut columns = vec![String::new()];
    for length in MESSAGES {
        let length = if length < 1024 { format!("{length} B") } else { format!("{} KiB", length >> 10) };
        columns.extend([length, "ratio".to_owned(), "bytes sent".to_owned()]);
    }
    heading("A message, sealed and opened", &columns.iter().map(String::as_str).collect::<Vec<_>>(), 1);
    for &name in names {
        let mut cells = vec![name.to_owned()];
        for length in MESSAGES {
            let what = format!("message {length}");
            cells.extend([time(figures.get(name, &what)), ratio(figures, name, &what)]);
            cells.push(whole(figures.get(name, &format!("{what}, bytes"))));
        }
        if figures.get(name, "message 64").is_some() {
            row(&cells);
        }
    }
    println!();
}

fn knocks(names: &[&str], figures: &Figures) {
    heading(
        "A stranger's datagram, at the server",
        &["", "what comes: what comes of it", "CPU", "to a handshake's"],
        2,
    );
    for &name in names {
        for (what, cost) in figures.beginning(name, "knock: ") {
            let handshake = figures.get(name, "handshake").map(|both| format!("1 : {:.0}", both / cost));
            row(&[name.to_owned(), what.to_owned(), time(Some(cost)), handshake.unwrap_or_default()]);
        }
    }
    println!();
}

fn memory(names: &[&str], figures: &Figures) {
    heading("An idle session's memory, in bytes", &["", "initiator", "ratio", "responder", "ratio"], 1);
    for &name in names.iter().filter(|name| figures.get(name, "memory, responder").is_some()) {
        let mut cells = vec![name.to_owned()];
        for what in ["memory, initiator", "memory, responder"] {
            cells.extend([whole(figures.get(name, what)), ratio(figures, name, what)]);
        }
        row(&cells);
    }
    println!();
}

fn loopback(names: &[&str], figures: &Figures) {
    heading("Messages of 16 KiB through UDP on loopback", &["", "MB/s", "ratio", "CPU a MB, both ends", "ratio"], 1);
    for &name in names {
        if let Some(rate) = figures.get(name, "loopback, MB/s") {
            row(&[
                name.to_owned(),
                format!("{rate:.0}"),
                ratio(figures, name, "loopback, MB/s"),
                // Nanoseconds a byte are milliseconds a megabyte.
                figures.get(name, "loopback, CPU").map_or("-".to_owned(), |cost| format!("{cost:.2} ms")),
                ratio(figures, name, "loopback, CPU"),
            ]);
        }
    }
    println!();
}

/// A table's head, with `words` columns of words before those of numbers.
fn heading(title: &str, columns: &[&str], words: usize) {
    println!("### {title}\n\n| {} |", columns.join(" | "));
    println!("{}{}|", "|---".repeat(words), "|--:".repeat(columns.len() - words));
}

fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

/// To B4AE v2 in mode A, in the same run.
fn ratio(figures: &Figures, name: &str, what: &str) -> String {
    let pair = figures.get(name, what).zip(figures.get(v2::BASE, what));
    pair.map_or("-".to_owned(), |(its, ours)| format!("{:.2}", its / ours))
}

fn time(nanoseconds: Option<f64>) -> String {
    nanoseconds.map_or("-".to_owned(), |nanoseconds| match nanoseconds {
        ..10_000.0 => format!("{:.2} µs", nanoseconds / 1e3),
        _ => format!("{:.1} µs", nanoseconds / 1e3),
    })
}

fn whole(number: Option<f64>) -> String {
    number.map_or_else(|| "-".to_owned(), thousands)
}
