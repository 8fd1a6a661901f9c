"""Sections 6.1, 7 and 8: an initiator over UDP, one session, cells at a constant rate.

The plainest that gets along with any node: its retransmission timeout is fixed, it stays at one address, and a
Challenge or Response that is not what it should be ends the attempt.
"""

import os
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from . import cell, wire
from .cell import Control, Fragment
from .handshake import Initiator, Session
from .identity import Identity, parse_uri
from .primitives import Refused, require

T = TypeVar("T")

INTERVAL = 0.01
HANDSHAKE_TIMEOUT = 20.0
RETRANSMISSION_TIMEOUT = 1.0
MOST_STATUSES, MOST_UNACKNOWLEDGED, LOST_AFTER = 16, 200, 16
MESSAGES_AHEAD, CELLS_AHEAD = 1024, 2048


@dataclass
class Outgoing:
    """Fragments on their way, and what became of the messages."""

    messages: int = 0
    cells: int = 0
    waiting: list[Fragment] = field(default_factory=list)
    sent: dict[int, tuple[Fragment, float]] = field(default_factory=dict)
    missing: dict[int, int] = field(default_factory=dict)
    message_limit: int = 0
    cell_limit: int = 0
    peer_largest: int = -1

    def push(self, body: bytes) -> int:
        parts = cell.fragments(self.messages, body)
        self.messages += 1
        self.missing[parts[0].message] = len(parts)
        self.waiting += parts
        return parts[0].message

    def next(self, now: float) -> Fragment | None:
        for counter, (fragment, _) in self.sent.items():
            if self.is_lost(counter, now):
                del self.sent[counter]
                return fragment
        if not self.waiting or len(self.sent) >= MOST_UNACKNOWLEDGED:
            return None
        first = self.waiting[0]
        if first.index == 0:
            if first.message >= self.message_limit or self.cells + first.count > self.cell_limit:
                return None
            self.cells += first.count
        return self.waiting.pop(0)

    def is_lost(self, counter: int, now: float) -> bool:
        return self.peer_largest >= counter + LOST_AFTER or now - self.sent[counter][1] > RETRANSMISSION_TIMEOUT

    def read(self, control: Control) -> None:
        self.message_limit = max(self.message_limit, control.message_limit)
        self.cell_limit = max(self.cell_limit, control.cell_limit)
        for counter in [n for n in self.sent if control.acknowledges(n)]:
            self.missing[self.sent.pop(counter)[0].message] -= 1
        if control.received:
            self.peer_largest = max(self.peer_largest, control.largest)

    def is_delivered(self, message: int) -> bool:
        return self.missing[message] == 0


@dataclass
class Incoming:
    """Fragments that came, and the messages they make up, in the order of sending."""

    next: int = 0
    cells: int = 0
    parts: dict[int, dict[int, Fragment]] = field(default_factory=dict)
    whole: list[bytes] = field(default_factory=list)

    def take(self, fragment: Fragment) -> None:
        if fragment.message < self.next:
            return
        require(fragment.message < self.next + MESSAGES_AHEAD, "a message beyond the limit")
        require(fragment.length <= fragment.count * cell.DATA, "a message longer than its fragments")
        parts = self.parts.setdefault(fragment.message, {})
        same = all((p.count, p.length) == (fragment.count, fragment.length) for p in parts.values())
        require(same, "a message that contradicts itself")
        parts.setdefault(fragment.index, fragment)
        while self.next in self.parts and len(self.parts[self.next]) == self.parts[self.next][0].count:
            done = self.parts.pop(self.next)
            self.whole.append(b"".join(done[index].data for index in sorted(done)))
            self.cells += len(done)
            self.next += 1


