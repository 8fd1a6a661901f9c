//! How many instructions each class of input takes: the same number on every machine, however busy.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};

use b4ae_core::constant_time::{self, Race, Rule};

use crate::branches::scratch;
use crate::statistics::Sample;
use crate::{Findings, valgrind};

/// Beyond it, two samples are not of one distribution; dudect's bound (Reparaz, Balasch, Verbauwhede 2017).
const THRESHOLD: f64 = 4.5;

/// How many rounds a race has.
fn rounds(rule: Rule) -> u64 {
    match rule {
        Rule::Equal | Rule::Told => 8,
        Rule::Alike => 200,
    }
}

fn name(race: usize, round: u64, second: bool) -> String {
    format!("race {race} round {round} class {}", u8::from(second))
}

/// Runs this program under callgrind and judges what it counted.
pub(crate) fn run() -> io::Result<ExitCode> {
    let directory = scratch()?;
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", directory.join("counted").display()))
        .arg(std::env::current_exe()?)
        .args(["instructions", "watched"])
        .status()?;
    if !status.success() {
        return Ok(ExitCode::FAILURE);
    }
    let counted = read(&directory)?;
    let mut findings = Findings::default();
    for (index, race) in constant_time::races().enumerate() {
        let classes = [false, true].map(|second| {
            let counts = (0..rounds(race.rule)).map(|round| counted.get(&name(index, round, second)).copied());
            counts.collect::<Option<Vec<u64>>>()
        });
        let [Some(first), Some(second)] = classes else {
            return Err(io::Error::other(format!("{}: callgrind has not counted every round", race.name)));
        };
        judge(&mut findings, race, &first, &second);
    }
    Ok(findings.exit_code())
}

fn judge(findings: &mut Findings, race: &Race, first: &[u64], second: &[u64]) {
    let planted = race.planted && cfg!(b4ae_leaks);
    let samples = [first, second].map(|counts| counts.iter().map(|&count| count as f64).collect::<Sample>());
    let [a, b] = &samples;
    let means = format!("{:.1} and {:.1} instructions", a.mean(), b.mean());
    match race.rule {
        Rule::Equal => {
            let differ = first.iter().zip(second).find(|(first, second)| first != second);
            let detail = differ.map_or(means, |(first, second)| format!("{first} and {second} instructions"));
            findings.note(race.name, first != second, planted, &detail);
        }
        Rule::Alike => {
            let t = a.welch(b);
            findings.note(race.name, t.abs() > THRESHOLD, planted, &format!("{means}, t = {t:.1}"));
        }
        Rule::Told => println!("{:17}  {}: {means}", "told", race.name),
    }
}

/// What was counted, by name.
fn read(directory: &Path) -> io::Result<BTreeMap<String, u64>> {
    let mut counted = BTreeMap::new();
    for file in std::fs::read_dir(directory)? {
        let text = std::fs::read_to_string(file?.path())?;
        let field = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
        let name = field("desc: Trigger: Client Request: ");
        let count = field("totals: ").and_then(|count| count.trim().parse().ok());
        counted.extend(name.map(str::to_owned).zip(count));
    }
    Ok(counted)
}

/// What runs there.
pub(crate) fn watched() -> ExitCode {
    assert!(valgrind::is_watched(), "nobody would count");
    for (index, race) in constant_time::races().enumerate() {
        let mut run = (race.build)();
        let inputs = (0..rounds(race.rule)).flat_map(|round| [(round, false), (round, true)]);
        // All beforehand, lest the allocator be in another state for each run.
        let inputs: Vec<(u64, bool, CString)> = inputs
            .map(|(round, second)| (round, second, CString::new(name(index, round, second)).expect("no zeros")))
            .collect();
        // What first runs do besides: memory is got, and functions are found.
        for &(round, second, _) in &inputs[..8] {
            run(second, round, &mut |work| work());
        }
        for (round, second, name) in &inputs {
            run(*second, *round, &mut |work| {
                valgrind::count();
                work();
                valgrind::counted(name);
            });
        }
    }
    ExitCode::SUCCESS
}
