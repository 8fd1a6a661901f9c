//! Handshakes of others: from a stranger's Hello, answered without remembering it, to a session.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use super::half_open::{AwaitingFinish, HalfOpen, Stage};
use super::{Engine, Outgoing, Route, Timer};
use crate::config::{Accept, Limits};
use crate::crypto::hash;
use crate::handshake::cookie::{Cookie, CookieJar};
use crate::handshake::fragment::{self, Assembly};
use crate::handshake::initiator::Puzzle;
use crate::handshake::message::{self, HELLO_LEN, INIT_LEN, kind};
use crate::handshake::responder::{Accepted, AwaitFinish, RespondRandomness, Responded};
use crate::handshake::{Failed, Hello, NoReply, Prologue};
use crate::identity::PeerId;
use crate::job::{Errand, Job, Outstanding, Ticket, Work};
use crate::mode::Mode;
use crate::secret::Secret;
use crate::session::entry::{Entry, Opened};
use crate::session::link::{Link, Side};
use crate::time::Instant;
use crate::transmit::{DATAGRAM_LEN, Path};
use crate::wire::knock::{self, InitHeader, Knock};
use crate::wire::sealed::{self, Challenge};

/// A handshake that makes no progress, and does not wait for a job of ours, is forgotten after this.
const STALL: Duration = Duration::from_secs(5);
/// The same once its Response is out. The initiator cannot go back from there, and its fourth Finish comes at most 8.75
/// s after the Response.
const FINISH_STALL: Duration = Duration::from_secs(10);
/// A handshake is forgotten after this.
const DEADLINE: Duration = Duration::from_secs(20);

/// Challenges that may wait to be sent.
pub(crate) fn max_challenges(limits: &Limits) -> usize {
    limits.challenges_per_second.min(256) as usize
}

/// The key of Response fragments: known to us and to whom the cookie was told.
pub(crate) fn response_key(cookie_tag: &Secret<32>) -> Secret<32> {
    hash::prf(cookie_tag.expose(), b"B4AE2-response-k", &[])
}

/// Names a cookie in our tables: two handshakes are one only if cookie, address and Hello are the same.
fn cookie_id(cookie_tag: &Secret<32>) -> [u8; 32] {
    *hash::prf(cookie_tag.expose(), b"B4AE2-cookie-id.", &[]).expose()
}

/// A Challenge to be sent: all that is kept of a stranger, and only until the next `poll_transmit`.
pub(crate) struct Pending {
    path: Path,
    cid: [u8; 8],
    hello_hash: [u8; 32],
    /// Whether a handshake with it takes a signature of ours.
    signs: bool,
}

impl Engine {
    /// A datagram with no connection id of ours.
    pub(crate) fn knock(&mut self, path: Path, datagram: &mut [u8; DATAGRAM_LEN]) {
        if self.accept_bits == 0 || self.shutdown.is_some() {
            self.metrics.drops.stranger += 1;
            return;
        }
        match knock::read(&self.own_keys, datagram) {
            None => self.metrics.drops.stranger += 1,
            Some(Knock::Hello(hello)) => self.challenge(path, hello.cid(), || hello.hash(), self.signs(&hello)),
            Some(Knock::Init(header)) => self.init_fragment(path, &header, datagram),
        }
    }

    /// Queues a Challenge, within the budget of the unverified: beyond it, not even the Hello's hash is computed.
    fn challenge(&mut self, path: Path, cid: [u8; 8], hello_hash: impl FnOnce() -> [u8; 32], signs: bool) {
        let per_second = self.config.limits.challenges_per_second;
        let full = self.challenges.len() >= max_challenges(&self.config.limits);
        if full || !self.challenge_bucket.take(self.now, per_second, per_second / 10) {
            self.metrics.drops.limited += 1;
            return;
        }
        self.challenges.push_back(Pending { path, cid, hello_hash: hello_hash(), signs });
    }

