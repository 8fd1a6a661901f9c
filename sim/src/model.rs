//! The reference: what delivery means, kept beside the run and compared with it.
//!
//! Two ends of one session are paired by their exporter secret, which no two sessions share. Ordered messages come
//! once, in the order of sending; unordered ones once; nothing comes that was not sent; `Closed` comes once, last.

use std::collections::BTreeMap;

use b4ae_core::{CloseReason, MessageId, Mode, ModePolicy, PeerId, SessionId};
use blake2::digest::consts::U16;
use blake2::{Blake2b, Digest};

use crate::violation::Violation;

/// One end of one session, for good: a host that restarts begins another life.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct End {
    pub(crate) host: u16,
    pub(crate) life: u32,
    pub(crate) session: SessionId,
}

type Digest128 = [u8; 16];

#[derive(Debug)]
struct Sent {
    digest: Digest128,
    ordered: bool,
    arrived: bool,
    confirmed: bool,
}

#[derive(Debug, Default)]
struct Side {
    /// The fingerprint `connect` was called with.
    wanted: Option<(PeerId, ModePolicy)>,
    own: Option<PeerId>,
    peer: Option<PeerId>,
    mode: Option<Mode>,
    partner: Option<End>,
    sent: Vec<Sent>,
    /// Ordered messages of the partner that have been taken.
    next: usize,
    /// Taken before the partner was known.
    unchecked: Vec<Digest128>,
    taken: u64,
    open: bool,
    /// The host crashed: nothing is owed to or by this end any more.
    gone: bool,
    closed: Option<CloseReason>,
}

/// What has become of one end of one session.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Delivery {
    /// Whether the session has opened.
    pub opened: bool,
    /// Why it has closed, if it has.
    pub closed: Option<CloseReason>,
    /// Messages sent from this end.
    pub sent: u64,
    /// Those the peer's application has taken.
    pub arrived: u64,
    /// Those the engine has reported as delivered.
    pub confirmed: u64,
    /// Messages this end's application has taken.
    pub taken: u64,
}

/// The reference model.
#[derive(Debug, Default)]
pub(crate) struct Model {
    sides: BTreeMap<End, Side>,
    halves: BTreeMap<[u8; 32], End>,
}

fn digest(message: &[u8]) -> Digest128 {
    Blake2b::<U16>::digest(message).into()
}

impl Model {
    pub(crate) fn connects(&mut self, end: End, peer: PeerId, modes: ModePolicy) {
        self.sides.entry(end).or_default().wanted = Some((peer, modes));
    }

    /// An end opened: checks who and how, and pairs it with the other end if that is there.
    pub(crate) fn opens(
        &mut self,
        end: End,
        own: PeerId,
        peer: PeerId,
        mode: Option<Mode>,
        exporter: [u8; 32],
    ) -> Result<(), Violation> {
        let side = self.sides.entry(end).or_default();
        if side.open || side.closed.is_some() {
            return Err(Violation::OpenedTwice { session: end.session });
        }
        let Some(agreed) = mode else {
            return Err(Violation::Anonymous { session: end.session });
        };
        if side.wanted.is_some_and(|(wanted, modes)| wanted != peer || !modes.contains(agreed)) {
            return Err(Violation::WrongPeer { session: end.session });
        }
        (side.open, side.own, side.peer, side.mode) = (true, Some(own), Some(peer), mode);
        let Some(other) = self.halves.insert(exporter, end) else { return Ok(()) };
        let partner = self.sides.entry(other).or_default();
        if partner.partner.is_some() || (partner.own, partner.peer, partner.mode) != (Some(peer), Some(own), mode) {
            return Err(Violation::WrongPeer { session: end.session });
        }
        partner.partner = Some(end);
        self.sides.entry(end).or_default().partner = Some(other);
        self.settle(end)?;
        self.settle(other)
    }

    pub(crate) fn sends(&mut self, end: End, id: MessageId, message: &[u8], ordered: bool) -> Result<(), Violation> {
        let side = self.sides.entry(end).or_default();
        if id.0 != side.sent.len() as u64 {
            return Err(Violation::MessageId { session: end.session, id });
        }
        side.sent.push(Sent { digest: digest(message), ordered, arrived: false, confirmed: false });
        Ok(())
    }

    pub(crate) fn takes(&mut self, end: End, message: &[u8]) -> Result<(), Violation> {
        let side = self.sides.entry(end).or_default();
        side.taken += 1;
        side.unchecked.push(digest(message));
        self.settle(end)
    }

    pub(crate) fn confirmed(&mut self, end: End, id: MessageId) -> Result<(), Violation> {
        let side = self.sides.entry(end).or_default();
        let sent = usize::try_from(id.0).ok().and_then(|n| side.sent.get_mut(n));
        match sent {
            Some(sent) if !sent.confirmed => {
                sent.confirmed = true;
                Ok(())
            }
            _ => Err(Violation::MessageId { session: end.session, id }),
        }
    }

    /// An event arrived for this end; none may after its `Closed`.
    pub(crate) fn is_alive(&self, end: End) -> Result<(), Violation> {
        if self.sides.get(&end).is_some_and(|side| side.closed.is_some()) {
            return Err(Violation::AfterClosed { session: end.session });
        }
        Ok(())
    }

    pub(crate) fn closes(&mut self, end: End, reason: CloseReason) {
        self.sides.entry(end).or_default().closed = Some(reason);
    }

