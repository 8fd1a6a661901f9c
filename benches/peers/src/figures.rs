//! What was measured, and how it gets from one build of this program to another.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Error, Result};

/// Figures by the peer's name and what they are of.
#[derive(Default)]
pub(crate) struct Figures(BTreeMap<(String, String), f64>);

impl Figures {
    pub(crate) fn set(&mut self, peer: &str, what: &str, figure: f64) {
        self.0.insert((peer.to_owned(), what.to_owned()), figure);
    }

    pub(crate) fn get(&self, peer: &str, what: &str) -> Option<f64> {
        self.0.get(&(peer.to_owned(), what.to_owned())).copied()
    }

    /// What of a peer's figures begin so, without that beginning.
    pub(crate) fn beginning<'a>(&'a self, peer: &'a str, prefix: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        let mine = self.0.iter().filter(move |((name, _), _)| name == peer);
        mine.filter_map(move |((_, what), figure)| Some((what.strip_prefix(prefix)?, *figure)))
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

/// One a line: the figure, the peer, and what it is of.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|((peer, what), figure)| writeln!(f, "{figure}\t{peer}\t{what}"))
    }
}

impl FromStr for Figures {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut figures = Self::default();
        for line in text.lines() {
            let mut words = line.splitn(3, '\t');
            let mut word = || words.next().context("a line has three fields");
            let figure = word()?.parse()?;
            figures.set(word()?, word()?, figure);
        }
        Ok(figures)
    }
}
