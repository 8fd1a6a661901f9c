//! Datagrams coming in.

use super::{Engine, Route, Timer};
use crate::error::CloseReason;
use crate::session::entry::Opened;
use crate::session::link::NotOpened;
use crate::time::Instant;
use crate::transmit::{DATAGRAM_LEN, Path};
use crate::wire::cell::{self, Control};

impl Engine {
    /// Takes in a datagram, decrypting in place. Bounded work; junk is counted, never an error; with protected
    /// traffic nothing is sent because of it but the answers of a handshake.
    pub fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &mut [u8]) {
        self.tick(now);
        let Ok(datagram) = <&mut [u8; DATAGRAM_LEN]>::try_from(datagram) else {
            self.metrics.drops.length += 1;
            return;
        };
        let cid: [u8; 8] = *datagram.first_chunk().expect("8 of 1200");
        match self.routes.get(&cid) {
            Some(Route::Session(slot)) => self.session_datagram(slot, cid, path, datagram),
            Some(Route::HalfOpen(slot)) => self.finish_fragment(slot, path, datagram),
            None => self.knock(path, datagram),
        }
    }

    fn session_datagram(&mut self, slot: u32, cid: [u8; 8], path: Path, datagram: &mut [u8; DATAGRAM_LEN]) {
        let now = self.now;
        let Some(entry) = self.sessions.get_mut(slot) else { return };
        match &mut entry.link {
            Some(link) if link.receive_cid == cid => match link.open(now, &mut self.work, datagram) {
                Ok((counter, text)) => match cell::read(text) {
                    Some((control, fragment)) => self.opened(slot, path, counter, &control, fragment),
                    None => self.metrics.drops.protocol += 1,
                },
                Err(NotOpened::Unauthentic) => self.metrics.drops.unauthentic += 1,
                Err(NotOpened::Replayed) => self.metrics.drops.replayed += 1,
            },
            _ => self.dial_receive(slot, datagram),
        }
    }

    /// An authentic cell.
    fn opened(&mut self, slot: u32, path: Path, counter: u64, control: &Control, fragment: Option<cell::Data<'_>>) {
        let now = self.now;
        self.metrics.cells_received += 1;
        self.confirm_dial(slot);
        let Some(entry) = self.sessions.get_mut(slot) else { return };
        let Some(link) = entry.link.as_deref_mut() else { return };
        link.last_heard = now;
        if link.heard.note(counter) {
            link.route.heard(path, &mut self.random.secret);
        }
        if let Some(token) = control.path_challenge {
            link.route.challenged(token);
        }
        link.breaker.heard(control.heard);
        let moved = control.path_response.is_some_and(|token| link.route.proved(token));
        let close_heard = control.heard.cells > 0 && link.close_told.is_some_and(|told| control.heard.largest >= told);
        if moved {
            entry.set_path_changed();
        }

        entry.queue.credit(control.message_limit, control.cell_limit);
        let confirmed = entry.acknowledged(control.ack.as_ref(), control.heard.largest, now);
        self.metrics.messages_delivered += confirmed;

        // A message that one side cannot take, or begin, would stop all those after it: better said than silent.
        let mut unfit = entry.ended.is_none() && entry.queue.is_stuck();
        if let Some((fragment, data)) = fragment.filter(|_| entry.ended.is_none()) {
            let taken = entry.inbox.insert(&fragment, data);
            if taken.is_ok()
                && let Some(link) = &mut entry.link
            {
                link.received.note(counter);
            }
            if taken == Ok(true) {
                entry.set_readable();
            }
            self.metrics.drops.protocol += u64::from(taken.is_err());
            unfit |= taken.is_err();
        }
        if unfit {
            self.end_session(slot, CloseReason::Protocol);
        } else if close_heard {
            self.end_session(slot, CloseReason::Local);
        } else if control.close {
            let closing = self.sessions.get(slot).is_some_and(|entry| entry.closing.is_some());
            self.end_session(slot, if closing { CloseReason::Local } else { CloseReason::Peer });
        }
        self.note_room(slot);
        self.list(slot);
        self.pace_low_overhead(slot, fragment.is_some());
    }

    /// The peer's first cell: it holds the keys, and has our Finish.
    fn confirm_dial(&mut self, slot: u32) {
        let Some(generation) = self.sessions.generation(slot) else { return };
        let Some(entry) = self.sessions.get_mut(slot) else { return };
        let Some(dial) = entry.dial.take() else { return };
        entry.open(Opened::ByUs);
        self.timers.remove(&(dial.timer, Timer::Dial(slot, generation)));
        self.routes.remove(&dial.cid());
        self.outgoing.remove(&super::Outgoing::Session(slot));
        self.metrics.handshakes -= 1;
        self.metrics.handshakes_completed += 1;
    }
}
