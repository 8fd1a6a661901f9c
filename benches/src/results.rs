//! What was measured, and how it gets from one build of this program to another.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Error, Result};

use crate::callgrind::Instructions;
use crate::measure::Case;

/// What one case, or several one after the other, cost.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) nanoseconds: f64,
    pub(crate) instructions: Option<f64>,
}

/// All cases, by name.
pub(crate) struct Results(BTreeMap<String, Cost>);

impl Results {
    /// The medians of the cases, and their instructions where they were counted.
    pub(crate) fn new(cases: &[Case], instructions: Option<&Instructions>) -> Self {
        let cost = |case: &Case| Cost {
            nanoseconds: case.median(),
            instructions: instructions.and_then(|counted| counted.get(case.name.as_str())).map(|&count| count as f64),
        };
        Self(cases.iter().map(|case| (case.name.clone(), cost(case))).collect())
    }

    /// The sum of the named cases.
    pub(crate) fn sum(&self, names: &[&str]) -> Cost {
        let costs = || names.iter().map(|name| self.0.get(*name));
        Cost {
            nanoseconds: costs().map(|cost| cost.map_or(f64::NAN, |cost| cost.nanoseconds)).sum(),
            instructions: costs().map(|cost| cost?.instructions).sum(),
        }
    }
}

/// One case a line: nanoseconds, instructions or `-`, and the name.
impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, Cost { nanoseconds, instructions }) in &self.0 {
            let instructions = instructions.map_or("-".to_owned(), |count| count.to_string());
            writeln!(f, "{nanoseconds} {instructions} {name}")?;
        }
        Ok(())
    }
}

impl FromStr for Results {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut results = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.splitn(3, ' ');
            let mut word = || words.next().context("a line has three fields");
            let nanoseconds = word()?.parse()?;
            let instructions = match word()? {
                "-" => None,
                count => Some(count.parse()?),
            };
            results.insert(word()?.to_owned(), Cost { nanoseconds, instructions });
        }
        Ok(Self(results))
    }
}
