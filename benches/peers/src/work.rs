//! The same work for every peer.

use std::rc::Rc;

use crate::measure::Work;
use crate::peer::{Pair, Peer};

impl Work for Box<dyn Work> {
    fn prepare(&mut self) {
        self.as_mut().prepare();
    }

    fn run(&mut self) -> usize {
        self.as_mut().run()
    }
}

/// Handshakes, each between two ends that have just been made.
pub(crate) struct Handshakes {
    peer: Rc<dyn Peer>,
    batch: usize,
    pairs: Vec<Box<dyn Pair>>,
}

impl Handshakes {
    pub(crate) fn new(peer: &Rc<dyn Peer>, batch: usize) -> Self {
        Self { peer: Rc::clone(peer), batch, pairs: Vec::new() }
    }
}

impl Work for Handshakes {
    fn prepare(&mut self) {
        self.pairs.clear();
        self.pairs.extend((0..self.batch).map(|_| self.peer.pair(1)));
    }

    fn run(&mut self) -> usize {
        for pair in &mut self.pairs {
            assert!(pair.handshake().datagrams >= 2, "a handshake goes to and fro");
        }
        self.batch
    }
}

/// Messages from one end of a session to the other.
pub(crate) struct Messages {
    pair: Box<dyn Pair>,
    message: Vec<u8>,
    batch: usize,
}

impl Messages {
    pub(crate) fn new(peer: &dyn Peer, length: usize, batch: usize) -> Self {
        let mut pair = peer.pair(1);
        pair.handshake();
        let message = std::iter::repeat_with(|| fastrand::u8(..)).take(length).collect();
        Self { pair, message, batch }
    }
}

impl Work for Messages {
    fn prepare(&mut self) {
        self.pair.settle();
    }

    fn run(&mut self) -> usize {
        for _ in 0..self.batch {
            assert!(self.pair.message(&self.message).bytes > self.message.len(), "the message and a tag");
        }
        self.batch
    }
}
