"""Section 3.1: rotation statements."""

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA87PublicKey

from . import xeddsa
from .identity import Block, ml_dsa_hash
from .primitives import digest64, number, require

LABEL = b"B4AE2-rotation-1"
LONGEST = 366 * 24 * 60 * 60
ROLES = (b"replaced", b"succeeds")


@dataclass(frozen=True)
class Rotation:
    old: bytes
    new: bytes
    since: int
    until: int


def message(role: bytes, body: bytes) -> bytes:
    return digest64("B4AE2-rotation..", role + body)


def split(statement: bytes) -> tuple[bytes, list[tuple[bytes, bytes | None]], list[tuple[bytes, bytes | None]]]:
    """The body; S and V of both identities; the signatures of both."""
    rest = statement

    def take(size: int) -> bytes:
        nonlocal rest
        require(len(rest) >= size, "too short")
        taken, rest = rest[:size], rest[size:]
        return taken

    require(take(16) == LABEL, "another label")
    flags = take(1)[0]
    require(flags <= 3, "unknown flags")
    take(16)
    signs = bool(flags & 1), bool(flags & 2)

    def take_keys(ml_dsa: bool) -> tuple[bytes, bytes | None]:
        s = take(32)
        require(take(32) == bytes(32), "a static ML-KEM key")
        return s, take(2592) if ml_dsa else None

    keys = [take_keys(ml_dsa) for ml_dsa in signs]
    body = statement[: len(statement) - len(rest)]
    signatures = [(take(64), take(4627) if ml_dsa else None) for ml_dsa in signs]
    require(not rest, "too long")
    return body, keys, signatures


def read(statement: bytes) -> Rotation:
    body, keys, signatures = split(statement)
    old, new = (Block(s, ml_dsa_hash(v)).fingerprint() for s, v in keys)
    require(old != new, "one identity")
    since, until = number(body[17:25]), number(body[25:33])
    require(since <= until <= since + LONGEST, "an overlap out of bounds")
    for role, (s, v), (classical, post_quantum) in zip(ROLES, keys, signatures, strict=True):
        require(xeddsa.verify(s, message(role, body), classical), "a wrong XEdDSA signature")
        if v is not None:
            try:
                MLDSA87PublicKey.from_public_bytes(v).verify(post_quantum, message(role, body))
            except InvalidSignature:
                require(False, "a wrong ML-DSA-87 signature")
    return Rotation(old, new, since, until)