    /// The host crashed, and every session with it.
    pub(crate) fn crashes(&mut self, host: u16) {
        for (end, side) in &mut self.sides {
            side.gone |= end.host == host;
        }
    }

    pub(crate) fn delivery(&self, end: End) -> Delivery {
        let Some(side) = self.sides.get(&end) else { return Delivery::default() };
        let count = |f: fn(&Sent) -> bool| side.sent.iter().filter(|sent| f(sent)).count() as u64;
        Delivery {
            opened: side.open,
            closed: side.closed,
            sent: side.sent.len() as u64,
            arrived: count(|sent| sent.arrived),
            confirmed: count(|sent| sent.confirmed),
            taken: side.taken,
        }
    }

    pub(crate) fn partner(&self, end: End) -> Option<End> {
        self.sides.get(&end)?.partner
    }

    /// Whether everything sent so far has been taken and confirmed, on every end that is still open.
    pub(crate) fn all_arrived(&self) -> bool {
        self.sides
            .values()
            .filter(|side| side.closed.is_none() && !side.gone)
            .all(|side| side.sent.iter().all(|sent| sent.arrived && sent.confirmed))
    }

    /// Checks what `end` has taken against what its partner sent.
    fn settle(&mut self, end: End) -> Result<(), Violation> {
        let Some(side) = self.sides.get_mut(&end) else { return Ok(()) };
        let Some(partner) = side.partner else { return Ok(()) };
        let (unchecked, mut next) = (std::mem::take(&mut side.unchecked), side.next);
        let Some(partner) = self.sides.get_mut(&partner) else { return Ok(()) };
        for digest in unchecked {
            while partner.sent.get(next).is_some_and(|sent| !sent.ordered) {
                next += 1;
            }
            if let Some(sent) = partner.sent.get_mut(next).filter(|sent| sent.digest == digest) {
                sent.arrived = true;
                next += 1;
                continue;
            }
            let same = |sent: &&mut Sent| sent.digest == digest;
            if let Some(sent) = partner.sent.iter_mut().filter(same).find(|sent| !sent.ordered && !sent.arrived) {
                sent.arrived = true;
                continue;
            }
            let mut known = partner.sent.iter().filter(|sent| sent.digest == digest);
            let session = end.session;
            return Err(match known.next() {
                None => Violation::Invented { session },
                Some(sent) if sent.arrived => Violation::Doubled { session },
                Some(_) => Violation::OutOfOrder { session },
            });
        }
        if let Some(side) = self.sides.get_mut(&end) {
            side.next = next;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two ends of one session, `0` the initiator.
    fn pair() -> (Model, End, End) {
        let mut model = Model::default();
        let end = |host| End { host, life: 0, session: SessionId::from_raw(host.into()) };
        let peer = |n| PeerId::from_bytes([n; 32]);
        model.connects(end(0), peer(1), ModePolicy::A);
        model.opens(end(1), peer(1), peer(0), Some(Mode::A), [7; 32]).expect("the responder opens");
        model.opens(end(0), peer(0), peer(1), Some(Mode::A), [7; 32]).expect("the initiator opens");
        (model, end(0), end(1))
    }

    #[test]
    fn in_order_is_accepted_and_counted() {
        let (mut model, a, b) = pair();
        for (n, text) in [b"one", b"two"].iter().enumerate() {
            model.sends(a, MessageId(n as u64), *text, true).expect("counted from zero");
            model.takes(b, *text).expect("in order");
            model.confirmed(a, MessageId(n as u64)).expect("once");
        }
        assert!(model.all_arrived());
        assert_eq!(model.delivery(a).arrived, 2);
    }

    #[test]
    fn doubled_swapped_and_invented_messages_are_told_apart() {
        let (mut model, a, b) = pair();
        for (n, text) in [b"one", b"two", b"xxx"].iter().enumerate() {
            model.sends(a, MessageId(n as u64), *text, true).expect("counted from zero");
        }
        assert_eq!(model.takes(b, b"two"), Err(Violation::OutOfOrder { session: b.session }));
        assert_eq!(model.takes(b, b"one"), Ok(()));
        assert_eq!(model.takes(b, b"one"), Err(Violation::Doubled { session: b.session }));
        assert_eq!(model.takes(b, b"six"), Err(Violation::Invented { session: b.session }));
    }

    #[test]
    fn unordered_messages_come_in_any_order_but_once() {
        let (mut model, a, b) = pair();
        for (n, text) in [b"one", b"two"].iter().enumerate() {
            model.sends(a, MessageId(n as u64), *text, false).expect("counted from zero");
        }
        assert_eq!(model.takes(b, b"two"), Ok(()));
        assert_eq!(model.takes(b, b"one"), Ok(()));
        assert_eq!(model.takes(b, b"one"), Err(Violation::Doubled { session: b.session }));
    }

    #[test]
    fn a_session_with_another_peer_or_in_another_mode_is_noticed() {
        let end = End { host: 0, life: 0, session: SessionId::from_raw(0) };
        let peer = |n| PeerId::from_bytes([n; 32]);
        for (who, mode) in [(2, Mode::A), (1, Mode::B)] {
            let mut model = Model::default();
            model.connects(end, peer(1), ModePolicy::A);
            let opened = model.opens(end, peer(0), peer(who), Some(mode), [7; 32]);
            assert_eq!(opened, Err(Violation::WrongPeer { session: end.session }));
        }
    }
}
