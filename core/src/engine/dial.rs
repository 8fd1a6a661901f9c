//! Handshakes we begin: Hello, Init, Finish, and their retransmission.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Engine, Outgoing, Route, Timer};
use crate::error::{CloseReason, ConnectError};
use crate::handshake::cookie::Cookie;
use crate::handshake::fragment::{self, Assembly};
use crate::handshake::initiator::{AwaitResponse, Confirmed, FinishKeys, InitRandomness, Puzzle};
use crate::handshake::message::{self, INIT_LEN, kind};
use crate::handshake::{Hello, NoReply, Prologue};
use crate::identity::PeerId;
use crate::job::{Errand, Job, Ticket, Work};
use crate::memory;
use crate::mode::{Mode, ModePolicy};
use crate::random::Stream;
use crate::secret::Secret;
use crate::session::SessionId;
use crate::session::entry::Entry;
use crate::session::link::{Link, Side};
use crate::time::{Instant, nanos};
use crate::transmit::{DATAGRAM_LEN, Path};
use crate::wire::knock::{self, InitHeader, KnockKeys};
use crate::wire::sealed::{self, Challenge, FragmentHeader};

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(8);
/// Init is sent this often before a new Hello asks for a new cookie.
const INIT_TRIES: u8 = 4;
/// Statuses that one handshake acts on.
const MAX_ANSWERS: u8 = 16;
/// Cookies of its own that a handshake knows again. Those before the last eight are too old to be used: each but the
/// first few had eight seconds, and a cookie has thirty.
const KNOWN_COOKIES: usize = 8;

/// A handshake we began.
pub(crate) struct Dial {
    path: Path,
    peer: PeerId,
    offer: ModePolicy,
    keys: KnockKeys,
    hello: Hello,
    challenge_key: Secret<32>,
    stage: Stage,
    give_up: Instant,
    pub(crate) timer: Instant,
    retry: Duration,
    /// Fragments to be sent now, a bit each.
    to_send: u16,
    /// A Challenge that came while another was being answered: tried if that one leads nowhere.
    spare: Option<Challenge>,
    /// Cookies that this handshake has used, the oldest first. A second Init under one of them would get the Response
    /// to the first, so that whoever sends copies of a Challenge could undo the handshake.
    used: [Option<Cookie>; KNOWN_COOKIES],
    answers: u8,
    /// A Challenge said that no mode offered is accepted. Whoever knows the fingerprint can say so.
    refused: bool,
    /// What answered could not prove to be the peer.
    failed: bool,
    /// Our signer did not sign, when it was last asked.
    unsigned: bool,
    /// While a job is out for it.
    errand: Option<Errand>,
}

enum Stage {
    Hello,
    /// The keys are being made and the puzzle solved. The Init first waits so long for its answer.
    Preparing(Challenge, Duration),
    Init(Init),
    Finish(Finish),
}

struct Init {
    state: Arc<AwaitResponse>,
    challenge: Challenge,
    /// Of the Response.
    mode: Mode,
    solution: u64,
    tag: [u8; 8],
    response_key: Secret<32>,
    response: Option<Assembly>,
    /// A Response is being verified.
    verifying: bool,
    tries: u8,
}

struct Finish {
    message: Vec<u8>,
    keys: FinishKeys,
    cid: [u8; 8],
    tag: [u8; 8],
    have: u16,
}

impl Dial {
    /// The id by which the peer's answers find this handshake.
    pub(crate) fn cid(&self) -> [u8; 8] {
        self.hello.cid()
    }

    pub(crate) fn path(&self) -> Path {
        self.path
    }

    pub(crate) fn ticket(id: SessionId) -> Ticket {
        Ticket::Session(id)
    }

    /// The mode of a session that begins with this Challenge.
    fn mode(&self, challenge: &Challenge) -> Option<Mode> {
        message::select(self.offer.iter(), challenge.cookie.accept)
    }

