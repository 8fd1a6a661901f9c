//! Handshakes: whole, and what each of a stranger's datagrams costs a server.

use std::time::Duration;

use b4ae_core::{DATAGRAM_LEN, Engine, Event, Instant, Limits, Mode, ModePolicy, Path};

use crate::measure::Work;
use crate::pair::{self, Datagram, INTERVAL, Pair, client_path, server_path, transmit};

/// All flights between two engines, from `connect` until the responder's first cell has confirmed the session.
pub(crate) struct Whole {
    mode: Mode,
    batch: usize,
    pairs: Vec<Pair>,
    /// Others' sessions, of engines that do nothing meanwhile.
    _crowd: Pair,
}

impl Whole {
    /// With so many sessions of others in the same heap.
    pub(crate) fn new(mode: Mode, batch: usize, crowd: usize) -> Self {
        Self { mode, batch, pairs: Vec::new(), _crowd: crowded(crowd) }
    }
}

impl Work for Whole {
    fn prepare(&mut self) {
        self.pairs.clear();
        // A filter of two pages: engines that have just been made have not touched theirs.
        let limits = Limits { cookies: 1024, ..pair::limits(4) };
        self.pairs.extend((0..self.batch).map(|_| Pair::new(limits)));
    }

    fn run(&mut self) -> usize {
        for pair in &mut self.pairs {
            pair.connect(ModePolicy::only(self.mode));
            pair.exchange();
            pair.server_slot();
            let opened = pair::events(&mut pair.client, |event| matches!(event, Event::Established(_)))
                + pair::events(&mut pair.server, |event| matches!(event, Event::Incoming(_)));
            assert_eq!(opened, 2, "a session at each end");
        }
        self.batch
    }
}

/// Where a forger is, who has seen another's Init.
fn forger_path() -> Path {
    Path::new(([198, 51, 100, 7], 7000).into(), None)
}

/// What comes to a server out of the blue.
#[derive(Clone, Copy)]
pub(crate) enum Knock {
    /// 1,200 random bytes, as from one who does not know the fingerprint.
    Junk,
    /// A Hello, answered by a Challenge.
    Hello,
    /// A Hello beyond the budget of strangers.
    Crowded,
    /// An Init fragment that knows the fingerprint, with a cookie that is not its sender's.
    Forged,
}

/// The cost of datagrams that leave no trace.
pub(crate) struct Strangers {
    server: Engine,
    knock: Knock,
    datagrams: Vec<Datagram>,
    now: Instant,
}

impl Strangers {
    pub(crate) fn new(knock: Knock, batch: usize) -> Self {
        let mut limits = pair::limits(64);
        if let Knock::Crowded = knock {
            limits.challenges_per_second = 1;
        }
        let mut pair = Pair::new(limits);
        let mut datagram = [0; DATAGRAM_LEN];
        pair.connect(ModePolicy::A);
        assert!(transmit(&mut pair.client, &mut datagram).is_some(), "a Hello");
        if let Knock::Crowded = knock {
            pair.server.handle_datagram(pair.now, client_path(), &mut { datagram });
            assert!(transmit(&mut pair.server, &mut [0; DATAGRAM_LEN]).is_some(), "this second's Challenge");
        }
        if let Knock::Forged = knock {
            pair.server.handle_datagram(pair.now, client_path(), &mut datagram);
            assert!(transmit(&mut pair.server, &mut datagram).is_some(), "a Challenge");
            pair.client.handle_datagram(pair.now, server_path(), &mut datagram);
            pair.client.run_inline(pair.now);
            assert!(transmit(&mut pair.client, &mut datagram).is_some(), "an Init fragment");
        }
        let one = || match knock {
            Knock::Junk => {
                let mut junk = [0; DATAGRAM_LEN];
                fastrand::fill(&mut junk);
                junk
            }
            Knock::Hello | Knock::Crowded | Knock::Forged => datagram,
        };
        Self { server: pair.server, knock, datagrams: (0..batch).map(|_| one()).collect(), now: pair.now }
    }
}

