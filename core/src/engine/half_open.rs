//! What is remembered of a handshake of another's, and what it sends.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::handshake::fragment::{self, Assembly};
use crate::handshake::message::{self, kind};
use crate::handshake::responder::AwaitFinish;
use crate::job::Errand;
use crate::memory;
use crate::mode::Mode;
use crate::random::Stream;
use crate::secret::Secret;
use crate::time::Instant;
use crate::transmit::{DATAGRAM_LEN, Path};
use crate::wire::knock::InitHeader;
use crate::wire::sealed::{self, FragmentHeader};

/// Datagrams of one handshake that are sent again on request.
const MAX_RESENT: u16 = 64;
/// What is asked for again sooner is on its way still, and what asks may be a copy: an initiator waits 750 ms at least.
const RESEND_GAP: Duration = Duration::from_millis(500);

/// A handshake of another's whose address is verified.
pub(crate) struct HalfOpen {
    pub(super) path: Path,
    pub(super) cookie_id: [u8; 32],
    pub(super) header: InitHeader,
    pub(super) response_key: Secret<32>,
    pub(super) stage: Stage,
    pub(super) started: Instant,
    pub(crate) timer: Instant,
    pub(super) to_send: u16,
    pub(super) resent: u16,
    /// From when on a request is answered again.
    pub(super) resend_from: Instant,
    /// While a job is out for it.
    pub(super) errand: Option<Errand>,
}

pub(super) enum Stage {
    Init(Assembly),
    /// The Response is being made.
    Responding,
    Finish(Box<AwaitingFinish>),
}

pub(super) struct AwaitingFinish {
    pub(super) response: Vec<u8>,
    pub(super) response_tag: [u8; 8],
    pub(super) state: Arc<AwaitFinish>,
    pub(super) finish: Option<Assembly>,
    /// The Finish is being verified.
    pub(super) accepting: bool,
    pub(super) status_due: bool,
}

impl HalfOpen {
    /// The most bytes of heap that a handshake of another's takes, beside its place in the table and its job.
    pub(crate) fn bound(mode: Mode) -> u64 {
        let shared = 2 * size_of::<usize>() + size_of::<AwaitFinish>();
        let messages = message::response_len(mode) + message::finish_len(mode);
        // Its own key, and those of the transcript and the fragments.
        (size_of::<AwaitingFinish>() + shared + messages) as u64 + memory::keys(1 + 10) + Errand::bound()
    }

    /// Writes the next datagram that is to be sent now.
    pub(crate) fn write(&mut self, random: &mut Stream, out: &mut [u8; DATAGRAM_LEN]) -> Option<Path> {
        let Stage::Finish(awaiting) = &mut self.stage else { return None };
        if self.to_send != 0 {
            let index = self.to_send.trailing_zeros() as u8;
            self.to_send &= self.to_send - 1;
            let header = FragmentHeader {
                kind: kind::RESPONSE,
                index,
                have: 0,
                poll: false,
                len: u16::try_from(awaiting.response.len()).expect("a Response is below 10 KiB"),
                tag: awaiting.response_tag,
            };
            let chunk = fragment::chunk_of(&awaiting.response, index, sealed::CHUNK);
            sealed::write_fragment(&self.response_key, &self.header.cid, &header, chunk, random, out);
            return Some(self.path);
        }
        if core::mem::take(&mut awaiting.status_due) {
            let finish = awaiting.finish.as_ref()?;
            let header = FragmentHeader {
                kind: kind::STATUS,
                index: 0,
                have: finish.have(),
                poll: false,
                len: 0,
                tag: finish.tag(),
            };
            sealed::write_fragment(&awaiting.state.fragments.status, &self.header.cid, &header, &[], random, out);
            return Some(self.path);
        }
        None
    }

    pub(crate) fn has_datagrams(&self) -> bool {
        match &self.stage {
            Stage::Finish(awaiting) => self.to_send != 0 || awaiting.status_due,
            _ => false,
        }
    }

    /// The key of Status or Response fragments and where they are routed.
    #[cfg(fuzzing)]
    pub(crate) fn answer_fragments(&self, status: bool) -> Option<(&Secret<32>, [u8; 8])> {
        match &self.stage {
            _ if !status => Some((&self.response_key, self.header.cid)),
            Stage::Finish(awaiting) => Some((&awaiting.state.fragments.status, self.header.cid)),
            _ => None,
        }
    }

    pub(super) fn cid(&self) -> Option<[u8; 8]> {
        match &self.stage {
            Stage::Finish(awaiting) => Some(awaiting.state.cid),
            _ => None,
        }
    }

    /// Has what the peer lacks of the Response sent again, within bounds.
    pub(super) fn resend(&mut self, have: u16, now: Instant) {
        let Stage::Finish(awaiting) = &self.stage else { return };
        let missing = fragment::all(fragment::count(awaiting.response.len(), sealed::CHUNK)) & !have;
        let fresh = (missing & !self.to_send).count_ones() as u16;
        if fresh != 0 && now >= self.resend_from && self.resent + fresh <= MAX_RESENT {
            self.resend_from = now + RESEND_GAP;
            self.resent += fresh;
            self.to_send |= missing;
        }
    }
}
