//! Datagrams going out: cells in their slots, handshakes beside them.

use core::time::Duration;

use super::{Engine, Outgoing, Timer};
use crate::config::{Limits, Pattern};
use crate::error::CloseReason;
use crate::time::{Instant, nanos};
use crate::transmit::{DATAGRAM_LEN, Path, Transmit, TransmitKind, TxBuf};
use crate::wire::cell::{self, COUNTER_END, Control};

impl Engine {
    /// The next datagram to send, written into `buf`; hold it until [`Transmit::due`]. Call until `None`.
    pub fn poll_transmit(&mut self, buf: TxBuf<'_>) -> Option<Transmit> {
        let out = buf.datagram();
        if let Some(cell) = self.next_cell(out) {
            self.metrics.cells_sent += 1;
            return Some(cell);
        }
        let path = self.write_challenge(out).or_else(|| self.next_handshake(out))?;
        self.metrics.handshake_datagrams_sent += 1;
        Some(Transmit { path, len: DATAGRAM_LEN, due: self.now, kind: TransmitKind::Handshake })
    }

    fn next_handshake(&mut self, out: &mut [u8; DATAGRAM_LEN]) -> Option<Path> {
        while let Some(&outgoing) = self.outgoing.first() {
            let random = &mut self.random.public;
            let (path, more) = match outgoing {
                Outgoing::Session(slot) => {
                    match self.sessions.get_mut(slot).and_then(|entry| entry.dial.as_deref_mut()) {
                        Some(dial) => (dial.write(random, out), dial.has_datagrams()),
                        None => (None, false),
                    }
                }
                Outgoing::HalfOpen(slot) => match self.half_open.get_mut(slot) {
                    Some(half) => (half.write(random, out), half.has_datagrams()),
                    None => (None, false),
                },
            };
            if !more {
                self.outgoing.remove(&outgoing);
            }
            if path.is_some() {
                return path;
            }
        }
        None
    }

    fn next_cell(&mut self, out: &mut [u8; DATAGRAM_LEN]) -> Option<Transmit> {
        while let Some((slot, generation, due)) = self.due.pop_front() {
            if self.sessions.generation(slot) == Some(generation)
                && let Some(cell) = self.seal(slot, due, out)
            {
                self.pace_low_overhead(slot, false);
                return Some(cell);
            }
        }
        while let Some((owner, due)) = self.scheduler.step() {
            let cell = self.seal_slot(owner, due, out);
            self.leave_schedule(owner, due.max(self.now));
            if cell.is_some() {
                return cell;
            }
        }
        None
    }

    fn seal_slot(&mut self, owner: u32, due: Instant, out: &mut [u8; DATAGRAM_LEN]) -> Option<Transmit> {
        #[cfg(b4ae_mutants)]
        self.mutant_draw(owner);
        #[cfg(b4ae_mutants)]
        let owner = self.mutant_owner(owner)?;
        self.seal(owner, due, out)
    }

    /// Seals the next cell of the session: payload if it may and has any, else cover. The same work either way, and
    /// the same destination.
    fn seal(&mut self, slot: u32, due: Instant, out: &mut [u8; DATAGRAM_LEN]) -> Option<Transmit> {
        let now = self.now;
        let len = DATAGRAM_LEN;
        #[cfg(b4ae_mutants)]
        let len = self.mutant_len(slot, len);
        let traffic = &self.config.traffic;
        let entry = self.sessions.get_mut(slot)?;
        let closing = entry.ended.is_some() || entry.has_said_all();
        let link = entry.link.as_deref_mut()?;
        if traffic.circuit_breaker && traffic.is_protected() && !link.breaker.uses_slot(now) {
            return None;
        }

        let idle = now - link.last_heard > self.config.idle_timeout || link.next_counter() + 1 >= COUNTER_END;
        // A handshake that is not over has a time limit of its own.
        let abandoned =
            entry.dial.is_none() && entry.closing.is_some_and(|since| now - since > self.config.closing_timeout());
        let counter = link.next_counter();
        if closing && entry.dial.is_none() {
            link.close_told.get_or_insert(counter);
        }
        let (path, path_challenge) = link.route.next(due);
        let (message_limit, cell_limit) = entry.inbox.credit();
        let control = Control {
            heard: link.heard,
            ack: link.received.ack(),
            close: link.close_told.is_some(),
            message_limit,
            cell_limit,
            path_challenge,
            path_response: link.route.take_response(),
        };
        let reserved = link.reserved_slot(traffic.dummy_permille);
        let fresh = !reserved || entry.queue.waited(now) >= traffic.max_queue_latency;
        let sent_again = entry.queue.retransmissions;
        let next = if entry.ended.is_some() { None } else { entry.queue.next(counter, now, fresh) };
        let text = cell::text_mut(out);
        match next {
            Some((fragment, data)) => cell::write(text, &control, Some(&fragment), data),
            None => cell::write(text, &control, None, &[]),
        }
        link.seal(&mut self.work, out);
        self.metrics.retransmissions += entry.queue.retransmissions - sent_again;
        link.say_farewell();

        if idle {
            self.end_session(slot, CloseReason::Idle);
            self.fall_silent(slot);
        } else if abandoned {
            self.end_session(slot, CloseReason::Local);
        }
        self.note_room(slot);
        Some(Transmit { path, len, due, kind: TransmitKind::Cell })
    }