    /// Writes the next Challenge. Nothing is remembered: the cookie comes back with the Init.
    pub(crate) fn write_challenge(&mut self, out: &mut [u8; DATAGRAM_LEN]) -> Option<Path> {
        let Pending { path, cid, hello_hash, signs } = self.challenges.pop_front()?;
        let limits = &self.config.limits;
        self.pressure.look(self.now, self.half_open.len(), limits.half_open);
        self.signing_pressure.look(self.now, self.pending_signatures.count(), limits.pending_signatures);
        let cookie = Cookie {
            time: CookieJar::time(self.now),
            nonce: self.random.public.bytes(),
            puzzle_bits: self.puzzle_bits(signs),
            accept: self.accept_bits,
            stamp: [0; 8],
        };
        let (cookie, tag) = self.jar.issue(cookie, path.remote(), &hello_hash);
        let key = sealed::challenge_key(&self.own_keys.challenge, &hello_hash);
        sealed::write_challenge(&key, &cid, &Challenge { cookie, tag }, &mut self.random.public, out);
        self.metrics.challenges_sent += 1;
        Some(path)
    }

    /// Whether a handshake that begins with this Hello takes a signature of ours.
    fn signs(&self, hello: &Hello) -> bool {
        message::select(hello.offer(), self.accept_bits) == Some(Mode::B)
    }

    /// How hard a puzzle to ask now. Whoever needs no signature pays nothing for a signer that is slow, and for one
    /// that never comes back nothing for ever.
    pub(crate) fn puzzle_bits(&self, signs: bool) -> u8 {
        let signing = if signs { self.signing_pressure.bits() } else { 0 };
        self.pressure.bits().max(signing).max(self.config.puzzle_bits_min)
    }

    /// An Init fragment that knows our fingerprint; its cookie is still to be checked.
    fn init_fragment(&mut self, path: Path, header: &InitHeader, datagram: &mut [u8; DATAGRAM_LEN]) {
        let Some(tag) = self.jar.check(&header.cookie, path.remote(), &header.hello_hash, self.now) else {
            self.metrics.drops.cookie += 1;
            return;
        };
        let Some(chunk) = knock::verify_init(&self.own_keys, &tag, datagram) else {
            self.metrics.drops.cookie += 1;
            return;
        };
        let puzzle =
            Puzzle { cookie: tag.duplicate(), responder: self.identity.peer_id(), bits: header.cookie.puzzle_bits };
        if !puzzle.verify(header.puzzle) {
            self.metrics.drops.puzzle += 1;
            return;
        }
        let id = cookie_id(&tag);
        let known = self.by_cookie.get(&id).copied();
        if known.is_none() && !self.replay.takes(&header.cookie) {
            // Before the prefix is charged for it: it may be a copy of what its owner finished long ago. One Challenge
            // for the fragments of one Init.
            self.metrics.drops.replayed += 1;
            if header.index == 0 {
                // An Init begins with the Hello.
                let hello = chunk.first_chunk().and_then(Hello::parse);
                let hello = hello.filter(|hello| hello.hash() == header.hello_hash);
                let signs = hello.is_none_or(|hello| self.signs(&hello));
                self.challenge(path, header.cid, || header.hello_hash, signs);
            }
            return;
        }
        let Some(slot) = known.or_else(|| self.begin_half_open(path, header, &tag, id)) else { return };
        let Some(half) = self.half_open.get_mut(slot) else { return };
        match &mut half.stage {
            Stage::Init(assembly) => {
                if !assembly.is(header.tag, usize::from(header.len)) {
                    self.metrics.drops.protocol += 1;
                    return;
                }
                assembly.add(header.index, chunk);
                if assembly.is_full() {
                    self.respond(slot);
                }
            }
            Stage::Responding => {}
            Stage::Finish(_) => {
                half.resend(header.have, self.now);
                self.outgoing.insert(Outgoing::HalfOpen(slot));
            }
        }
    }

