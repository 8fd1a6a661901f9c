"""Section 4, but for cells: knocks, sealed datagrams and the fragments of handshake messages."""

import os
from dataclasses import dataclass

from .primitives import digest, equal, mac, number, open_, prf, require, seal, sip, stream, uint, xor

DATAGRAM = 1200
VERSION = 0x0200
HELLO, INIT, CHALLENGE, RESPONSE, FINISH, STATUS = range(1, 7)
INIT_CHUNK, SEALED_CHUNK = 1060, 1148


def message_tag(message: bytes) -> bytes:
    return digest("B4AE2-fragment..", message)[:8]


def chunks(message: bytes, size: int) -> list[bytes]:
    return [message[i : i + size].ljust(size, b"\0") for i in range(0, len(message), size)]


@dataclass
class Knock:
    """What a stranger sends to the holder of `fingerprint`."""

    header: bytes
    data: bytes
    mac2: bytes

    def encode(self, fingerprint: bytes, nonce: bytes, cookie_tag: bytes | None = None) -> bytes:
        """With a cookie's tag an Init fragment, without it a Hello, whose data and mac2 are random."""
        mask = stream(prf(fingerprint, "B4AE2-mask-key.."), nonce, 1156)
        start = nonce + xor(self.header, mask[:96])
        mac1 = sip(prf(fingerprint, "B4AE2-mac1-key.."), start)
        if cookie_tag is None:
            return start + mac1 + self.data + self.mac2
        start += mac1 + xor(self.data, mask[96:])
        return start + mac(cookie_tag, "B4AE2-mac2......", start)

    @classmethod
    def decode(cls, fingerprint: bytes, datagram: bytes) -> "Knock":
        require(len(datagram) == DATAGRAM, "a datagram of another size")
        key = prf(fingerprint, "B4AE2-mac1-key..")
        require(equal(sip(key, datagram[:108]), datagram[108:124]), "a wrong mac1")
        mask = stream(prf(fingerprint, "B4AE2-mask-key.."), datagram[:12], 1156)
        header, data = xor(datagram[12:108], mask[:96]), datagram[124:1184]
        if header[0] == INIT:
            data = xor(data, mask[96:])
        return cls(header, data, datagram[1184:])


def mac2_is_right(datagram: bytes, cookie_tag: bytes) -> bool:
    return equal(mac(cookie_tag, "B4AE2-mac2......", datagram[:1184]), datagram[1184:])


def hello_header(offer: bytes, random: bytes, connection_id: bytes) -> bytes:
    return bytes([HELLO]) + uint(VERSION, 2) + offer.ljust(2, b"\0") + random + connection_id + bytes(51)


def hello_datagram(fingerprint: bytes, hello: bytes) -> bytes:
    return Knock(hello, os.urandom(1060), os.urandom(16)).encode(fingerprint, os.urandom(12))


@dataclass(frozen=True)
class Cookie:
    """What a Challenge hands out."""

    cookie: bytes
    tag: bytes

    @property
    def time(self) -> int:
        return number(self.cookie[:4])

    @property
    def puzzle_bits(self) -> int:
        return self.cookie[14]

    @property
    def accepted(self) -> int:
        return self.cookie[15]

    def solved_by(self, fingerprint: bytes, x: int) -> bool:
        found = prf(self.tag, "B4AE2-puzzle....", fingerprint + uint(x, 8))
        return int.from_bytes(found, "big") >> (256 - self.puzzle_bits) == 0

    def solve(self, fingerprint: bytes) -> int:
        require(self.puzzle_bits <= 20, "a puzzle too hard")
        return next(x for x in range(2**64) if self.solved_by(fingerprint, x))


def issue(master: bytes, terms: bytes, ip: bytes, port: int, hello_hash: bytes) -> Cookie:
    """Section 5; `terms` are a cookie's 16 bytes before its stamp, `ip` is 16 bytes."""
    key = prf(master, "B4AE2-cookie-key", uint(number(terms[:4]) // 120, 4))
    whose = ip + uint(port, 2) + hello_hash
    cookie = terms + sip(prf(key, "B4AE2-stamp-key."), terms + whose)[:8]
    return Cookie(cookie, prf(key, "B4AE2-cookie-tag", cookie + whose))


def hello_hash(hello: bytes) -> bytes:
    return digest("B4AE2-hello-hash", hello)


def init_headers(hello: bytes, cookie: Cookie, solution: int, have: int, message: bytes) -> list[bytes]:
    """The header of each Init fragment; `have` has a bit for each Response fragment that is here."""
    return [
        bytes([INIT, index])
        + uint(have, 2)
        + cookie.cookie
        + hello_hash(hello)
        + hello[37:45]
        + uint(solution, 8)
        + message_tag(message)
        + uint(len(message), 2)
        + bytes(10)
        for index in range(len(chunks(message, INIT_CHUNK)))
    ]


def seal_datagram(key: bytes, connection_id: bytes, nonce: bytes, text: bytes) -> bytes:
    return connection_id + nonce + seal(key, nonce, connection_id, text)


def open_datagram(key: bytes, datagram: bytes, end: int = DATAGRAM) -> bytes:
    return open_(key, datagram[8:20], datagram[:8], datagram[20:end])


def challenge_key(fingerprint: bytes, hello: bytes) -> bytes:
    return prf(prf(fingerprint, "B4AE2-challenge."), "B4AE2-chall-key.", hello_hash(hello))


def open_challenge(key: bytes, datagram: bytes) -> Cookie:
    text = open_datagram(key, datagram, 132)
    require(text[0] == CHALLENGE, "not a Challenge")
    return Cookie(text[1:25], text[25:57])


def response_key(cookie: Cookie) -> bytes:
    return prf(cookie.tag, "B4AE2-response-k")


def sealed_texts(kind: int, message: bytes) -> list[bytes]:
    """The plaintexts of a message's sealed fragments; the last Finish fragment asks for a Status."""
    parts = chunks(message, SEALED_CHUNK)
    return [
        bytes([kind, index, 0, 0, kind == FINISH and index == len(parts) - 1])
        + uint(len(message), 2)
        + b"\0"
        + message_tag(message)
        + part
        for index, part in enumerate(parts)
    ]


class Assembly:
    """Puts one message together from the plaintexts of its sealed fragments."""

    def __init__(self, kind: int):
        self.kind = kind
        self.forget()

    def forget(self) -> None:
        self.name: tuple[int, bytes] | None = None
        self.parts: dict[int, bytes] = {}

    def have(self) -> int:
        return sum(1 << index for index in self.parts)

    def add(self, text: bytes) -> bytes | None:
        """The message, once it is whole."""
        name = number(text[5:7]), text[8:16]
        count = len(chunks(bytes(name[0]), SEALED_CHUNK))
        require(text[0] == self.kind, "a fragment of another kind")
        require(self.name in (None, name), "a fragment of another message")
        require(text[1] < count <= 16, "an index beyond the message")
        self.name = name
        self.parts.setdefault(text[1], text[16:])
        if len(self.parts) < count:
            return None
        message = b"".join(self.parts[index] for index in range(count))[: name[0]]
        require(message_tag(message) == name[1], "a wrong message tag")
        return message