    /// Makes a job: there is never more than one a handshake.
    fn job(&mut self, id: SessionId, work: Work) -> Job {
        let wanted = self.errand.insert(Errand::default()).wanted();
        Job { ticket: Self::ticket(id), work, pending: None, wanted }
    }

    fn has_used(&self, cookie: &Cookie) -> bool {
        self.used.iter().flatten().any(|used| used == cookie)
    }

    fn note_used(&mut self, cookie: Cookie) {
        self.used.rotate_left(1);
        self.used[KNOWN_COOKIES - 1] = Some(cookie);
    }

    fn prologue(&self, challenge: &Challenge) -> Box<Prologue> {
        Box::new(Prologue { hello: self.hello, cookie: challenge.cookie.to_bytes(), responder: self.peer })
    }

    fn backoff(&mut self, now: Instant, random: &mut Stream) {
        let base = nanos(self.retry);
        let jitter = random.below(base / 2);
        self.timer = (now + Duration::from_nanos(base * 3 / 4 + jitter)).min(self.give_up);
        self.retry = (self.retry * 2).min(LONGEST_RETRY);
    }

    /// The most bytes of heap that a handshake of ours takes, its job included.
    pub(crate) fn bound() -> u64 {
        // Its own keys, the Challenges', the fragments'.
        size_of::<Self>() as u64 + memory::keys(10) + AwaitResponse::bound() + Job::bound_own()
    }

    /// Why the handshake came to nothing.
    fn verdict(&self) -> CloseReason {
        match &self.stage {
            _ if self.unsigned => CloseReason::SignerFailed,
            // A Response, whosever it is, waits to be verified and then signed for, or the signer has it.
            Stage::Init(init) if init.verifying && init.mode == Mode::B => CloseReason::SignerFailed,
            _ if self.failed => CloseReason::HandshakeFailed,
            Stage::Hello if self.refused => CloseReason::NoCommonMode,
            _ => CloseReason::Unreachable,
        }
    }

    /// Writes the next datagram that is to be sent now.
    pub(crate) fn write(&mut self, random: &mut Stream, out: &mut [u8; DATAGRAM_LEN]) -> Option<Path> {
        if self.to_send == 0 {
            return None;
        }
        let index = self.to_send.trailing_zeros() as u8;
        self.to_send &= self.to_send - 1;
        let last = self.to_send == 0;
        match &self.stage {
            Stage::Hello => knock::write_hello(&self.keys, &self.hello, random, out),
            Stage::Preparing(..) => return None,
            Stage::Init(init) => {
                let header = InitHeader {
                    index,
                    have: init.response.as_ref().map_or(0, Assembly::have),
                    cookie: init.challenge.cookie,
                    hello_hash: self.hello.hash(),
                    cid: self.cid(),
                    puzzle: init.solution,
                    tag: init.tag,
                    len: INIT_LEN as u16,
                };
                let chunk = fragment::chunk_of(&*init.state.init, index, knock::CHUNK);
                knock::write_init(&self.keys, &init.challenge.tag, &header, chunk, random, out);
            }
            Stage::Finish(finish) => {
                let header = FragmentHeader {
                    kind: kind::FINISH,
                    index,
                    have: 0,
                    poll: last,
                    len: u16::try_from(finish.message.len()).expect("a Finish is below 8 KiB"),
                    tag: finish.tag,
                };
                let chunk = fragment::chunk_of(&finish.message, index, sealed::CHUNK);
                sealed::write_fragment(&finish.keys.finish, &finish.cid, &header, chunk, random, out);
            }
        }
        Some(self.path)
    }

    pub(crate) fn has_datagrams(&self) -> bool {
        self.to_send != 0
    }

    /// The key of Finish fragments and where they are routed.
    #[cfg(fuzzing)]
    pub(crate) fn finish_fragments(&self) -> Option<(&Secret<32>, [u8; 8])> {
        let Stage::Finish(finish) = &self.stage else { return None };
        Some((&finish.keys.finish, finish.cid))
    }
}