    /// Room for a handshake whose address a cookie has verified, within its prefix's budget.
    fn begin_half_open(&mut self, path: Path, header: &InitHeader, tag: &Secret<32>, id: [u8; 32]) -> Option<u32> {
        if !self.limiter.admit(path.remote().ip(), self.now, &mut self.random.public) {
            self.metrics.drops.limited += 1;
            return None;
        }
        let assembly = Assembly::new(header.tag, usize::from(header.len), knock::CHUNK, INIT_LEN)?;
        if self.half_open.is_full() {
            let from = self.random.public.below(u64::from(self.config.limits.half_open)) as u32;
            let victim = self.half_open.pick(from)?;
            self.drop_half_open(victim);
            self.metrics.drops.limited += 1;
        }
        let timer = self.now + STALL;
        let half = HalfOpen {
            path,
            cookie_id: id,
            header: *header,
            response_key: response_key(tag),
            stage: Stage::Init(assembly),
            started: self.now,
            timer,
            to_send: 0,
            resent: 0,
            resend_from: self.now,
            errand: None,
        };
        let (slot, generation) = self.half_open.insert(half).ok()?;
        self.by_cookie.insert(id, slot);
        self.timers.insert((timer, Timer::HalfOpen(slot, generation)));
        Some(slot)
    }

    /// The Init is whole: has it answered, if its cookie has not been used before.
    fn respond(&mut self, slot: u32) {
        let Some(generation) = self.half_open.generation(slot) else { return };
        let Some(half) = self.half_open.get_mut(slot) else { return };
        let Stage::Init(assembly) = &mut half.stage else { return };
        let init = assembly.take_message();
        let hello = init.as_ref().and_then(|init| Hello::parse(init.first_chunk::<HELLO_LEN>()?));
        let hello = hello.filter(|hello| hello.hash() == half.header.hello_hash && hello.cid() == half.header.cid);
        let (path, cookie) = (half.path, half.header.cookie);
        let mode = hello.as_ref().and_then(|hello| message::select(hello.offer(), cookie.accept));
        let (Some(init), Some(hello), Some(mode)) = (init, hello, mode) else {
            self.metrics.drops.protocol += 1;
            self.drop_half_open(slot);
            return;
        };
        let signs = mode == Mode::B;
        let pending = if signs { self.place_for_signature(path.remote().ip()) } else { self.place_for_job() };
        let Some(pending) = pending else {
            // Not remembered as used: the initiator's next try may find room.
            self.metrics.drops.limited += 1;
            self.drop_half_open(slot);
            return;
        };
        if !self.replay.insert(&cookie, &mut self.random.public) {
            self.metrics.drops.replayed += 1;
            self.drop_half_open(slot);
            self.challenge(path, hello.cid(), || hello.hash(), signs);
            return;
        }
        if let Some(half) = self.half_open.get_mut(slot) {
            half.stage = Stage::Responding;
        }
        let randomness = RespondRandomness {
            e: self.random.secret.secret(),
            m: self.random.secret.secret(),
            signature: self.random.secret.secret(),
            cid: self.random.public.bytes(),
        };
        let responder = self.identity.peer_id();
        let prologue = Box::new(Prologue { hello, cookie: cookie.to_bytes(), responder });
        let work = Work::Respond { prologue, identity: self.identity.clone(), mode, init, randomness };
        self.send_out(slot, generation, work, pending);
    }

    /// A place in the budget of jobs for handshakes of others that do not sign, unless it is used up.
    fn place_for_job(&self) -> Option<Outstanding> {
        let most = self.config.limits.pending_jobs as usize;
        (self.pending_jobs.count() < most).then(|| self.pending_jobs.one_more())
    }

    /// The same of those that do. However slow the signer is, they take no place from those that do not need it; and
    /// since a host begins handshakes faster than a slow one signs, none has all the places.
    pub(super) fn place_for_signature(&mut self, ip: IpAddr) -> Option<Outstanding> {
        self.pending_signatures.take(ip, self.config.limits.pending_signatures as usize)
    }

