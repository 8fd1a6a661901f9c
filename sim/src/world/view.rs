//! What can be read off a world.

use std::net::SocketAddr;

use b4ae_core::{Engine, Event, Instant, PeerId, SessionId};

use super::{HostId, World};
use crate::host::{Departure, Host};
use crate::model::Delivery;
use crate::observer::Observer;
use crate::trace::Trace;

impl World {
    /// When the next thing happens.
    pub fn next_due(&self) -> Option<Instant> {
        let network = self.queue.keys().next().map(|key| key.0);
        self.hosts.iter().filter_map(Host::due).chain(network).min()
    }

    /// The address at which others see a host.
    pub fn addr(&self, id: HostId) -> SocketAddr {
        self.host(id).nat.public()
    }

    /// A host's fingerprint.
    pub fn peer_id(&self, id: HostId) -> PeerId {
        self.host(id).identity().peer_id()
    }

    /// A host's engine, unless it has crashed.
    pub fn engine(&self, id: HostId) -> Option<&Engine> {
        self.host(id).engine.as_ref()
    }

    /// A host's engine to call directly. Messages sent or taken this way are unknown to the reference model.
    pub fn engine_mut(&mut self, id: HostId) -> Option<&mut Engine> {
        self.host_mut(id).engine.as_mut()
    }

    /// Every event of a host so far.
    pub fn events(&self, id: HostId) -> &[(Instant, Event)] {
        &self.host(id).events
    }

    /// A host's sessions that have opened and not closed, in order of opening.
    pub fn sessions(&self, id: HostId) -> Vec<SessionId> {
        let mut open = Vec::new();
        for (_, event) in self.events(id) {
            match event {
                Event::Incoming(session) | Event::Established(session) => open.push(*session),
                Event::Closed(session, _) => open.retain(|other| other != session),
                _ => {}
            }
        }
        open
    }

    /// Every datagram a host has sent, in order.
    pub fn departures(&self, id: HostId) -> &[Departure] {
        &self.host(id).departures
    }

    /// Every time a host's timer woke it.
    pub fn wakes(&self, id: HostId) -> &[Instant] {
        &self.host(id).wakes
    }

    /// Messages a host has taken, if its spec said to keep them.
    pub fn messages(&self, id: HostId) -> &[(SessionId, Vec<u8>)] {
        &self.host(id).messages
    }

    /// What has become of a session, seen from one end.
    pub fn delivery(&self, id: HostId, session: SessionId) -> Delivery {
        self.model.delivery(self.host(id).end(session))
    }

    /// The other end of a session, once both are open.
    pub fn partner(&self, id: HostId, session: SessionId) -> Option<(HostId, SessionId)> {
        self.model.partner(self.host(id).end(session)).map(|end| (HostId(end.host), end.session))
    }

    /// Whether every message sent so far has been taken by the peer's application and reported as delivered, but for
    /// sessions that have closed.
    pub fn all_arrived(&self) -> bool {
        self.model.all_arrived()
    }

    /// The adversary on the links.
    pub const fn observer(&self) -> &Observer {
        &self.observer
    }

    /// Makes the observer forget what it has seen so far.
    pub fn forget_observations(&mut self) {
        self.observer.forget();
    }

    /// The record of the run.
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The fixed address of a host, behind any address translation.
    pub fn inner_addr(&self, id: HostId) -> SocketAddr {
        self.host(id).addr()
    }
}