impl Engine {
    /// Opens a session with `peer` at `path`, offering `modes` in order of preference. Messages may be sent at once;
    /// they wait for the session. `Established` follows, or `Closed`.
    pub fn connect(
        &mut self,
        now: Instant,
        path: Path,
        peer: &PeerId,
        modes: ModePolicy,
    ) -> Result<SessionId, ConnectError> {
        self.tick(now);
        if self.shutdown.is_some() {
            return Err(ConnectError::ShuttingDown);
        }
        if modes.contains(Mode::B) && !self.identity.can_sign() {
            return Err(ConnectError::ModeUnavailable);
        }
        let dial = self.new_dial(path, *peer, modes);
        let (cid, timer) = (dial.cid(), dial.timer);
        let mut entry = Entry::new(*peer, &self.config);
        entry.dial = Some(Box::new(dial));
        let (slot, generation) = self.sessions.insert(entry).map_err(|_| ConnectError::Full)?;
        self.metrics.handshakes += 1;
        self.routes.insert(cid, Route::Session(slot));
        self.timers.insert((timer, Timer::Dial(slot, generation)));
        self.outgoing.insert(Outgoing::Session(slot));
        Ok(SessionId { slot, generation })
    }

    fn new_dial(&mut self, path: Path, peer: PeerId, offer: ModePolicy) -> Dial {
        let keys = KnockKeys::new(peer);
        let hello = Hello::new(offer, &self.random.public.bytes(), &self.random.public.bytes());
        let challenge_key = sealed::challenge_key(&keys.challenge, &hello.hash());
        let mut dial = Dial {
            path,
            peer,
            offer,
            keys,
            hello,
            challenge_key,
            stage: Stage::Hello,
            give_up: self.now + self.config.handshake_timeout,
            timer: self.now,
            retry: FIRST_RETRY,
            to_send: 1,
            spare: None,
            used: [None; KNOWN_COOKIES],
            answers: 0,
            refused: false,
            failed: false,
            unsigned: false,
            errand: None,
        };
        dial.backoff(self.now, &mut self.random.public);
        dial
    }

    /// A datagram for a handshake of ours.
    pub(crate) fn dial_receive(&mut self, slot: u32, datagram: &mut [u8; DATAGRAM_LEN]) {
        let Some(generation) = self.sessions.generation(slot) else { return };
        let id = SessionId { slot, generation };
        let Some(dial) = self.sessions.get_mut(slot).and_then(|entry| entry.dial.as_deref_mut()) else { return };
        match &mut dial.stage {
            Stage::Finish(finish) => {
                let Some((header, _)) = sealed::read_fragment(&finish.keys.status, datagram) else {
                    self.metrics.drops.unauthentic += 1;
                    return;
                };
                let all = fragment::all(fragment::count(finish.message.len(), sealed::CHUNK));
                if header.kind == kind::STATUS && header.tag == finish.tag && dial.answers < MAX_ANSWERS {
                    dial.answers += 1;
                    finish.have |= header.have & all;
                    dial.to_send = all & !finish.have;
                    self.outgoing.insert(Outgoing::Session(slot));
                }
                return;
            }
            Stage::Init(init) if !init.verifying => {
                if let Some((header, chunk)) = sealed::read_fragment(&init.response_key, datagram) {
                    if let Some(response) = init.take_fragment(&header, chunk) {
                        self.verify_response(id, response);
                    }
                    return;
                }
            }
            _ => {}
        }
        let Some(challenge) = sealed::read_challenge(&dial.challenge_key, datagram) else {
            self.metrics.drops.unauthentic += 1;
            return;
        };
        if dial.mode(&challenge).is_none() {
            // Believed if the peer does not say otherwise.
            dial.refused = true;
        } else if dial.has_used(&challenge.cookie) {
            self.metrics.drops.replayed += 1;
        } else if matches!(dial.stage, Stage::Hello) {
            self.prepare(id, challenge, FIRST_RETRY);
        } else if dial.spare.as_ref().is_none_or(|spare| spare.cookie.time <= challenge.cookie.time) {
            dial.spare = Some(challenge);
        }
    }

