//! The demonstration as text: redrawn in place on a terminal, a line a second elsewhere.

use std::fmt::Write as _;
use std::io;

use b4ae_core::Instant;
use console::{Term, style};

use super::record::{Link, Window};

/// Heights of a bar, from nothing to full.
const BARS: [char; 9] = ['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The height of a bar that is as high as expected, leaving room above for one that is not.
const EXPECTED: f64 = 5.0;

/// Shows the links while time passes.
#[derive(Debug)]
pub(crate) struct View {
    term: Term,
    title: String,
    /// Datagrams per second expected on a link, both ways.
    rate: u32,
    /// The longest message, in bytes: a full bar.
    most: u32,
    drawn: usize,
    second: u64,
}

impl View {
    /// A view on standard output. `rate` is in datagrams per second and link, both ways; `most` the longest message.
    pub(crate) fn new(title: String, rate: u32, most: u32) -> Self {
        Self { term: Term::stdout(), title, rate, most, drawn: 0, second: 0 }
    }

    /// Shows how things stand at `now`.
    pub(crate) fn show(&mut self, links: &[Link], window: Window, now: Instant) -> io::Result<()> {
        if self.term.is_term() { self.redraw(links, window, now) } else { self.log(links, window, now) }
    }

    fn redraw(&mut self, links: &[Link], window: Window, now: Instant) -> io::Result<()> {
        let (_, columns) = self.term.size();
        let width = (u32::from(columns).saturating_sub(24) / 2).clamp(8, 48);
        let past = now.saturating_since(window.start).min(window.length);
        let mut text = format!("{}  {:.1} of {} s\n\n", self.title, past.as_secs_f64(), window.length.as_secs());
        let pad = width as usize;
        let _ = writeln!(text, "         {:pad$}  what the network sees", "what the applications do");
        let _ = writeln!(text, "         {:pad$}  datagrams of {} bytes", "bytes on their way", lengths(links));
        for link in links {
            let series = link.series(window, width, now);
            let apps: String = series.bytes.iter().map(|bytes| log_bar(*bytes, self.most)).collect();
            let expected = f64::from(self.rate) * window.part(0, width).length.as_secs_f64();
            let wire: String = series.datagrams.iter().map(|count| bar(*count, expected)).collect();
            let [up, down] = link.count(window);
            let (apps, wire) = (format!("{apps:pad$}"), format!("{wire:pad$}"));
            let _ =
                writeln!(text, "  {:7}{}  {} {:>6}", link.name, style(apps).yellow(), style(wire).cyan(), up + down);
        }
        self.term.clear_last_lines(self.drawn)?;
        self.drawn = text.lines().count();
        self.term.write_str(&text)
    }

    fn log(&mut self, links: &[Link], window: Window, now: Instant) -> io::Result<()> {
        let second = now.saturating_since(window.start).min(window.length).as_secs();
        if self.drawn == 0 {
            self.drawn = 1;
            return self.term.write_line(&self.title);
        }
        if second == self.second {
            return Ok(());
        }
        self.second = second;
        let seconds = u32::try_from(window.length.as_secs().max(1)).unwrap_or(u32::MAX);
        let mut text = format!("{second:>4} s  bytes on their way:");
        let all: Vec<_> = links.iter().map(|link| (link.name, link.series(window, seconds, now))).collect();
        for (name, series) in &all {
            let _ = write!(text, " {name} {}", series.bytes.last().unwrap_or(&0));
        }
        text.push_str("; datagrams seen:");
        for (name, series) in &all {
            let _ = write!(text, " {name} {}", series.datagrams.last().unwrap_or(&0));
        }
        self.term.write_line(&text)
    }
}

/// The lengths seen, for a heading.
fn lengths(links: &[Link]) -> String {
    let lengths: std::collections::BTreeSet<_> = links.iter().flat_map(Link::lengths).collect();
    let lengths: Vec<_> = lengths.iter().map(ToString::to_string).collect();
    lengths.join(" and ")
}

/// A bar for `count` where `expected` is usual.
fn bar(count: u32, expected: f64) -> char {
    drawn(f64::from(count) / expected.max(1.0) * EXPECTED, count > 0)
}

/// A bar on a logarithmic scale: a line of talk and a file are both to be seen.
fn log_bar(bytes: u32, most: u32) -> char {
    drawn(f64::from(bytes).ln_1p() / f64::from(most).ln_1p() * 8.0, bytes > 0)
}

/// The bar nearest to `height`. Something is never drawn as nothing, nor nothing as something.
fn drawn(height: f64, something: bool) -> char {
    let steps = (0..8).filter(|step| height >= f64::from(*step) + 0.5).count();
    BARS[if something { steps.max(1) } else { 0 }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_and_stay_within_bounds() {
        assert_eq!([0, 1, 50, 100, 150, 1000].map(|count| bar(count, 100.0)), ['·', '▁', '▃', '▅', '█', '█']);
        assert_eq!([0, 1, 100, 204_800, u32::MAX].map(|bytes| log_bar(bytes, 204_800)), ['·', '▁', '▃', '█', '█']);
    }
}