    /// Low-overhead traffic: the first cover of a session.
    pub(super) fn start_low_overhead(&mut self, slot: u32, generation: u32) {
        let now = self.now;
        self.set_cover_timer(slot, generation, now);
    }

    fn set_cover_timer(&mut self, slot: u32, generation: u32, at: Instant) {
        if let Some(link) = self.sessions.named(slot, generation).and_then(|entry| entry.link.as_deref_mut()) {
            link.cover_timer = Some(at);
            self.timers.insert((at, Timer::Cover(slot, generation)));
        }
    }

    /// Low-overhead traffic: a cover cell is due, and the next one's time is drawn.
    pub(super) fn cover_due(&mut self, slot: u32, generation: u32, at: Instant) {
        let Pattern::LowOverhead { cover_mean, .. } = self.config.traffic.pattern else { return };
        if self.leave_low_overhead(slot, generation) {
            return;
        }
        let gap = exponential(nanos(cover_mean), &mut self.random.public);
        // After a pause the gaps start anew: never a burst.
        let from = if self.now - at > cover_mean { self.now } else { at };
        self.set_cover_timer(slot, generation, from + Duration::from_nanos(gap));
        self.push_due(slot, generation, at);
    }

    /// Low-overhead traffic: a cell is to be sealed, unless the driver has left as many as there can be in time.
    fn push_due(&mut self, slot: u32, generation: u32, at: Instant) {
        if self.due.len() < max_due(&self.config.limits) {
            self.due.push_back((slot, generation, at));
        }
    }

    /// Low-overhead traffic: a cell with something to say is due.
    pub(super) fn payload_due(&mut self, slot: u32, generation: u32, at: Instant) {
        if self.leave_low_overhead(slot, generation) {
            return;
        }
        if let Some(link) = self.sessions.get_mut(slot).and_then(|entry| entry.link.as_deref_mut()) {
            link.payload_timer = None;
            self.push_due(slot, generation, at);
        }
    }

    /// Whether the session is gone, or has just left.
    fn leave_low_overhead(&mut self, slot: u32, generation: u32) -> bool {
        let Some(entry) = self.sessions.named(slot, generation) else { return true };
        let Some(link) = &entry.link else { return true };
        // The close is told a few times before the keys go.
        if link.leaves.is_some() && link.has_said_farewell() {
            self.unlink(slot);
            return true;
        }
        false
    }

    /// Low-overhead traffic: sees to it that a cell leaves for what the session has to say, after a random delay.
    pub(crate) fn pace_low_overhead(&mut self, slot: u32, owes_ack: bool) {
        let Pattern::LowOverhead { delay_min, delay_max, .. } = self.config.traffic.pattern else { return };
        let now = self.now;
        let Some(generation) = self.sessions.generation(slot) else { return };
        let Some(entry) = self.sessions.get_mut(slot) else { return };
        let closing = entry.has_said_all() && entry.ended.is_none();
        let Some(link) = entry.link.as_deref_mut() else { return };
        let at = if entry.queue.wants_slot(now) || owes_ack || closing || link.leaves.is_some() {
            let spread = nanos(delay_max) - nanos(delay_min);
            let delay = exponential(spread / 2, &mut self.random.public).min(spread) + nanos(delay_min);
            now + Duration::from_nanos(delay).max(self.config.traffic.interval)
        } else if let Some(at) = entry.queue.retransmit_at() {
            at.max(now + self.config.traffic.interval)
        } else {
            return;
        };
        if link.payload_timer.is_some_and(|timer| timer <= at) {
            return;
        }
        if let Some(timer) = link.payload_timer.replace(at) {
            self.timers.remove(&(timer, Timer::Payload(slot, generation)));
        }
        self.timers.insert((at, Timer::Payload(slot, generation)));
    }
}

/// Low-overhead traffic: one cell of cover and one of payload a session.
pub(crate) fn max_due(limits: &Limits) -> usize {
    2 * limits.sessions as usize
}

/// An exponentially distributed number with this mean.
fn exponential(mean: u64, random: &mut crate::random::Stream) -> u64 {
    // 53 random bits in (0, 1].
    let uniform = (random.below(1 << 53) + 1) as f64 / (1_u64 << 53) as f64;
    (-libm::log(uniform) * mean as f64) as u64
}
