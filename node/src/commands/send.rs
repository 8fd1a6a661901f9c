//! `b4ae send`: hand messages to a peer, and return once it has confirmed them.

use std::cell::{Cell, OnceCell};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::Path;
use std::time::Duration;

use b4ae_core::{Clock, Limits, ModePolicy, PeerUri};
use b4ae_tokio::{Closed, Endpoint, EndpointConfig, Peer, SendError};
use tokio::time::timeout;

use crate::cli::{ModeArg, Send};
use crate::error::Error;
use crate::identity::Loaded;
use crate::input::Lines;
use crate::output::note;
use crate::signal::Stop;
use crate::{address, identity, net, progress, token};

/// How long the peer may take to learn that we are done, once everything is confirmed, where slots come often.
const GOODBYE: Duration = Duration::from_secs(2);
/// The same, when something was not confirmed: the peer may be gone, and whoever waits has waited enough.
const SHORT_GOODBYE: Duration = Duration::from_millis(500);

/// What to send.
enum Source {
    One(Vec<u8>),
    Lines(Lines),
}

/// Sends what `args` name.
pub(crate) fn run(args: &Send) -> Result<(), Error> {
    let uri = address::parse(&args.uri)?;
    // Before anything reads standard input: at a terminal a PIN is typed there too.
    let Loaded { identity, signer } = identity::load_or_ephemeral(&args.key, &args.signer, args.mode)?;
    let max = Limits::default().message;
    let source = match (&args.file, &args.message) {
        (Some(path), _) if path == Path::new("-") => Source::One(whole(io::stdin().lock(), "standard input", max)?),
        (Some(path), _) => Source::One(read(path, max)?),
        (None, Some(text)) if text == "-" => {
            Source::Lines(Lines::start(max).map_err(Error::io("reading standard input"))?)
        }
        (None, text) => Source::One(bytes(text.clone().unwrap_or_default())?),
    };
    let modes = net::modes(args.mode, &identity)?;
    let limit = args.timeout.map(|seconds| Duration::from_secs(seconds.into()));
    let config = net::client(args.traffic, limit)?;
    let traffic = *config.traffic();
    let errand = Errand { uri, mode: args.mode, modes, limit, peer: OnceCell::new(), sent: Cell::new(0) };
    net::run(signer.clone(), async {
        let endpoint = net::bind(EndpointConfig::new(identity, config)).await?;
        let mut stop = Stop::install()?;
        if let Some(signer) = signer {
            tokio::spawn(token::watch(signer, None));
        }
        let clock = Clock::new();
        let start = clock.now();
        let done = errand.run(&endpoint, source, &mut stop).await;
        let Some(peer) = errand.peer.get() else {
            endpoint.close(Duration::ZERO).await;
            return done;
        };
        let undelivered = matches!(done, Err(Error::NotDelivered { .. }));
        let goodbye = if undelivered { SHORT_GOODBYE } else { GOODBYE.max(net::there_and_back(&traffic)) };
        // A time limit is for everything; but it is not the peer who set it, and a moment tells it that we are gone.
        let left = limit.map(|limit| limit.saturating_sub(clock.now() - start).max(SHORT_GOODBYE));
        net::leave(&endpoint, peer, left.map_or(goodbye, |left| left.min(goodbye)), &traffic, &mut stop).await;
        tell_unshown(peer).await;
        done
    })
}

/// One peer, to be sent something.
struct Errand {
    uri: PeerUri,
    mode: ModeArg,
    modes: ModePolicy,
    limit: Option<Duration>,
    /// The session, once there is one.
    peer: OnceCell<Peer>,
    /// Messages handed over.
    sent: Cell<u64>,
}

impl Errand {
    async fn run(&self, endpoint: &Endpoint, source: Source, stop: &mut Stop) -> Result<(), Error> {
        let limited = async {
            match self.limit {
                None => self.connect_and_deliver(endpoint, source).await,
                Some(limit) => match timeout(limit, self.connect_and_deliver(endpoint, source)).await {
                    Ok(done) => done,
                    Err(_) => Err(self.gave_up(limit).await),
                },
            }
        };
        tokio::select! {
            done = limited => done,
            () = stop.asked() => Err(match self.peer.get() {
                Some(_) => self.not_delivered("interrupted".into()).await,
                None => Error::Interrupted { before: format!("{} answered", self.place()) },
            }),
        }
    }

