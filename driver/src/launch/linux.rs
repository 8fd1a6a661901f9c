//! `SO_TXTIME` of Linux.

use std::fs;
use std::io::{self, IoSlice};
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

use b4ae_core::{Clock, Instant};
use nix::libc::{CLOCK_MONOTONIC, in_addr, in_pktinfo, in6_addr, in6_pktinfo, sock_txtime};
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg, setsockopt, sockopt};
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::socket::To;

/// A socket whose datagrams carry launch times.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// What to add to the driver's clock to have the kernel's, which runs at the same rate.
    offset: i128,
    /// The socket's name in the kernel's account.
    inode: u64,
}

impl Kernel {
    pub(crate) fn new(socket: &UdpSocket, clock: &Clock) -> Result<Self, String> {
        // `fq` goes by the monotonic clock, and no other discipline that does keeps launch times.
        setsockopt(socket, sockopt::TxTime, &sock_txtime { clockid: CLOCK_MONOTONIC, flags: 0 })
            .map_err(|e| format!("the system refused SO_TXTIME: {}", io::Error::from(e)))?;
        let inode = fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd()))
            .map_err(|e| format!("the socket cannot be named: {e}"))?
            .ino();
        let offset = nanos(clock_gettime(ClockId::Monotonic)) - i128::from(clock.now().as_nanos());
        Ok(Self { offset, inode })
    }

    /// As `UdpSocketState::try_send`, with a launch time.
    pub(crate) fn send(&self, socket: &UdpSocket, to: &To<'_>, due: Instant) -> io::Result<()> {
        let launch = u64::try_from(i128::from(due.as_nanos()) + self.offset).unwrap_or(0);
        let segment = to.segment_size.and_then(|size| u16::try_from(size).ok());
        let source = to.source.map(Source::new);
        let mut control = [ControlMessage::TxTime(&launch); 3];
        let mut used = 1;
        let more = [segment.as_ref().map(ControlMessage::UdpGsoSegments), source.as_ref().map(Source::message)];
        for message in more.into_iter().flatten() {
            control[used] = message;
            used += 1;
        }
        let destination = SockaddrStorage::from(to.destination);
        let iov = [IoSlice::new(to.datagrams)];
        sendmsg(socket.as_raw_fd(), &iov, &control[..used], MsgFlags::empty(), Some(&destination))?;
        Ok(())
    }

    /// Whether the kernel still has datagrams of the socket's to send, if it tells.
    pub(crate) fn holds(&self) -> Option<bool> {
        ["/proc/self/net/udp", "/proc/self/net/udp6"]
            .iter()
            .find_map(|table| queued(&fs::read_to_string(table).ok()?, self.inode))
            .map(|bytes| bytes > 0)
    }
}

/// Bytes that wait to be sent, by the table of sockets that the kernel writes: queues are the fifth column, of which
/// those to send come first, in hexadecimal; the inode is the tenth.
fn queued(table: &str, inode: u64) -> Option<u64> {
    table.lines().find_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let is_it = columns.get(9)?.parse() == Ok(inode);
        let (to_send, _) = columns.get(4)?.split_once(':')?;
        is_it.then(|| u64::from_str_radix(to_send, 16).ok())?
    })
}

fn nanos(time: Timespec) -> i128 {
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

/// The address to send from, as the kernel wants it.
enum Source {
    V4(in_pktinfo),
    V6(in6_pktinfo),
}

impl Source {
    fn new(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => {
                let spec_dst = in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
                Self::V4(in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: spec_dst, ipi_addr: in_addr { s_addr: 0 } })
            }
            IpAddr::V6(ip) => Self::V6(in6_pktinfo { ipi6_addr: in6_addr { s6_addr: ip.octets() }, ipi6_ifindex: 0 }),
        }
    }

    fn message(&self) -> ControlMessage<'_> {
        match self {
            Self::V4(info) => ControlMessage::Ipv4PacketInfo(info),
            Self::V6(info) => ControlMessage::Ipv6PacketInfo(info),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::queued;

    #[test]
    fn what_waits_is_read_from_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  393: 0100007F:A27C 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 0
 2604: 00000000:D8C3 00000000:0000 07 00000B40:00000100 00:00000000 00000000     0        0 4712 2 0000000000000000 0
";
        assert_eq!(queued(table, 4711), Some(0));
        assert_eq!(queued(table, 4712), Some(0xb40));
        assert_eq!(queued(table, 471), None);
    }
}
