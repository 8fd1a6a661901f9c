"""Datagrams as the kernel saw them: time, ports and length of every UDP datagram on the loopback interface.

A packet socket (packet(7)) gets a copy of each, with the kernel's timestamp of the moment at which the sender's system
call handed it over. What the capturing process does, and when, changes nothing about those times; it looks rarely, so
that it disturbs the nodes little.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import socket
import struct
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: One datagram: nanoseconds since 1970, source port, destination port, length of the UDP payload.
RECORD = np.dtype([("time", "<i8"), ("source", "<u2"), ("destination", "<u2"), ("length", "<u2")])

_ETH_P_IP = 0x0800
_SO_ATTACH_FILTER = 26
_SO_RCVBUFFORCE = 33
_SO_TIMESTAMPNS = 35
_SOL_PACKET = 263
_PACKET_STATISTICS = 6
_PACKET_IGNORE_OUTGOING = 23
_SNAP = 64
_BUFFER = 256 << 20
_LOOK_EVERY = 0.05

# IPv4, UDP, not a fragment: `ip proto 17`, with the link-layer header removed; 64 bytes are kept.
_FILTER = [
    (0x30, 0, 0, 9),  # ldb [9]
    (0x15, 0, 3, 17),  # jeq #17
    (0x28, 0, 0, 6),  # ldh [6]
    (0x45, 1, 0, 0x1FFF),  # jset #0x1fff
    (0x06, 0, 0, _SNAP),  # ret #64
    (0x06, 0, 0, 0),  # ret #0
]


class CaptureError(RuntimeError):
    """Capturing is not possible."""


class IncompleteError(CaptureError):
    """The kernel had more datagrams than room for them, because nobody fetched them for seconds."""


def _open() -> socket.socket:
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in _FILTER)
    memory = ctypes.create_string_buffer(code)
    program = struct.pack("HL", len(_FILTER), ctypes.addressof(memory))
    packets.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    packets.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    # Each datagram passes the loopback interface twice, out and in.
    packets.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    packets.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    packets.bind(("lo", _ETH_P_IP))
    packets.setblocking(False)
    return packets


def _drain(packets: socket.socket) -> Iterator[tuple[int, int, int, int]]:
    while True:
        try:
            data, control, _flags, _address = packets.recvmsg(_SNAP, 64)
        except BlockingIOError:
            return
        seconds, nanoseconds = struct.unpack("qq", control[0][2])
        header = (data[0] & 15) * 4
        source, destination, length = struct.unpack_from("!HHH", data, header)
        yield seconds * 1_000_000_000 + nanoseconds, source, destination, length - 8


def _record(pipe: Connection, path: Path) -> None:
    try:
        packets = _open()
    except OSError as error:
        pipe.send(f"cannot capture: {error}")
        return
    with contextlib.suppress(PermissionError):
        os.nice(-10)
    pipe.send(None)
    seen: list[tuple[int, int, int, int]] = []
    while not pipe.poll(_LOOK_EVERY):
        seen.extend(_drain(packets))
    seen.extend(_drain(packets))
    _taken, dropped = struct.unpack("II", packets.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
    packets.close()
    np.save(path, np.array(seen, dtype=RECORD))
    pipe.send(dropped)


class Capture:
    """A process that records until it is stopped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.Process(target=_record, args=(theirs, path), daemon=True)
        self._process.start()
        theirs.close()
        refused = self._pipe.recv()
        if refused:
            raise CaptureError(refused)

    def stop(self) -> NDArray[np.void]:
        """Everything since the start, in order of time."""
        # What was sent last is in the socket's buffer by now, whatever the processors do.
        time.sleep(_LOOK_EVERY)
        self._pipe.send(None)
        dropped = self._pipe.recv()
        self._process.join()
        if dropped:
            raise IncompleteError(f"the kernel dropped {dropped} datagrams from the capture")
        records: NDArray[np.void] = np.load(self._path)
        self._path.unlink()
        return np.sort(records, order="time")
