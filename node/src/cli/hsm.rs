//! The command line's words for tokens.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// How to reach the token that an identity's ML-DSA-87 key is in.
#[derive(Args, Clone, Debug)]
pub(crate) struct TokenArgs {
    /// The file with the token's PIN
    #[arg(
        long,
        value_name = "FILE",
        help = "The file with the token's PIN, for a key in a token; else the URI's pin-source, else B4AE_HSM_PIN, else \
                the service's credential b4ae-hsm-pin, else it is asked for"
    )]
    pub(crate) pin_file: Option<PathBuf>,
    /// The token's PKCS#11 module, whatever its URI says
    #[arg(long, value_name = "FILE", env = "B4AE_HSM_MODULE")]
    pub(crate) module: Option<PathBuf>,
}

/// Where the key is that a key file refers to.
#[derive(Args, Clone, Debug)]
pub(crate) struct SignerArgs {
    /// Where the key is now that the key file says is in a token
    #[arg(
        long,
        value_name = "URI",
        help = "Where the key is now that the key file says is in a token, as when it was cloned to another device"
    )]
    pub(crate) hsm: Option<String>,
    #[command(flatten)]
    pub(crate) token: TokenArgs,
}

/// Options of `hsm`.
#[derive(Args, Debug)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Tokens and keys are named by URIs (RFC 7512): pkcs11:token=LABEL;object=LABEL, with serial= or id= where labels are not
enough, and ?module-path=FILE for the token's PKCS#11 module, unless --module names it. Which devices have ML-DSA-87, and
what a token protects: docs/HSM.md.

Examples:
  export B4AE_HSM_MODULE=/usr/lib/pkcs11/vendor.so
  b4ae hsm list
  b4ae hsm test 'pkcs11:token=B4AE'
  b4ae keygen --hsm 'pkcs11:token=B4AE;object=node'"
)]
pub(crate) struct Hsm {
    #[command(subcommand)]
    pub(crate) command: HsmCommand,
}

/// What to do with a token.
#[derive(Debug, Subcommand)]
pub(crate) enum HsmCommand {
    /// List the tokens of a module, and the ML-DSA-87 keys of one token
    List(List),
    /// Make an ML-DSA-87 key pair in a token, which never shows its private half
    Generate(Generate),
    /// Find out whether a token can sign for an identity, and report what it can do
    Test(Test),
    /// Measure how fast a key in a token signs
    Bench(Bench),
    /// Destroy a key in a token, for good
    Destroy(Destroy),
}

/// Options of `hsm list`.
#[derive(Args, Debug)]
pub(crate) struct List {
    /// Which tokens; where only one matches, its keys are listed too
    #[arg(value_name = "URI", default_value = "pkcs11:")]
    pub(crate) uri: String,
    #[command(flatten)]
    pub(crate) token: TokenArgs,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `hsm generate`.
#[derive(Args, Debug)]
pub(crate) struct Generate {
    /// The token, and the new key's label (object=) and, if it is to have one of your choice, id
    #[arg(value_name = "URI")]
    pub(crate) uri: String,
    #[command(flatten)]
    pub(crate) token: TokenArgs,
}

/// Options of `hsm test`.
#[derive(Args, Debug)]
#[command(after_help = "\
A key that the token forgets afterwards is made to find out what it does; where the URI names a key, that one signs too,
and the signatures are checked outside the token.")]
pub(crate) struct Test {
    /// The token, and the key if there is one
    #[arg(value_name = "URI")]
    pub(crate) uri: String,
    #[command(flatten)]
    pub(crate) token: TokenArgs,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `hsm bench`.
#[derive(Args, Debug)]
pub(crate) struct Bench {
    /// The key
    #[arg(value_name = "URI")]
    pub(crate) uri: String,
    #[command(flatten)]
    pub(crate) token: TokenArgs,
    /// How long to sign with each number of sessions
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,
    /// The most sessions at once; half as many, and so on down to one, are measured too
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) sessions: u8,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `hsm destroy`.
#[derive(Args, Debug)]
#[command(after_help = "\
An identity whose key is destroyed is gone: its peers know it by that key. Name its successor first (`b4ae rotation make`), and
wait until the overlap is over.")]
pub(crate) struct Destroy {
    /// The key, by its id; `b4ae hsm list` shows it
    #[arg(value_name = "URI")]
    pub(crate) uri: String,
    #[command(flatten)]
    pub(crate) token: TokenArgs,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}
