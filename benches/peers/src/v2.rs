//! B4AE v2 itself.

use std::any::Any;
use std::time::Duration;

use anyhow::Result;
use b4ae_core::{DATAGRAM_LEN, Event, Limits, Mode, ModePolicy, PROVIDER, SessionId};
use b4ae_tokio::Peer as Session;

use crate::endpoints::{self, REAL_TIME};
use crate::loopback::{self, Loopback, MESSAGE, Received};
use crate::pair;
use crate::peer::{Knock, Pair, Peer, Wire};
use crate::strangers::{Knock as Stranger, Strangers};

/// The finest grid there is.
const FINEST: Duration = Duration::from_micros(10);

/// One of the two modes, with the provider that was compiled in.
pub(crate) struct V2(pub(crate) Mode);

/// What the ratios of the tables are to.
pub(crate) const BASE: &str = "B4AE v2, mode A";

/// The modes that this build has.
pub(crate) const MODES: [V2; 2] = [V2(Mode::A), V2(Mode::B)];
/// How the other build, with the feature `aws-lc`, calls them.
pub(crate) const WITH_AWS_LC: [&str; 2] = ["B4AE v2, mode A, `aws-lc`", "B4AE v2, mode B, `aws-lc`"];

impl Peer for V2 {
    fn name(&self) -> &'static str {
        let names = if PROVIDER == "rust" { [BASE, "B4AE v2, mode B"] } else { WITH_AWS_LC };
        names[usize::from(self.0 == Mode::B)]
    }

    fn made_of(&self) -> &'static str {
        if PROVIDER == "rust" { "libcrux, curve25519-dalek, RustCrypto" } else { "AWS-LC, and RustCrypto's BLAKE2b" }
    }

    fn lacks(&self) -> &'static [&'static str] {
        if self.0 == Mode::B {
            &["not deniable: both ends sign"]
        } else {
            &["no post-quantum authentication, no signatures"]
        }
    }

    fn pair(&self, sessions: usize) -> Box<dyn Pair> {
        // A filter of two pages: engines that have just been made have not touched theirs.
        let limits = Limits { cookies: 1024, ..pair::limits(sessions.max(4)) };
        Box::new(Two { engines: pair::Pair::new(limits), mode: self.0, session: None, text: Vec::new() })
    }

    fn knocks(&self, batch: usize) -> Vec<Knock> {
        if self.0 == Mode::B {
            // The mode is chosen after everything that a stranger can do.
            return Vec::new();
        }
        [
            ("1,200 random bytes: dropped", Stranger::Junk),
            ("a first message (Hello): stateless Challenge", Stranger::Hello),
            ("a first message beyond the budget: dropped", Stranger::Crowded),
            ("a forged second message (Init, cookie of another address): dropped", Stranger::Forged),
        ]
        .map(|(what, knock)| Knock { what, work: Box::new(Strangers::new(knock, batch)) })
        .into()
    }

    fn loopback(&self, time: Duration) -> Result<Option<Loopback>> {
        if self.0 == Mode::B {
            // Cells are the same in either mode.
            return Ok(None);
        }
        endpoints::runtime()?.block_on(async {
            let server = endpoints::bind(REAL_TIME, endpoints::config(Duration::from_millis(1), 1)?).await?;
            let client = endpoints::bind(REAL_TIME, endpoints::config(FINEST, 1)?).await?;
            let session = client.connect_with(&server.uri("127.0.0.1"), ModePolicy::A).await?;
            let other_end = server.accept().await?;
            let received = Received::default();
            tokio::spawn(talk(session));
            tokio::spawn(listen(other_end, received.clone()));
            loopback::count(&received, time).await.map(Some)
        })
    }
}

/// Sends messages for as long as the session lasts.
async fn talk(session: Session) {
    while session.send(vec![7; MESSAGE]).await.is_ok() {}
}

/// Takes messages for as long as the session lasts, and counts them.
async fn listen(session: Session, received: Received) {
    while let Ok(message) = session.recv().await {
        received.add(&message);
    }
}

/// Two engines.
struct Two {
    engines: pair::Pair,
    mode: Mode,
    session: Option<SessionId>,
    text: Vec<u8>,
}

impl Pair for Two {
    fn handshake(&mut self) -> Wire {
        let pair = &mut self.engines;
        self.session = Some(pair.connect(ModePolicy::only(self.mode)));
        let mut datagrams = pair.exchange();
        loop {
            // The responder's first cell confirms.
            pair.server_slot();
            datagrams += 1;
            if pair::events(&mut pair.client, |event| matches!(event, Event::Established(_))) > 0 {
                break;
            }
        }
        let incoming = pair::events(&mut pair.server, |event| matches!(event, Event::Incoming(_)));
        assert_eq!(incoming, 1, "a session at each end");
        Wire { datagrams, bytes: datagrams * DATAGRAM_LEN }
    }

    fn message(&mut self, message: &[u8]) -> Wire {
        let pair = &mut self.engines;
        let id = self.session.expect("a handshake");
        self.text.resize(message.len(), 0);
        pair.client.session(id).expect("open").send(message).expect("room");
        let mut datagrams = 0;
        loop {
            pair.client_slot();
            datagrams += 1;
            while let Some(event) = pair.server.poll_event() {
                if let Event::Readable(id) = event {
                    let length = pair.server.session(id).expect("it has just spoken").recv(&mut self.text);
                    assert_eq!(length, Ok(message.len()));
                    assert!(self.text == message, "what was sent");
                    return Wire { datagrams, bytes: datagrams * DATAGRAM_LEN };
                }
            }
            assert!(datagrams < 1000, "a message arrives");
        }
    }

    fn settle(&mut self) {
        for _ in 0..4 {
            self.engines.server_slot();
            self.engines.client_slot();
        }
        pair::events(&mut self.engines.client, |_| true);
    }

    fn ends(self: Box<Self>) -> [Box<dyn Any>; 2] {
        [Box::new(self.engines.client), Box::new(self.engines.server)]
    }
}