    /// Hands out a job for a handshake, which has until its deadline to come back: how slow a signer is, and how many
    /// jobs are before it, is no fault of the peer's.
    fn send_out(&mut self, slot: u32, generation: u32, work: Work, pending: Outstanding) {
        let Some(half) = self.half_open.named(slot, generation) else { return };
        let wanted = half.errand.insert(Errand::default()).wanted();
        let ticket = Ticket::HalfOpen { slot, generation };
        self.jobs.push_back(Job { ticket, work, pending: Some(pending), wanted });
        let deadline = self.now + DEADLINE;
        self.rearm_half_open(slot, deadline);
    }

    /// The Response is made.
    pub(crate) fn responded(&mut self, slot: u32, generation: u32, result: Result<Box<Responded>, NoReply>) {
        let Some(half) = self.half_open.named(slot, generation) else { return };
        half.errand = None;
        let Ok(responded) = result else {
            self.metrics.handshakes_failed += 1;
            self.drop_half_open(slot);
            return;
        };
        let Responded { response, state } = *responded;
        let cid = state.cid;
        half.to_send = fragment::all(fragment::count(response.len(), sealed::CHUNK));
        half.stage = Stage::Finish(Box::new(AwaitingFinish {
            response_tag: fragment::tag_of(&response),
            response,
            state: Arc::from(state),
            finish: None,
            accepting: false,
            status_due: false,
        }));
        if self.routes.get(&cid).is_some() {
            self.drop_half_open(slot);
            return;
        }
        self.routes.insert(cid, Route::HalfOpen(slot));
        self.progress(slot);
        self.outgoing.insert(Outgoing::HalfOpen(slot));
    }

    /// A handshake whose Response is out has moved on: its peer gets more time, within the deadline.
    fn progress(&mut self, slot: u32) {
        let stall = self.now + FINISH_STALL;
        self.rearm_half_open(slot, stall);
    }

    /// Forgets the handshake at `at`, or at its deadline if that is sooner.
    fn rearm_half_open(&mut self, slot: u32, at: Instant) {
        let Some(generation) = self.half_open.generation(slot) else { return };
        let Some(half) = self.half_open.get_mut(slot) else { return };
        let timer = Timer::HalfOpen(slot, generation);
        self.timers.remove(&(half.timer, timer));
        half.timer = at.min(half.started + DEADLINE);
        self.timers.insert((half.timer, timer));
    }

    /// A datagram for a handshake of another's: a Finish fragment.
    pub(crate) fn finish_fragment(&mut self, slot: u32, path: Path, datagram: &mut [u8; DATAGRAM_LEN]) {
        let Some(half) = self.half_open.get_mut(slot) else { return };
        let Stage::Finish(awaiting) = &mut half.stage else { return };
        let Some((header, chunk)) = sealed::read_fragment(&awaiting.state.fragments.finish, datagram) else {
            self.metrics.drops.unauthentic += 1;
            return;
        };
        // The cookie vouches for one address. A Finish from another may be a copy that an observer sends in somebody's
        // name; an initiator that has moved proves its new address in the session.
        if path.remote() == half.path.remote() {
            half.path = path;
        }
        if header.kind != kind::FINISH || awaiting.accepting {
            return;
        }
        let len = usize::from(header.len);
        if !awaiting.finish.as_ref().is_some_and(|finish| finish.is(header.tag, len)) {
            awaiting.finish = Assembly::new(header.tag, len, sealed::CHUNK, message::finish_len(awaiting.state.mode));
        }
        let Some(finish) = &mut awaiting.finish else {
            self.metrics.drops.protocol += 1;
            return;
        };
        let had = finish.have();
        finish.add(header.index, chunk);
        let moved = finish.have() != had;
        let whole = finish.message().map(|message| (Arc::clone(&awaiting.state), message.to_vec()));
        if whole.is_none() && header.poll {
            awaiting.status_due = true;
            self.outgoing.insert(Outgoing::HalfOpen(slot));
        }
        if moved {
            self.progress(slot);
        }
        if let Some((state, message)) = whole {
            self.accept_finish(slot, state, message);
        }
    }

