//! Datagrams under way.

use std::collections::VecDeque;
use std::net::SocketAddr;

use b4ae_core::DATAGRAM_LEN;

use crate::program::Program;

/// Datagrams kept at most: the oldest is lost.
const MOST: usize = 96;

/// A datagram under way.
#[derive(Clone)]
pub(crate) struct Flight {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: [u8; DATAGRAM_LEN],
}

/// Everything under way.
#[derive(Default)]
pub(crate) struct Wire(VecDeque<Flight>);

impl Wire {
    pub(crate) fn push(&mut self, flight: Flight) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(flight);
    }

    pub(crate) fn all(&mut self) -> VecDeque<Flight> {
        std::mem::take(&mut self.0)
    }

    /// One of them, taken away or not.
    pub(crate) fn pick(&mut self, program: &mut Program<'_>, stays: bool) -> Option<Flight> {
        let at = program.below(self.0.len());
        if stays { self.0.get(at).cloned() } else { self.0.remove(at) }
    }
}
