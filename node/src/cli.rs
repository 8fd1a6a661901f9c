//! The command line: what can be asked for, in which words.

pub(crate) mod hsm;
pub(crate) mod rotation;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use b4ae_core::{Mode, ModePolicy, PROVIDER, PeerId};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::error::EXIT_CODES;
use hsm::{Hsm, SignerArgs, TokenArgs};
use rotation::Rotation;

/// The port a node listens on unless told otherwise: 0xB4AE.
pub(crate) const DEFAULT_PORT: u16 = 0xB4AE;

/// Messages between machines over UDP, of which the network learns nothing: not what is said, not how much or how
/// often, not that anything is said at all.
#[derive(Debug, Parser)]
#[command(
    name = "b4ae",
    version = version(),
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}")
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The version, and whose primitives were compiled in where they are not the default ones.
fn version() -> &'static str {
    match PROVIDER {
        "aws-lc-fips" => concat!(env!("CARGO_PKG_VERSION"), " (aws-lc-fips)"),
        "aws-lc" => concat!(env!("CARGO_PKG_VERSION"), " (aws-lc)"),
        _ => env!("CARGO_PKG_VERSION"),
    }
}

const EXAMPLES: &str = "\
Examples:
  b4ae demo                                        see it work, in this terminal
  b4ae keygen                                      make this machine's identity
  b4ae serve                                       receive messages
  b4ae send 'b4ae://host:46254#fingerprint' hello  send one";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an identity and write it to a key file
    Keygen(Keygen),
    /// Show an identity's fingerprint, address and QR code
    Id(Id),
    /// Listen, and print the messages that come
    Serve(Serve),
    /// Send a message, lines from standard input, or a file, and wait until it is delivered
    Send(Send),
    /// Talk with a peer, line by line
    Chat(Chat),
    /// Look after keys in a hardware token
    Hsm(Hsm),
    /// Have another identity take the place of this one
    Rotation(Rotation),
    /// Show three clients doing different things, and that the network sees them do the same
    Demo(Demo),
}

/// Options of `keygen`.
#[derive(Args, Debug)]
#[command(after_help = "\
The key file is readable by this user alone, and an existing one is never replaced unasked. Whoever has it is this
machine to its peers. Back it up.

Examples:
  b4ae keygen
  b4ae keygen --passphrase -o server.b4ae-key
  b4ae keygen --passphrase-file /run/secrets/b4ae -o /var/lib/b4ae/identity.key
  b4ae keygen --hsm 'pkcs11:token=B4AE;object=node?module-path=/usr/lib/pkcs11/vendor.so'")]
pub(crate) struct Keygen {
    /// Where to write the key file [default: identity.key in b4ae's data directory]
    #[arg(short, long, value_name = "FILE", env = "B4AE_KEY")]
    pub(crate) output: Option<PathBuf>,
    /// Seal it under a passphrase
    #[arg(long, help = "Seal it under a passphrase: asked for twice, or taken from B4AE_PASSPHRASE")]
    pub(crate) passphrase: bool,
    /// Seal it under the passphrase in this file, which must be readable by this user alone
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Replace an existing key file: the identity in it is lost for good
    #[arg(long)]
    pub(crate) force: bool,
    /// Have the ML-DSA-87 key in a token
    #[arg(
        long,
        value_name = "URI",
        help = "Have the ML-DSA-87 key in this token (RFC 7512: pkcs11:token=LABEL;object=LABEL): the one that matches, or \
                else a new one. The X25519 key is in the key file, as ever"
    )]
    pub(crate) hsm: Option<String>,
    #[command(flatten)]
    pub(crate) token: TokenArgs,
}

/// Which identity to use.
#[derive(Args, Debug)]
pub(crate) struct KeyArgs {
    /// The key file [default: identity.key in b4ae's data directory]
    #[arg(short, long, value_name = "FILE", env = "B4AE_KEY")]
    pub(crate) key: Option<PathBuf>,
    /// The file with the key file's passphrase
    #[arg(
        long,
        value_name = "FILE",
        help = "The file with the key file's passphrase, if it has one; else B4AE_PASSPHRASE, else it is asked for"
    )]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// Options of `id`.
