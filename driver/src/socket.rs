//! The UDP socket: binding, sending, receiving batches.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};

use b4ae_core::{DATAGRAM_LEN, Path};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};

use crate::{BindError, tick};

/// Bytes the kernel may hold for us in each direction: a second of a fast grid. Best effort.
const SYSTEM_BUFFER: usize = 2 << 20;

/// What one system call sends, and where.
#[derive(Debug)]
pub(crate) struct To<'a> {
    /// In the family of the socket.
    pub(crate) destination: SocketAddr,
    /// The address to send from, if not whichever the system picks.
    pub(crate) source: Option<IpAddr>,
    pub(crate) datagrams: &'a [u8],
    /// The length of each, where there are several.
    pub(crate) segment_size: Option<usize>,
}

/// A bound, non-blocking UDP socket.
#[derive(Debug)]
pub(crate) struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    /// Datagrams of a call. `quinn-udp` has such a number, too, but takes any datagram that is refused for a reason to
    /// have no more groups: then whoever makes us send to a wrong address would change how all others' cells
    /// leave.
    group: AtomicUsize,
}

impl Socket {
    /// Binds `addr`. `[::]` serves IPv4 as well, and where the system has no IPv6 stands for `0.0.0.0`.
    pub(crate) fn bind(addr: SocketAddr) -> Result<Self, BindError> {
        let any_v6 = addr.is_ipv6() && addr.ip().is_unspecified();
        match Self::open(addr, any_v6) {
            Err(e) if any_v6 && no_ipv6(&e) => {
                let addr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), addr.port());
                Self::open(addr, false).map_err(|e| explain(addr, e))
            }
            opened => opened.map_err(|e| explain(addr, e)),
        }
    }

    fn open(addr: SocketAddr, dual_stack: bool) -> io::Result<Self> {
        let raw = RawSocket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        if addr.is_ipv6() {
            raw.set_only_v6(!dual_stack)?;
        }
        raw.bind(&addr.into())?;
        let io = UdpSocket::from(raw);
        let state = UdpSocketState::new((&io).into())?;
        // A smaller buffer works too, it only loses more when the loop is late.
        let _ = state.set_recv_buffer_size((&io).into(), SYSTEM_BUFFER);
        let _ = state.set_send_buffer_size((&io).into(), SYSTEM_BUFFER);
        let local = io.local_addr()?;
        let group = AtomicUsize::new(state.max_gso_segments().clamp(1, tick::MOST as usize));
        Ok(Self { io, state, local, group })
    }

    /// The address it is bound to.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    pub(crate) fn io(&self) -> &UdpSocket {
        &self.io
    }

    /// Datagrams to one address that the system takes in one call.
    pub(crate) fn group_limit(&self) -> usize {
        self.group.load(Ordering::Relaxed)
    }

    /// Hands datagrams of [`DATAGRAM_LEN`] to the system, all for one path, at once or not at all; in one call where it
    /// can do that. Tells how many it has taken.
    pub(crate) fn send(&self, path: Path, datagrams: &[u8]) -> usize {
        self.send_by(path, datagrams, |to| {
            let To { destination, source, datagrams, segment_size } = *to;
            let transmit = Transmit { destination, ecn: None, contents: datagrams, segment_size, src_ip: source };
            self.state.try_send((&self.io).into(), &transmit)
        })
    }

    /// The same, by `call` for as many as the system takes in one.
    pub(crate) fn send_by(
        &self,
        path: Path,
        datagrams: &[u8],
        mut call: impl FnMut(&To<'_>) -> io::Result<()>,
    ) -> usize {
        let mut destination = SocketAddr::new(self.in_family(path.remote().ip()), path.remote().port());
        if let (SocketAddr::V6(to), SocketAddr::V6(from)) = (&mut destination, path.remote()) {
            to.set_scope_id(from.scope_id());
        }
        let source = path.local().map(|ip| self.in_family(ip));
        let mut give = |datagrams: &[u8]| {
            let segment_size = (datagrams.len() > DATAGRAM_LEN).then_some(DATAGRAM_LEN);
            call(&To { destination, source, datagrams, segment_size })
        };
        let mut taken = 0;
        for group in datagrams.chunks(self.group_limit() * DATAGRAM_LEN) {
            let datagrams = group.len() / DATAGRAM_LEN;
            match give(group) {
                Ok(()) => taken += datagrams,
                // Nothing of it has left, so that sending it now is no burst. Only if that does what the group did not
                // is it the grouping that the system refuses: an address that cannot be sent to says
                // nothing of others.
                Err(error) if datagrams > 1 && is_refusal(&error) => {
                    let singly = group.chunks(DATAGRAM_LEN).filter(|datagram| give(datagram).is_ok()).count();
                    if singly == datagrams {
                        self.group.store(1, Ordering::Relaxed);
                    }
                    taken += singly;
                }
                Err(_) => {}
            }
        }
        taken
    }

    /// An IPv6 socket knows IPv4 addresses in their mapped form only.
    fn in_family(&self, ip: IpAddr) -> IpAddr {
        match ip {
            IpAddr::V4(v4) if self.local.is_ipv6() => IpAddr::V6(v4.to_ipv6_mapped()),
            _ => ip,
        }
    }
}

