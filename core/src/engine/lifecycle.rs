//! A session's life: it joins the schedule, closes, ends, and leaves its slots when that does not show.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::dial::Dial;
use super::routes::Route;
use super::{Engine, Outgoing, Timer};
use crate::error::CloseReason;
use crate::session::SessionId;
use crate::session::link::{Link, Side};
use crate::time::{Instant, nanos};

impl Engine {
    /// Gives keys to a session, and slots from now on.
    pub(super) fn join(&mut self, slot: u32, link: Box<Link>) {
        let cid = link.receive_cid;
        let Some(generation) = self.sessions.generation(slot) else { return };
        let Some(entry) = self.sessions.get_mut(slot) else { return };
        if link.side == Side::Responder {
            self.places.take(link.opened_from);
        }
        entry.link = Some(link);
        self.routes.insert(cid, Route::Session(slot));
        self.metrics.sessions += 1;
        if self.config.traffic.is_protected() {
            self.scheduler.join(slot, self.now);
        } else {
            self.start_low_overhead(slot, generation);
        }
    }

    /// Protected traffic: takes a session out of the schedule if its time to leave has come. It has just had its slot
    /// at `at`, the last it gets: which slot that is does not depend on when within an earlier period it was
    /// closed, as long as four of its slots come in a period.
    pub(super) fn leave_schedule(&mut self, slot: u32, at: Instant) {
        #[cfg(b4ae_mutants)]
        let at = self.mutant_leave_time(at);
        let boundary = self.config.traffic.leave_boundary;
        if !self.scheduler.may_leave() {
            return;
        }
        let Some(link) = self.sessions.get_mut(slot).and_then(|entry| entry.link.as_deref_mut()) else { return };
        let Some(leaves) = link.leaves.filter(|&leaves| leaves <= at) else { return };
        if link.has_said_farewell() {
            self.scheduler.leave(slot);
            self.unlink(slot);
        } else {
            link.leaves = Some(leaves + boundary);
        }
    }

    /// Wipes a session's keys; the schedule knows it no more.
    pub(super) fn unlink(&mut self, slot: u32) {
        let Some(generation) = self.sessions.generation(slot) else { return };
        let Some(entry) = self.sessions.get_mut(slot) else { return };
        if let Some(link) = entry.link.take() {
            let timers = [
                link.cover_timer.map(|at| (at, Timer::Cover(slot, generation))),
                link.payload_timer.map(|at| (at, Timer::Payload(slot, generation))),
            ];
            for timer in timers.into_iter().flatten() {
                self.timers.remove(&timer);
            }
            if link.side == Side::Responder {
                self.places.give_back(link.opened_from);
            }
            self.routes.remove(&link.receive_cid);
            self.metrics.sessions -= 1;
        }
        self.retire(slot);
    }

    /// Frees the place of a session that is over for the application and for the schedule.
    pub(super) fn retire(&mut self, slot: u32) {
        if self.sessions.get(slot).is_some_and(|entry| entry.told && entry.link.is_none()) {
            self.sessions.remove(slot);
        }
    }

    /// Begins a graceful close: what is queued is still delivered.
    pub(crate) fn close_session(&mut self, slot: u32) {
        let now = self.now;
        let Some(entry) = self.sessions.get_mut(slot) else { return };
        entry.closing.get_or_insert(now);
        entry.more = false;
        if entry.link.is_none() && entry.queue.is_empty() {
            // Nothing to deliver, and nobody to tell.
            self.end_session(slot, CloseReason::Local);
        }
        self.list(slot);
    }

    /// Begins a graceful close for which there are still messages to be queued.
    pub(crate) fn begin_close_session(&mut self, slot: u32) {
        let now = self.now;
        let Some(entry) = self.sessions.get_mut(slot) else { return };
        if entry.closing.is_none() {
            entry.closing = Some(now);
            entry.more = true;
        }
        self.list(slot);
    }

    /// Ends a session for the application. Its slots go on until the leave boundary, so that the end does not show.
    pub(crate) fn end_session(&mut self, slot: u32, reason: CloseReason) {
        let now = self.now;
        let Some(generation) = self.sessions.generation(slot) else { return };
        let Some(entry) = self.sessions.get_mut(slot) else { return };
        if entry.ended.is_some() {
            return;
        }
        let dial = entry.dial.take();
        self.metrics.handshakes -= u32::from(dial.is_some());
        entry.end(reason);
        let protected = self.config.traffic.is_protected();
        if let Some(link) = &mut entry.link {
            let boundary = nanos(self.config.traffic.leave_boundary).max(1);
            let next = (now.as_nanos() / boundary + 1).saturating_mul(boundary);
            let unheard = dial.is_some() || reason == CloseReason::Idle;
            link.leaves = Some(if unheard || !protected { now } else { Instant::from_nanos(next) });
            if unheard {
                link.skip_farewell();
            }
        }
        if let Some(dial) = dial {
            self.metrics.handshakes_failed += 1;
            self.timers.remove(&(dial.timer, Timer::Dial(slot, generation)));
            self.routes.remove(&dial.cid());
            self.outgoing.remove(&Outgoing::Session(slot));
            // The next tenant of the place may have jobs of its own: there is never more than one a session.
            let ticket = Dial::ticket(SessionId { slot, generation });
            self.jobs.retain(|job| job.ticket != ticket);
        }
        self.list(slot);
    }

    /// A peer that is heard no more gets no more, whether or not the session was over for the application before: how
    /// long cells go on to somebody who does not answer tells nothing of it.
    pub(super) fn fall_silent(&mut self, slot: u32) {
        let now = self.now;
        if let Some(link) = self.sessions.get_mut(slot).and_then(|entry| entry.link.as_deref_mut()) {
            link.leaves = Some(now);
            link.skip_farewell();
        }
    }

    /// Ends everything at once.
    pub(super) fn drop_all(&mut self) {
        let sessions: Vec<_> = self.sessions.iter().map(|(slot, _)| slot).collect();
        self.scheduler.clear();
        for slot in sessions {
            self.end_session(slot, CloseReason::Local);
            self.unlink(slot);
        }
        let half_open: Vec<_> = self.half_open.iter().map(|(slot, _)| slot).collect();
        half_open.into_iter().for_each(|slot| self.drop_half_open(slot));
        self.challenges.clear();
        self.jobs.clear();
        self.due.clear();
    }
}