    async fn connect_and_deliver(&self, endpoint: &Endpoint, source: Source) -> Result<(), Error> {
        let connecting = net::connect(endpoint, &self.uri, self.mode, self.modes);
        let peer = progress::during(format!("connecting to {}", self.place()), connecting).await?;
        let peer = self.peer.get_or_init(|| peer);
        // Whoever types the lines needs no spinner between them.
        let typed = matches!(source, Source::Lines(_)) && io::stdin().is_terminal();
        let sending = self.deliver(peer, source);
        let done =
            if typed { sending.await } else { progress::during(format!("sending to {}", self.place()), sending).await };
        match done {
            Ok(()) => {
                if self.sent.get() == 0 {
                    note("standard input had no lines: nothing was sent");
                }
                Ok(())
            }
            Err(Failed::Ended(closed)) => Err(self.not_delivered(closed.to_string()).await),
            Err(Failed::Other(error)) => Err(error),
        }
    }

    /// Hands everything over and waits until the peer has confirmed it. What precedes a failure is still delivered.
    async fn deliver(&self, peer: &Peer, source: Source) -> Result<(), Failed> {
        let given = match source {
            Source::One(message) => self.send(peer, message, "the message").await,
            Source::Lines(mut lines) => self.send_lines(peer, &mut lines).await,
        };
        if let Err(Failed::Ended(_)) = given {
            return given;
        }
        peer.flush().await?;
        given
    }

    async fn send_lines(&self, peer: &Peer, lines: &mut Lines) -> Result<(), Failed> {
        loop {
            let line = tokio::select! {
                line = lines.next() => line,
                closed = peer.closed() => return Err(closed.into()),
            };
            match line {
                None => return Ok(()),
                Some(Ok(line)) => self.send(peer, line, "a line").await?,
                Some(Err(refused)) => return Err(Failed::Other(refused.into())),
            }
        }
    }

    async fn send(&self, peer: &Peer, message: Vec<u8>, what: &str) -> Result<(), Failed> {
        match peer.send(message).await {
            Ok(_) => {
                self.sent.set(self.sent.get() + 1);
                Ok(())
            }
            Err(SendError::Closed(closed)) => Err(Failed::Ended(closed)),
            Err(SendError::TooLong { max, .. }) => Err(Failed::Other(Error::TooLong { what: what.into(), max })),
            Err(error) => Err(Failed::Other(Error::Io { doing: "sending".into(), source: io::Error::other(error) })),
        }
    }

    async fn gave_up(&self, limit: Duration) -> Error {
        match self.peer.get() {
            Some(_) => self.not_delivered(format!("gave up after {} s, as asked", limit.as_secs())).await,
            None => Error::Unreachable(self.place()),
        }
    }

    async fn not_delivered(&self, why: String) -> Error {
        let handed_over = self.sent.get();
        let confirmed = match self.peer.get() {
            Some(peer) => net::confirmed(peer, handed_over).await,
            None => 0,
        };
        Error::NotDelivered { peer: self.place(), why, confirmed, handed_over }
    }

    fn place(&self) -> String {
        net::place(&self.uri)
    }
}

/// Why sending stopped.
enum Failed {
    Ended(Closed),
    Other(Error),
}

impl From<Closed> for Failed {
    fn from(closed: Closed) -> Self {
        Self::Ended(closed)
    }
}

/// What is there to hear is heard with `chat`: a command that sends has no output of the peer's choosing. But the peer
/// believes that it was heard.
async fn tell_unshown(peer: &Peer) {
    let mut count = 0_u64;
    while peer.recv().await.is_ok() {
        count += 1;
    }
    match count {
        0 => {}
        1 => note("a message from the peer was not shown: `b4ae chat` shows what a peer says"),
        _ => note(format_args!("{count} messages from the peer were not shown: `b4ae chat` shows what a peer says")),
    }
}

/// An argument's bytes, which are a message whatever they are.
#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have arguments that are not bytes")]
fn bytes(text: OsString) -> Result<Vec<u8>, Error> {
    Ok(std::os::unix::ffi::OsStringExt::into_vec(text))
}

#[cfg(not(unix))]
fn bytes(text: OsString) -> Result<Vec<u8>, Error> {
    let text =
        text.into_string().map_err(|_| Error::Usage("the message is not Unicode: send it with --file".into()))?;
    Ok(text.into_bytes())
}

fn read(path: &Path, max: usize) -> Result<Vec<u8>, Error> {
    let file = File::open(path).map_err(Error::io(format!("reading {}", path.display())))?;
    whole(file, &path.display().to_string(), max)
}

/// All that there is to read from `input`, if it is no longer than a message may be.
fn whole(input: impl Read, name: &str, max: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells a longer file from one that just fits, whatever its metadata say.
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    input.take(limit).read_to_end(&mut bytes).map_err(Error::io(format!("reading {name}")))?;
    if bytes.len() > max { Err(Error::TooLong { what: name.into(), max }) } else { Ok(bytes) }
}
