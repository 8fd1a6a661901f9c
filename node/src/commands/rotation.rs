//! `b4ae rotation`: one identity takes the place of another.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use b4ae_core::{Clock, Rotation, RotationError, Seed, UnixTime};
use data_encoding::BASE64;
use humantime::format_rfc3339_seconds;
use serde_json::json;

use crate::cli::hsm::{SignerArgs, TokenArgs};
use crate::cli::rotation::{Make, Rotation as Args, RotationCommand, Show};
use crate::cli::{KeyArgs, ModeArg};
use crate::error::Error;
use crate::output::{self, note};
use crate::{identity, keystore};

/// The first line of a statement's file; the second is base64.
const HEADER: &str = "b4ae-rotation-v1\n";
const DAY: u64 = 24 * 60 * 60;

/// Makes or shows a statement.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    match &args.command {
        RotationCommand::Make(args) => make(args),
        RotationCommand::Show(args) => show(args),
    }
}

fn make(args: &Make) -> Result<(), Error> {
    let to = KeyArgs {
        key: Some(args.to.clone()),
        passphrase_file: args.to_passphrase_file.clone().or_else(|| args.key.passphrase_file.clone()),
    };
    if let Some(path) = &args.output {
        // Before a token is asked.
        keystore::check(path, false).map_err(|_| Error::Exists(path.clone()))?;
    }
    let theirs = TokenArgs { pin_file: args.to_pin_file.clone(), module: args.token.module.clone() };
    let old_signer = SignerArgs { hsm: None, token: args.token.clone() };
    let new_signer =
        SignerArgs { hsm: None, token: if args.to_pin_file.is_some() { theirs } else { args.token.clone() } };
    // One after the other: a PIN that is refused is not tried again with the second.
    let old = identity::load(&args.key, &old_signer, ModeArg::B)?.identity;
    let new = identity::load(&to, &new_signer, ModeArg::B)?.identity;
    let from = Clock::wall();
    let until = UnixTime(from.0.saturating_add(args.days * DAY));
    let statement =
        Rotation::sign(&old, &new, from, until, &Seed::new(*identity::entropy()?)).map_err(Error::Rotation)?;
    let text = format!("{HEADER}{}\n", BASE64.encode(statement.as_bytes()));
    match &args.output {
        Some(path) => File::create_new(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(Error::io(format!("writing {}", path.display())))?,
        None => output::line(text.trim_end())?,
    }
    note(format_args!(
        "{} takes the place of {}, which is to be accepted until {}; give the statement to its peers",
        statement.new_id(),
        statement.old_id(),
        date(until)
    ));
    Ok(())
}

fn show(args: &Show) -> Result<(), Error> {
    let statement = read(&args.file)?;
    let now = Clock::wall();
    let old_accepted = statement.accepts_old(now);
    if args.json {
        return output::line(
            &json!({
                "old": statement.old_id().to_string(),
                "new": statement.new_id().to_string(),
                "from": statement.from().0,
                "until": statement.until().0,
                "old_accepted": old_accepted,
            })
            .to_string(),
        );
    }
    output::line(&format!(
        "old    {}\nnew    {}\nfrom   {}\nuntil  {}",
        statement.old_id(),
        statement.new_id(),
        date(statement.from()),
        date(statement.until())
    ))?;
    note(if old_accepted {
        "both have signed it. If the old fingerprint is one you know, accept the new one too, and the old one until then"
    } else {
        "both have signed it, and the time of the old one is over. If its fingerprint is one you know, accept only the \
         new one from now on"
    });
    Ok(())
}

/// The statement in a file, if its signatures are right.
fn read(path: &Path) -> Result<Rotation, Error> {
    let most = HEADER.len() + BASE64.encode_len(Rotation::MAX_LEN) + 1;
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(most as u64 + 1).read_to_end(&mut text))
        .map_err(Error::io(format!("reading {}", path.display())))?;
    let refused = |why| Error::Statement { path: path.into(), why };
    let line = text.strip_prefix(HEADER.as_bytes()).and_then(|rest| rest.strip_suffix(b"\n"));
    let bytes = line.and_then(|line| BASE64.decode(line).ok()).ok_or(refused(RotationError::Format))?;
    Rotation::from_bytes(&bytes).map_err(refused)
}

fn date(UnixTime(seconds): UnixTime) -> String {
    let time = std::time::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    // Of a year beyond 9999 there is no such form.
    time.filter(|_| seconds < 253_402_300_800)
        .map_or_else(|| format!("second {seconds} of Unix time"), |time| format_rfc3339_seconds(time).to_string())
}