    fn accept_finish(&mut self, slot: u32, state: Arc<AwaitFinish>, finish: Vec<u8>) {
        let Some(generation) = self.half_open.generation(slot) else { return };
        let Some(pending) = self.place_for_job() else {
            self.metrics.drops.limited += 1;
            return;
        };
        if let Some(HalfOpen { stage: Stage::Finish(awaiting), .. }) = self.half_open.get_mut(slot) {
            awaiting.accepting = true;
        }
        let work = Work::Accept { state, own: self.identity.peer_id(), finish, wall: self.wall };
        self.send_out(slot, generation, work, pending);
    }

    /// The Finish is verified: the session begins, and its first cell confirms it to the initiator.
    pub(crate) fn accepted(&mut self, slot: u32, generation: u32, result: Result<Box<Accepted>, Failed>) {
        let Some(half) = self.half_open.named(slot, generation) else { return };
        half.errand = None;
        let path = half.path;
        let admitted = result.ok().filter(|accepted| self.may_open(accepted.peer, accepted.secrets.mode));
        let Some(Accepted { peer, secrets }) = admitted.map(|accepted| *accepted) else {
            self.metrics.handshakes_failed += 1;
            self.drop_half_open(slot);
            return;
        };
        if self.sessions.is_full() || !self.has_place_for(path.remote().ip()) {
            // Until somebody leaves: the initiator goes on asking, and its Finish is kept.
            self.metrics.drops.limited += 1;
            if let Some(HalfOpen { stage: Stage::Finish(awaiting), .. }) = self.half_open.get_mut(slot) {
                awaiting.accepting = false;
            }
            let deadline = self.now + DEADLINE;
            self.rearm_half_open(slot, deadline);
            return;
        }
        self.drop_half_open(slot);
        let mut entry = Entry::new(peer, &self.config);
        entry.mode = Some(secrets.mode);
        entry.open(Opened::ByPeer);
        let link = Link::new(&secrets, Side::Responder, path, &self.config.limits, self.now);
        let Ok((slot, _)) = self.sessions.insert(entry) else { return };
        self.metrics.handshakes_completed += 1;
        self.join(slot, link);
        self.list(slot);
    }

    /// Whether the host of `ip` holds fewer sessions than one may.
    fn has_place_for(&self, ip: IpAddr) -> bool {
        self.places.held(ip) < self.config.limits.sessions_per_prefix
    }

    /// Whether `peer` may open a session in `mode`.
    fn may_open(&self, peer: PeerId, mode: Mode) -> bool {
        if self.shutdown.is_some() {
            return false;
        }
        match &self.config.accept {
            Accept::Nobody => false,
            Accept::Anyone(modes) => modes.contains(mode),
            Accept::Listed(peers) => peers.iter().any(|(listed, modes)| *listed == peer && modes.contains(mode)),
        }
    }

    /// A handshake's time is over.
    pub(crate) fn half_open_timeout(&mut self, slot: u32, generation: u32) {
        if self.half_open.named(slot, generation).is_some() {
            self.metrics.handshakes_failed += 1;
            self.drop_half_open(slot);
        }
    }

    pub(crate) fn drop_half_open(&mut self, slot: u32) {
        let Some(generation) = self.half_open.generation(slot) else { return };
        let Some(half) = self.half_open.remove(slot) else { return };
        self.timers.remove(&(half.timer, Timer::HalfOpen(slot, generation)));
        self.by_cookie.remove(&half.cookie_id);
        self.outgoing.remove(&Outgoing::HalfOpen(slot));
        if half.errand.is_some() {
            // One that was handed out already sees that nobody waits for it.
            let ticket = Ticket::HalfOpen { slot, generation };
            self.jobs.retain(|job| job.ticket != ticket);
        }
        if let Some(cid) = half.cid()
            && self.routes.get(&cid) == Some(Route::HalfOpen(slot))
        {
            self.routes.remove(&cid);
        }
    }
}