#[derive(Args, Debug)]
#[command(after_help = "\
Give the address to those who are to reach this machine: without the fingerprint in it the machine does not answer.

Examples:
  b4ae id --host node.example.org
  b4ae id --key server.b4ae-key --host 192.0.2.7 --port 4000 --no-qr")]
pub(crate) struct Id {
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// The host name or address others reach this machine at [default: its address on the default route]
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// The UDP port
    #[arg(long, default_value_t = DEFAULT_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,
    /// Leave the QR code out
    #[arg(long)]
    pub(crate) no_qr: bool,
}

/// An address to listen on.
fn socket_addr(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an IP address and a port, like 0.0.0.0:46254 or [::]:46254".into())
}

/// A handshake mode, or both.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ModeArg {
    /// Deniable: nobody can prove afterwards who spoke
    A,
    /// Post-quantum and non-repudiable: both sides sign
    B,
    /// B where the other side can, else A
    Both,
}

impl ModeArg {
    /// The core's word for it.
    pub(crate) fn policy(self) -> ModePolicy {
        match self {
            Self::A => ModePolicy::A,
            Self::B => ModePolicy::B,
            Self::Both => ModePolicy::B_THEN_A,
        }
    }

    /// For messages.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::A => "mode A",
            Self::B => "mode B",
            Self::Both => "mode B or A",
        }
    }
}

/// One handshake mode.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum OneMode {
    /// Deniable
    A,
    /// Post-quantum and non-repudiable
    B,
}

impl From<OneMode> for Mode {
    fn from(mode: OneMode) -> Self {
        match mode {
            OneMode::A => Self::A,
            OneMode::B => Self::B,
        }
    }
}

/// A named schedule.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Profile {
    /// 100 slots a second, one in five kept for cover
    Balanced,
    /// 10 slots a second, half of them kept for cover
    #[value(name = "high_security", alias = "high-security")]
    HighSecurity,
    /// Cells at random, 10 a second for each session in the mean, one in five kept for cover
    Poisson,
    /// Four cells for each session every 30 seconds, and silence between: for devices that sleep. Best at both ends; to
    /// reach such a peer with another profile takes a --timeout of two of its periods
    Burst,
}

/// When datagrams leave.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct TrafficArgs {
    /// When cells leave
    #[arg(long, value_enum, default_value_t = Profile::Balanced)]
    pub(crate) profile: Profile,
    /// Slots a second, all sessions together, instead of the profile's
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=100_000),
        help = "Slots a second, all sessions together, instead of the profile's; with poisson, cells a second for each \
                session; not with burst"
    )]
    pub(crate) rate: Option<u32>,
    /// With burst: seconds from one group of cells to the next [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) period: Option<u32>,
    /// With burst: cells in a group for each session [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=128))]
    pub(crate) cells: Option<u32>,
}

/// Options of `serve`.
#[derive(Args, Debug)]
#[command(after_help = "\
Stops on Ctrl-C, on SIGTERM, and on Linux when its terminal hangs up, after telling its peers and printing every
message that it has confirmed to them, however slow the reader of its output is. A second signal breaks that off; the
exit code is then 10, and the messages lost are counted.

Without --json a message takes one line: backslashes and what would do something to a terminal are escaped as in \\u{1b},
and one that is not UTF-8 is shown as its length and first bytes. With --json it is all there.

Examples:
  b4ae serve
  b4ae serve --listen 192.0.2.7:4000 --allow FINGERPRINT --json
  b4ae serve --profile high_security --mode b
  b4ae serve --profile burst --period 60 --sessions 4")]
pub(crate) struct Serve {
    /// The address to listen on; port 0 for any free one
    #[arg(
        short,
        long,
        value_name = "ADDR:PORT",
        value_parser = socket_addr,
        default_value_t = SocketAddr::from(([0, 0, 0, 0], DEFAULT_PORT))
    )]
    pub(crate) listen: SocketAddr,
    /// The host name or address to put into the printed address [default: the listening address]
    #[arg(long)]
    pub(crate) host: Option<String>,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    #[command(flatten)]
    pub(crate) signer: SignerArgs,
    /// The modes to accept
    #[arg(short, long, value_enum, default_value_t = ModeArg::Both)]
    pub(crate) mode: ModeArg,
    /// Accept only this peer; may be given several times [default: whoever knows our fingerprint]
    #[arg(long, value_name = "FINGERPRINT", num_args = 1..)]
    pub(crate) allow: Vec<PeerId>,
    #[command(flatten)]
    pub(crate) traffic: TrafficArgs,
    /// The most sessions at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) sessions: u32,
    /// Print events as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `send`.