    /// Has the keys made that a Challenge allows.
    fn prepare(&mut self, id: SessionId, challenge: Challenge, retry: Duration) {
        let randomness = InitRandomness { e: self.random.secret.secret(), e1: self.random.secret.secret() };
        let Some(dial) = self.sessions.named(id.slot, id.generation).and_then(|entry| entry.dial.as_deref_mut()) else {
            return;
        };
        let bits = challenge.cookie.puzzle_bits.min(super::pressure::MAX_PUZZLE_BITS);
        let puzzle = Puzzle { cookie: challenge.tag.duplicate(), responder: dial.peer, bits };
        let prologue = dial.prologue(&challenge);
        dial.note_used(challenge.cookie);
        // The peer says otherwise.
        dial.refused = false;
        dial.stage = Stage::Preparing(challenge, retry);
        dial.to_send = 0;
        let job = dial.job(id, Work::Init { prologue, puzzle, randomness });
        self.jobs.push_back(job);
    }

    /// The keys are made: sends the Init.
    pub(crate) fn dial_prepared(&mut self, id: SessionId, state: Arc<AwaitResponse>, solution: u64) {
        let now = self.now;
        let Some(dial) = self.sessions.named(id.slot, id.generation).and_then(|entry| entry.dial.as_deref_mut()) else {
            return;
        };
        let Stage::Preparing(challenge, retry) = core::mem::replace(&mut dial.stage, Stage::Hello) else { return };
        dial.errand = None;
        let Some(mode) = dial.mode(&challenge) else { return };
        let response_key = super::admit::response_key(&challenge.tag);
        let tag = fragment::tag_of(&*state.init);
        dial.stage = Stage::Init(Init {
            state,
            challenge,
            mode,
            solution,
            tag,
            response_key,
            response: None,
            verifying: false,
            tries: 1,
        });
        dial.to_send = fragment::all(fragment::count(INIT_LEN, knock::CHUNK));
        dial.retry = retry;
        self.rearm_dial(id, now);
        self.outgoing.insert(Outgoing::Session(id.slot));
    }

    fn rearm_dial(&mut self, id: SessionId, now: Instant) {
        let Some(dial) = self.sessions.named(id.slot, id.generation).and_then(|entry| entry.dial.as_deref_mut()) else {
            return;
        };
        let timer = Timer::Dial(id.slot, id.generation);
        self.timers.remove(&(dial.timer, timer));
        dial.backoff(now, &mut self.random.public);
        self.timers.insert((dial.timer, timer));
    }

    fn verify_response(&mut self, id: SessionId, response: Vec<u8>) {
        let randomness = self.random.secret.secret();
        let (identity, wall) = (self.identity.clone(), self.wall);
        let Some(dial) = self.sessions.named(id.slot, id.generation).and_then(|entry| entry.dial.as_deref_mut()) else {
            return;
        };
        let Stage::Init(init) = &mut dial.stage else { return };
        init.verifying = true;
        let (state, mode, peer) = (Arc::clone(&init.state), init.mode, dial.peer);
        let job = dial.job(id, Work::Finish { state, identity, peer, mode, response, wall, randomness });
        self.jobs.push_back(job);
    }

