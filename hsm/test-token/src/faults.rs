//! Faults, from the file that `B4AE_TEST_TOKEN_FAULT` names.
//!
//! One a line: a function or `*` for all, what happens instead, and how many times; without a number, for as long as
//! the line is there. The first line that applies to a call decides. An empty line is none.
//!
//! ```text
//! C_Login CKR_PIN_INCORRECT       returns that code and does nothing
//! C_OpenSession 0x80000001        the same, with a vendor's
//! * CKR_DEVICE_REMOVED            the token is gone
//! C_SignInit CKR_DEVICE_ERROR 1   once
//! C_Sign delay 2000               waits as many milliseconds, and then does its work
//! C_Sign hang                     waits until the file has changed, and then does its work
//! C_Sign corrupt 1                signs, and changes the signature
//! ```
//!
//! The file is read anew when it has been replaced or written to, and counts begin anew then.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use kryoptic_lib::pkcs11::{CK_RV, ckrv_to_string};

/// How often a call that hangs looks whether it still does.
const LOOK: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, PartialEq)]
enum Effect {
    Return(CK_RV),
    Delay(Duration),
    Hang,
    Corrupt,
}

struct Fault {
    function: String,
    effect: Effect,
    /// How many times more; without, always.
    left: Option<u32>,
}

/// When the file was written, which it is and how long: nothing if there is none.
type Stamp = Option<(i64, i64, u64, u64)>;

struct Faults {
    stamp: Stamp,
    list: Vec<Fault>,
}

static FAULTS: Mutex<Faults> = Mutex::new(Faults { stamp: None, list: Vec::new() });

/// What a call has to do.
pub(crate) enum Verdict {
    /// Its work.
    Work,
    /// Its work, and then spoil what comes of it.
    Spoil,
    /// Return this.
    Return(CK_RV),
}

/// Notes a call of `function` and does what a fault says, waiting included.
pub(crate) fn at(function: &str) -> Verdict {
    log(function);
    match next(function) {
        None => Verdict::Work,
        Some((Effect::Corrupt, _)) => Verdict::Spoil,
        Some((Effect::Return(rv), _)) => Verdict::Return(rv),
        Some((Effect::Delay(time), _)) => {
            thread::sleep(time);
            Verdict::Work
        }
        Some((Effect::Hang, stamp)) => {
            while self::stamp() == stamp {
                thread::sleep(LOOK);
            }
            Verdict::Work
        }
    }
}

fn log(function: &str) {
    static LOG: OnceLock<Option<File>> = OnceLock::new();
    let log = LOG.get_or_init(|| {
        let path = env::var_os("B4AE_TEST_TOKEN_LOG")?;
        Some(File::options().append(true).create(true).open(&path).unwrap_or_else(|error| stop(&format!("{error}"))))
    });
    if let Some(mut log) = log.as_ref() {
        // One write for a line: threads do not mix theirs.
        if let Err(error) = log.write_all(format!("{function}\n").as_bytes()) {
            stop(&format!("{error}"));
        }
    }
}

/// The fault that is `function`'s turn, and the file it is from.
fn next(function: &str) -> Option<(Effect, Stamp)> {
    let mut faults = FAULTS.lock().unwrap_or_else(PoisonError::into_inner);
    let stamp = stamp();
    if stamp != faults.stamp {
        faults.list = if stamp.is_some() { read() } else { Vec::new() };
        faults.stamp = stamp;
    }
    let applies = |fault: &&mut Fault| (fault.function == "*" || fault.function == function) && fault.left != Some(0);
    let fault = faults.list.iter_mut().find(applies)?;
    fault.left = fault.left.map(|left| left - 1);
    Some((fault.effect, stamp))
}

fn stamp() -> Stamp {
    let file = fs::metadata(env::var_os("B4AE_TEST_TOKEN_FAULT")?).ok()?;
    Some((file.mtime(), file.mtime_nsec(), file.ino(), file.len()))
}

fn read() -> Vec<Fault> {
    let text = env::var_os("B4AE_TEST_TOKEN_FAULT").map(fs::read_to_string);
    // Removed in between.
    let Some(Ok(text)) = text else { return Vec::new() };
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| parse(line).unwrap_or_else(|| stop(&format!("no fault: {line:?}"))))
        .collect()
}

fn parse(line: &str) -> Option<Fault> {
    let mut words = line.split_whitespace();
    let function = words.next()?.to_owned();
    let effect = match words.next()? {
        "hang" => Effect::Hang,
        "corrupt" => Effect::Corrupt,
        "delay" => Effect::Delay(Duration::from_millis(words.next()?.parse().ok()?)),
        code => Effect::Return(return_value(code)?),
    };
    let left = words.next().map(str::parse).transpose().ok()?;
    words.next().is_none().then_some(Fault { function, effect, left })
}

/// The number of a `CKR_` name, or a number in hexadecimal.
fn return_value(code: &str) -> Option<CK_RV> {
    if let Some(digits) = code.strip_prefix("0x") {
        return CK_RV::from_str_radix(digits, 16).ok();
    }
    // The token has their names by number only. The standard's are all below this one.
    (1..0x1000).find(|number| ckrv_to_string(*number).split('(').next() == Some(code))
}

/// A mistake in a test: it is to fail, and not to pass for want of a fault.
fn stop(why: &str) -> ! {
    eprintln!("test token: {why}");
    std::process::abort()
}
