//! Markdown.

use std::time::Duration;

/// A table's head, with `words` columns of words before those of numbers.
pub(crate) fn heading(columns: &[&str], words: usize) {
    println!("| {} |", columns.join(" | "));
    println!("|{}{}|", "---|".repeat(words), "--:|".repeat(columns.len() - words).trim_end_matches('|'));
}

/// One row.
pub(crate) fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

/// A duration in microseconds or, above ten thousand of them, milliseconds.
pub(crate) fn micros(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        ..10.0 => format!("{micros:.1} µs"),
        ..10_000.0 => format!("{micros:.0} µs"),
        _ => format!("{:.1} ms", micros / 1e3),
    }
}

/// `part` of `whole`: of one processor, when it is processor time in a time.
pub(crate) fn percent(part: Duration, whole: Duration) -> String {
    format!("{:.1} %", part.as_secs_f64() / whole.as_secs_f64() * 100.0)
}