    /// The Response is verified: the session's cells begin, and the Finish is sent until one of the peer's confirms.
    pub(crate) fn dial_confirmed(&mut self, id: SessionId, result: Result<Box<Confirmed>, NoReply>) {
        let now = self.now;
        let Some(dial) = self.sessions.named(id.slot, id.generation).and_then(|entry| entry.dial.as_deref_mut()) else {
            return;
        };
        let Stage::Init(init) = &mut dial.stage else { return };
        init.verifying = false;
        dial.errand = None;
        let confirmed = match result {
            Ok(confirmed) => confirmed,
            // Perhaps not the peer's. The peer's own may still come.
            Err(NoReply::Failed) => {
                dial.failed = true;
                return;
            }
            // A token may be back by the next try.
            Err(NoReply::Unsigned) => {
                dial.unsigned = true;
                return;
            }
        };
        dial.unsigned = false;
        let Confirmed { finish, fragments, cid, secrets } = *confirmed;
        let tag = fragment::tag_of(&finish);
        dial.to_send = fragment::all(fragment::count(finish.len(), sealed::CHUNK));
        dial.stage = Stage::Finish(Finish { message: finish, keys: fragments, cid, tag, have: 0 });
        dial.retry = FIRST_RETRY;
        dial.answers = 0;
        let path = dial.path;
        let mode = secrets.mode;
        let link = Link::new(&secrets, Side::Initiator, path, &self.config.limits, now);
        if let Some(entry) = self.sessions.get_mut(id.slot) {
            entry.mode = Some(mode);
        }
        self.rearm_dial(id, now);
        self.outgoing.insert(Outgoing::Session(id.slot));
        self.join(id.slot, link);
    }

    /// The time for an answer is over.
    pub(crate) fn dial_timeout(&mut self, slot: u32, generation: u32) {
        let now = self.now;
        let id = SessionId { slot, generation };
        let Some(dial) = self.sessions.named(slot, generation).and_then(|entry| entry.dial.as_deref_mut()) else {
            return;
        };
        let refused = dial.refused && matches!(dial.stage, Stage::Hello) && dial.retry > FIRST_RETRY * 2;
        if refused || now >= dial.give_up {
            let verdict = dial.verdict();
            self.end_session(slot, verdict);
            return;
        }
        match &mut dial.stage {
            Stage::Hello => dial.to_send = 1,
            Stage::Preparing(..) => {}
            Stage::Init(init) if init.verifying => {}
            Stage::Init(init) => {
                let first = init.tries == 1;
                init.tries += 1;
                if first && init.response.as_ref().is_some_and(|response| response.have() != 0) {
                    // The first fragment says which of the Response are here. Once: the peer may have forgotten us.
                    dial.to_send = 1;
                } else if let Some(challenge) = dial.spare.take() {
                    // It gets more time than the last: with a spare always at hand, a slow path would never be waited
                    // for.
                    let retry = dial.retry;
                    self.rearm_dial(id, now);
                    self.prepare(id, challenge, retry);
                    return;
                } else if init.tries > INIT_TRIES {
                    dial.stage = Stage::Hello;
                    dial.to_send = 1;
                    dial.retry = FIRST_RETRY;
                } else {
                    dial.to_send = fragment::all(fragment::count(INIT_LEN, knock::CHUNK));
                }
            }
            Stage::Finish(finish) => {
                dial.to_send = fragment::all(fragment::count(finish.message.len(), sealed::CHUNK)) & !finish.have;
                if dial.to_send == 0 {
                    // The peer said it has all, but no cell of its has come: ask again with the first.
                    dial.to_send = 1;
                }
            }
        }
        self.rearm_dial(id, now);
        self.outgoing.insert(Outgoing::Session(slot));
    }
}

impl Init {
    /// Puts a Response fragment in its place. The Response, once it is whole.
    fn take_fragment(&mut self, header: &FragmentHeader, chunk: &[u8]) -> Option<Vec<u8>> {
        if header.kind != kind::RESPONSE {
            return None;
        }
        let len = usize::from(header.len);
        if !self.response.as_ref().is_some_and(|response| response.is(header.tag, len)) {
            self.response = Assembly::new(header.tag, len, sealed::CHUNK, message::response_len(self.mode));
        }
        let response = self.response.as_mut()?;
        response.add(header.index, chunk);
        if !response.is_full() {
            return None;
        }
        let whole = response.take_message();
        // Whether it is what its fragments said or not.
        self.response = None;
        whole
    }
}