class Peer:
    """Dials one node. Everything happens within the calls, on the caller's thread."""

    def __init__(self, identity: Identity, uri: str, offer: bytes):
        host, port, fingerprint = parse_uri(uri)
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self.socket = socket.socket(family, kind)
        self.socket.connect(address)
        self.handshake = Initiator(identity, fingerprint, offer)
        self.outgoing, self.incoming = Outgoing(), Incoming()
        self.peer_closed = self.closing = False
        self._counter = 0
        self._next_slot = 0.0
        self._first_close: int | None = None
        self._control = Control()

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    @property
    def session(self) -> Session:
        assert self.handshake.session is not None
        return self.handshake.session

    # The handshake.

    def connect(self) -> None:
        """Shakes hands; returns when the other side's first cell has confirmed it."""
        deadline = time.monotonic() + HANDSHAKE_TIMEOUT
        hello = self.handshake.hello
        challenge_key = wire.challenge_key(self.handshake.responder, hello)
        cookie = self._exchange(
            deadline,
            lambda _: [wire.hello_datagram(self.handshake.responder, hello)],
            lambda datagram: wire.open_challenge(challenge_key, datagram),
        )
        self._send_init(cookie, deadline)
        self._send_finish(deadline)

    def _exchange(self, deadline: float, make: Callable[[int], list[bytes]], read: Callable[[bytes], T | None]) -> T:
        """Sends what `make` makes for the n-th time until `read` returns something for a datagram."""
        base = 1.0
        for attempt in count():
            for datagram in make(attempt):
                self.socket.send(datagram)
            timer = min(time.monotonic() + base * (0.75 + random.random() / 2), deadline)
            base = min(2 * base, 8.0)
            while (datagram := self._receive(timer)) is not None:
                try:
                    found = read(datagram)
                except Refused:
                    continue
                if found is not None:
                    return found
            if time.monotonic() >= deadline:
                raise TimeoutError("the peer did not answer")
        raise AssertionError("counting has no end")

    def _send_init(self, cookie: wire.Cookie, deadline: float) -> None:
        shake = self.handshake
        init = shake.init(cookie)
        solution = cookie.solve(shake.responder)
        parts = wire.chunks(init, wire.INIT_CHUNK)
        response, key = wire.Assembly(wire.RESPONSE), wire.response_key(cookie)

        def make(attempt: int) -> list[bytes]:
            headers = wire.init_headers(shake.hello, cookie, solution, response.have(), init)
            pairs = list(zip(headers, parts, strict=True))
            # With part of the Response here, fragment 0 alone asks for the rest, once.
            if attempt == 1 and response.have():
                pairs = pairs[:1]
            return [wire.Knock(h, p, b"").encode(shake.responder, os.urandom(12), cookie.tag) for h, p in pairs]

        def read(datagram: bytes) -> bytes | None:
            if datagram[:8] != shake.connection_id:
                return None
            return response.add(wire.open_datagram(key, datagram))

        shake.read_response(self._exchange(deadline, make, read))

    def _send_finish(self, deadline: float) -> None:
        shake = self.handshake
        texts = wire.sealed_texts(wire.FINISH, shake.finish())
        lacking = list(range(len(texts)))
        statuses = 0
        self._receiver, self._chain = cell.Receiver(self.session.r2i), cell.Chain(self.session.i2r.chain)

        def make(_: int) -> list[bytes]:
            return self._finish_datagrams(texts, lacking or [0])

        def read(datagram: bytes) -> bool | None:
            nonlocal lacking, statuses
            if datagram[:8] == self.session.r2i.connection_id:
                self._read_cell(datagram)
                return True
            if datagram[:8] != shake.connection_id or statuses == MOST_STATUSES:
                return None
            status = wire.open_datagram(shake.status_key, datagram)
            require(status[0] == wire.STATUS and status[8:16] == texts[0][8:16], "not a Status of this Finish")
            statuses += 1
            have = int.from_bytes(status[2:4], "little")
            lacking = [index for index in range(len(texts)) if not have >> index & 1]
            for again in self._finish_datagrams(texts, lacking) if lacking else []:
                self.socket.send(again)
            return None

        self._exchange(deadline, make, read)

    def _finish_datagrams(self, texts: list[bytes], indices: list[int]) -> list[bytes]:
        shake, made = self.handshake, []
        for index in indices:
            asks = index == indices[-1]
            text = texts[index][:4] + bytes([asks]) + texts[index][5:]
            made.append(wire.seal_datagram(shake.finish_key, shake.peer_connection_id, os.urandom(12), text))
        return made

    def _receive(self, until: float) -> bytes | None:
        """The next datagram of the right size, or None when it is time."""
        while (left := until - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                datagram = self.socket.recv(65535)
            except (TimeoutError, ConnectionError):
                continue
            if len(datagram) == wire.DATAGRAM:
                return datagram
        return None

    # The session.

    def send(self, body: bytes, timeout: float = 20.0) -> None:
        """Returns when the other side has acknowledged the whole message."""
        message = self.outgoing.push(body)
        self._run(lambda: self.outgoing.is_delivered(message), timeout)

    def receive(self, timeout: float = 20.0) -> bytes:
        self._run(lambda: self.incoming.whole, timeout)
        return self.incoming.whole.pop(0)

    def close(self, timeout: float = 20.0) -> None:
        """Says goodbye, and returns when the other side has heard it."""
        self.closing = True
        self._run(lambda: self.peer_closed or self._close_is_heard(), timeout)

    def _close_is_heard(self) -> bool:
        return self._first_close is not None and self.outgoing.peer_largest >= self._first_close

    def _run(self, done: Callable[[], object], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not done():
            if time.monotonic() >= deadline:
                raise TimeoutError("the peer went silent")
            self._next_slot = max(self._next_slot + INTERVAL, time.monotonic())
            self._send_cell()
            while (datagram := self._receive(self._next_slot + INTERVAL)) is not None:
                if datagram[:8] == self.session.r2i.connection_id:
                    try:
                        self._read_cell(datagram)
                    except Refused:
                        continue

    def _send_cell(self) -> None:
        now = time.monotonic()
        fragment = self.outgoing.next(now)
        control = self._control
        control.message_limit = self.incoming.next + MESSAGES_AHEAD
        control.cell_limit = self.incoming.cells + CELLS_AHEAD
        confirmed = not self.outgoing.waiting and not self.outgoing.sent and fragment is None
        if self.peer_closed or (self.closing and confirmed):
            control.flags |= cell.CLOSE
            if self._first_close is None:
                self._first_close = self._counter
        datagram = cell.seal_cell(self.session.i2r, next(self._chain), self._counter, cell.text(control, fragment))
        if fragment:
            self.outgoing.sent[self._counter] = fragment, now
        self._counter += 1
        control.flags &= ~cell.PATH_RESPONSE
        control.path_response = bytes(8)
        self.socket.send(datagram)

    def _read_cell(self, datagram: bytes) -> None:
        counter, plain = self._receiver.open(datagram)
        told, ours = Control.decode(plain), self._control
        ours.largest = max(ours.largest, counter)
        ours.received += 1
        self.outgoing.read(told)
        self.peer_closed |= bool(told.flags & cell.CLOSE)
        if told.flags & cell.PATH_CHALLENGE:
            ours.flags |= cell.PATH_RESPONSE
            ours.path_response = told.path_challenge
        if fragment := Fragment.decode(plain[128:]):
            self.incoming.take(fragment)
            self._acknowledge(counter)

    def _acknowledge(self, counter: int) -> None:
        ours = self._control
        if not ours.flags & cell.ACK:
            ours.flags |= cell.ACK
            ours.acknowledged, ours.taken = counter, 1
        elif counter > ours.acknowledged:
            ours.taken = (ours.taken << counter - ours.acknowledged | 1) % 2**256
            ours.acknowledged = counter
        elif ours.acknowledged - counter < 256:
            ours.taken |= 1 << ours.acknowledged - counter
