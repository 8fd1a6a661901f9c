//! The command line's words for successions.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::KeyArgs;
use super::hsm::TokenArgs;

/// Options of `rotation`.
#[derive(Args, Debug)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
A rotation statement says that one identity takes the place of another, and until when both are to be accepted. Both
identities sign it, each with all its keys, and whoever has the old fingerprint can check it without a connection.

Examples:
  b4ae keygen -o new.key
  b4ae rotation make --key old.key --to new.key --days 30 -o statement
  b4ae rotation show statement"
)]
pub(crate) struct Rotation {
    #[command(subcommand)]
    pub(crate) command: RotationCommand,
}

/// What to do with a rotation statement.
#[derive(Debug, Subcommand)]
pub(crate) enum RotationCommand {
    /// State that another identity takes the place of this one
    Make(Make),
    /// Check a statement's signatures, and tell what it says
    Show(Show),
}

/// Options of `rotation make`.
#[derive(Args, Debug)]
pub(crate) struct Make {
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// The key file of the identity that takes its place
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
    /// The file with that key file's passphrase, if it has one and another
    #[arg(long, value_name = "FILE")]
    pub(crate) to_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) token: TokenArgs,
    /// The file with the PIN of the other identity's token, if it is another token
    #[arg(long, value_name = "FILE")]
    pub(crate) to_pin_file: Option<PathBuf>,
    /// How long both are to be accepted, from now on
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=366))]
    pub(crate) days: u64,
    /// Where to write the statement [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Options of `rotation show`.
#[derive(Args, Debug)]
pub(crate) struct Show {
    /// The statement
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
