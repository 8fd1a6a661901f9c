//! Cells and slots of open sessions.

use b4ae_core::{DATAGRAM_LEN, Event, ModePolicy, SessionId};

use crate::measure::Work;
use crate::pair::{self, Datagram, INTERVAL, Pair, client_path, server_path, transmit};

/// Slots of a server with so many sessions, a cover cell in each: what a driver does from one slot to the next, but
/// for the sending.
pub(crate) struct Slots {
    pair: Pair,
    batch: usize,
}

impl Slots {
    pub(crate) fn new(sessions: usize, batch: usize) -> Self {
        let (pair, _) = Pair::open(pair::limits(sessions.next_power_of_two().max(4)), sessions, ModePolicy::A);
        Self { pair, batch }
    }
}

impl Work for Slots {
    fn run(&mut self) -> usize {
        let server = &mut self.pair.server;
        let (mut datagram, mut cells) = ([0; DATAGRAM_LEN], 0);
        while cells < self.batch {
            self.pair.now = server.poll_timeout().expect("the grid runs").max(self.pair.now);
            server.handle_timeout(self.pair.now);
            while transmit(server, &mut datagram).is_some() {
                cells += 1;
            }
        }
        cells
    }
}

/// Cover cells of one session, received.
pub(crate) struct Opened {
    pair: Pair,
    cells: Vec<Datagram>,
    batch: usize,
}

impl Opened {
    pub(crate) fn new(batch: usize) -> Self {
        let (pair, _) = Pair::open(pair::limits(4), 1, ModePolicy::A);
        Self { pair, cells: Vec::new(), batch }
    }
}

impl Work for Opened {
    fn prepare(&mut self) {
        self.cells.clear();
        let mut datagram = [0; DATAGRAM_LEN];
        while self.cells.len() < self.batch {
            self.pair.now = self.pair.now + INTERVAL;
            self.pair.server.handle_timeout(self.pair.now);
            while transmit(&mut self.pair.server, &mut datagram).is_some() {
                self.cells.push(datagram);
            }
        }
    }

    fn run(&mut self) -> usize {
        let client = &mut self.pair.client;
        let before = client.metrics().cells_received;
        for cell in &mut self.cells {
            client.handle_datagram(self.pair.now, server_path(), cell);
            assert!(client.poll_event().is_none(), "cover is no event");
        }
        assert_eq!(client.metrics().cells_received - before, self.cells.len() as u64);
        self.cells.len()
    }
}

/// Messages of one cell there, acknowledged by cover back: `send`, a slot at each end, both cells received, `recv`, and
/// the events of both.
pub(crate) struct Messages {
    pair: Pair,
    session: SessionId,
    batch: usize,
}

impl Messages {
    pub(crate) fn new(batch: usize) -> Self {
        let (pair, ids) = Pair::open(pair::limits(4), 1, ModePolicy::A);
        Self { pair, session: ids[0], batch }
    }
}

impl Work for Messages {
    fn run(&mut self) -> usize {
        let Pair { client, server, now } = &mut self.pair;
        let (mut datagram, mut message) = ([0; DATAGRAM_LEN], [0x5a; 1024]);
        let mut delivered = 0;
        for _ in 0..self.batch {
            client.session(self.session).expect("open").send(&message).expect("room");
            *now = *now + INTERVAL;
            client.handle_timeout(*now);
            while transmit(client, &mut datagram).is_some() {
                server.handle_datagram(*now, client_path(), &mut datagram);
            }
            while let Some(event) = server.poll_event() {
                if let Event::Readable(id) = event {
                    let mut session = server.session(id).expect("it has just spoken");
                    while session.recv(&mut message).is_ok() {}
                }
            }
            server.handle_timeout(*now);
            while transmit(server, &mut datagram).is_some() {
                client.handle_datagram(*now, server_path(), &mut datagram);
            }
            delivered += pair::events(client, |event| matches!(event, Event::Delivered(..)));
        }
        assert_eq!(delivered, self.batch, "every message is acknowledged");
        self.batch
    }
}