/// "Address family not supported".
#[cfg(unix)]
const NO_FAMILY: i32 = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
/// The same, as `WSAEAFNOSUPPORT`.
#[cfg(windows)]
const NO_FAMILY: i32 = 10047;

/// Whether the system does not do what it was asked for, rather than cannot at present: interfaces that cannot cut a
/// group into datagrams say `EINVAL` or `EIO`.
fn is_refusal(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) {
        return true;
    }
    error.kind() == io::ErrorKind::InvalidInput
}

fn no_ipv6(error: &io::Error) -> bool {
    // A missing family has no stable `ErrorKind`.
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.kind() == io::ErrorKind::Unsupported
        || error.raw_os_error() == Some(NO_FAMILY)
}

fn explain(addr: SocketAddr, source: io::Error) -> BindError {
    match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { addr },
        io::ErrorKind::PermissionDenied => BindError::Denied { addr },
        io::ErrorKind::AddrNotAvailable => BindError::Unavailable { addr },
        _ => BindError::Socket { addr, source },
    }
}

/// Memory for what one system call receives.
#[derive(Debug)]
pub(crate) struct Receiver {
    buffers: Box<[u8]>,
    metas: [RecvMeta; Receiver::BATCH],
}

impl Receiver {
    /// Buffers a call fills.
    pub(crate) const BATCH: usize = if quinn_udp::BATCH_SIZE < 8 { quinn_udp::BATCH_SIZE } else { 8 };
    /// Bytes of one buffer: the most the kernel coalesces.
    const BUFFER: usize = 1 << 16;

    pub(crate) fn new() -> Self {
        Self { buffers: vec![0; Self::BATCH * Self::BUFFER].into(), metas: [RecvMeta::default(); Self::BATCH] }
    }

    /// Receives what is there, up to a batch, and gives every datagram to `each`. Tells whether the batch was full, so
    /// that there may be more.
    pub(crate) fn receive(&mut self, socket: &Socket, mut each: impl FnMut(Path, &mut [u8])) -> io::Result<bool> {
        let mut chunks = self.buffers.chunks_exact_mut(Self::BUFFER);
        let mut slices: [IoSliceMut<'_>; Self::BATCH] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        let count = socket.state.recv((&socket.io).into(), &mut slices, &mut self.metas)?;
        for (slice, meta) in slices.iter_mut().zip(&self.metas).take(count) {
            // Nothing can be sent to port 0: who wrote that as the sender's wants no answer, or is not the sender.
            if meta.addr.port() == 0 {
                continue;
            }
            let path = Path::new(meta.addr, meta.dst_ip);
            let len = meta.len.min(slice.len());
            // Coalesced datagrams are `stride` apart, the last one possibly shorter.
            for datagram in slice[..len].chunks_mut(meta.stride.max(1)) {
                each(path, datagram);
            }
        }
        Ok(count == Self::BATCH)
    }
}