#[derive(Args, Debug)]
#[command(after_help = "\
Returns once the peer has confirmed everything. Without a key file the peer sees an identity made for this one use.
What the peer says meanwhile is not shown, but that it said something is: `b4ae chat` talks both ways. A message that
is but a hyphen goes as a file.

Examples:
  b4ae send 'b4ae://host:46254#fingerprint' 'hello'
  journalctl -f | b4ae send 'b4ae://host:46254#fingerprint' -
  b4ae send 'b4ae://host:46254#fingerprint' --file report.pdf --mode b --timeout 120")]
pub(crate) struct Send {
    /// The peer's address, as `b4ae id` prints it
    #[arg(value_name = "URI")]
    pub(crate) uri: String,
    /// The message, or - for standard input, each line one message; after -- it may begin with a hyphen
    #[arg(required_unless_present = "file", conflicts_with = "file", allow_hyphen_values = false)]
    pub(crate) message: Option<OsString>,
    /// Send this file as one message; - for all of standard input
    #[arg(short, long, value_name = "PATH")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    #[command(flatten)]
    pub(crate) signer: SignerArgs,
    /// The modes to offer
    #[arg(short, long, value_enum, default_value_t = ModeArg::Both)]
    pub(crate) mode: ModeArg,
    #[command(flatten)]
    pub(crate) traffic: TrafficArgs,
    /// Give up after so many seconds [default: 20 to be answered, then as long as the peer is there]
    #[arg(
        short,
        long,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u32).range(1..=86_400),
        help = "Give up after so many seconds; to tell the peer so may take half a second more [default: 20 to be \
                answered, then as long as the peer is there]"
    )]
    pub(crate) timeout: Option<u32>,
}

/// Options of `chat`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("whom").args(["uri", "listen"]).required(true))]
#[command(after_help = "\
One side listens, the other connects. Ends at the end of standard input (Ctrl-D), once all that was said is confirmed,
when the peer leaves, or on Ctrl-C, SIGTERM or (on Linux) a hangup: then the exit code is 10 if not everything was
confirmed. What has arrived is printed first, however slow the reader of the output is; another signal breaks that off.

A message takes one line: backslashes and what would do something to a terminal are escaped as in \\u{1b}, and one that
is not UTF-8 is shown as its length and first bytes. `b4ae serve --json` shows all of it.

Examples:
  b4ae chat --listen 0.0.0.0:46254
  b4ae chat 'b4ae://host:46254#fingerprint'")]
pub(crate) struct Chat {
    /// The peer's address, as the listening side prints it
    #[arg(value_name = "URI")]
    pub(crate) uri: Option<String>,
    /// Wait for one peer at this address instead
    #[arg(short, long, value_name = "ADDR:PORT", value_parser = socket_addr)]
    pub(crate) listen: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    #[command(flatten)]
    pub(crate) signer: SignerArgs,
    /// The modes to offer or accept
    #[arg(short, long, value_enum, default_value_t = ModeArg::Both)]
    pub(crate) mode: ModeArg,
    #[command(flatten)]
    pub(crate) traffic: TrafficArgs,
}

/// Options of `demo`.
#[derive(Args, Debug)]
#[command(after_help = "\
A server and three clients in this process, over real sockets on the loopback interface: one client chats, one sends a
file, one is silent. What the network sees is recorded by relays between them, which know nothing of the protocol. The
verdict is computed from that record, and the exit code is 12 if it fails.

Examples:
  b4ae demo
  b4ae demo --mode b --seconds 30 --svg demo.svg
  b4ae demo --json")]
pub(crate) struct Demo {
    /// How long to watch
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(4..=3600))]
    pub(crate) seconds: u32,
    /// The handshake's mode
    #[arg(short, long, value_enum, default_value_t = OneMode::A)]
    pub(crate) mode: OneMode,
    /// Print the measurements as one JSON object, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw what was seen into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