impl Work for Strangers {
    fn prepare(&mut self) {
        // Budgets fill up again, but for one that is to be spent; cookies stay fresh.
        if !matches!(self.knock, Knock::Crowded) {
            self.now = self.now + Duration::from_millis(10);
        }
    }

    fn run(&mut self) -> usize {
        let before = self.server.metrics();
        let path = if let Knock::Forged = self.knock { forger_path() } else { client_path() };
        let mut answer = [0; DATAGRAM_LEN];
        for datagram in &mut self.datagrams {
            self.server.handle_datagram(self.now, path, datagram);
            while transmit(&mut self.server, &mut answer).is_some() {}
        }
        let after = self.server.metrics();
        let seen = match self.knock {
            Knock::Junk => after.drops.stranger - before.drops.stranger,
            Knock::Hello => after.challenges_sent - before.challenges_sent,
            Knock::Crowded => after.drops.limited - before.drops.limited,
            Knock::Forged => after.drops.cookie - before.drops.cookie,
        };
        assert_eq!(seen, self.datagrams.len() as u64, "what was to be measured");
        self.datagrams.len()
    }
}

/// Which part of a handshake the server is at.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Flight {
    /// Two valid Init fragments, to the last datagram of the Response.
    Init,
    /// The Finish, to the session.
    Finish,
}

/// The server's part of handshakes, one flight of them.
pub(crate) struct Served {
    mode: Mode,
    flight: Flight,
    batch: usize,
    crowd: usize,
    pair: Pair,
    datagrams: Vec<Datagram>,
}

impl Served {
    /// At a server that has a crowd of open sessions already.
    pub(crate) fn new(mode: Mode, flight: Flight, batch: usize, crowd: usize) -> Self {
        Self { mode, flight, batch, crowd, pair: crowded(crowd), datagrams: Vec::new() }
    }
}

fn crowded(sessions: usize) -> Pair {
    let mut pair = Pair::new(pair::limits((2 * sessions).max(1 << 10)));
    (0..sessions).for_each(|_| one_session(&mut pair, ModePolicy::A));
    pair
}

impl Work for Served {
    fn prepare(&mut self) {
        // At least so many that the cookie filter's pages have all been touched.
        const FEW: usize = 16;
        if self.crowd < FEW {
            self.pair = crowded(FEW);
        }
        let Pair { client, server, now } = &mut self.pair;
        let peer = server.peer_id();
        self.datagrams.clear();
        let mut datagram = [0; DATAGRAM_LEN];
        for _ in 0..self.batch {
            *now = *now + INTERVAL;
            client.connect(*now, server_path(), &peer, ModePolicy::only(self.mode)).expect("room for a session");
            let flights = if self.flight == Flight::Init { 1 } else { 2 };
            for _ in 0..flights {
                while transmit(client, &mut datagram).is_some() {
                    server.handle_datagram(*now, client_path(), &mut datagram);
                    server.run_inline(*now);
                }
                while transmit(server, &mut datagram).is_some() {
                    client.handle_datagram(*now, server_path(), &mut datagram);
                    client.run_inline(*now);
                }
            }
            while transmit(client, &mut datagram).is_some() {
                self.datagrams.push(datagram);
            }
        }
    }

    fn run(&mut self) -> usize {
        let Pair { server, now, .. } = &mut self.pair;
        let (mut answer, mut answered) = ([0; DATAGRAM_LEN], 0);
        for datagram in &mut self.datagrams {
            *now = *now + INTERVAL / 16;
            server.handle_datagram(*now, client_path(), datagram);
            server.run_inline(*now);
            while transmit(server, &mut answer).is_some() {
                answered += 1;
            }
        }
        let opened = pair::events(server, |event| matches!(event, Event::Incoming(_)));
        match self.flight {
            Flight::Init => assert!(answered >= 2 * self.batch, "a Response each"),
            Flight::Finish => assert_eq!(opened, self.batch, "a session each"),
        }
        self.batch
    }
}

fn one_session(pair: &mut Pair, modes: ModePolicy) {
    pair.now = pair.now + INTERVAL;
    pair.connect(modes);
    pair.exchange();
    pair::events(&mut pair.server, |_| true);
}
