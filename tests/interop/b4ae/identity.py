"""Section 3: identities, their text form, URIs and the identity block."""

import base64
import binascii
import re
import time
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA87PrivateKey

from .primitives import Refused, digest, number, require, uint, x25519_public

MODE_A, MODE_B = 1, 2
NEVER = 2**64 - 1
BLOCK = 128


def ml_dsa_hash(public: bytes | None) -> bytes:
    return bytes(32) if public is None else digest("B4AE2-ml-dsa-pk.", public)


@dataclass(frozen=True)
class Block:
    """What names an identity on the wire."""

    x25519: bytes
    ml_dsa: bytes
    ml_kem: bytes = bytes(32)
    not_after: int = NEVER

    def encode(self) -> bytes:
        return b"\1" + self.x25519 + self.ml_dsa + self.ml_kem + uint(self.not_after, 8) + bytes(23)

    @classmethod
    def decode(cls, data: bytes) -> "Block":
        require(len(data) == BLOCK and data[0] == 1, "an identity block of another kind")
        block = cls(data[1:33], data[33:65], data[65:97], number(data[97:105]))
        require(block.not_after >= time.time(), "an identity that has expired")
        return block

    def fingerprint(self) -> bytes:
        return digest("B4AE2-peer-id...", digest("B4AE2-x25519-pk.", self.x25519) + self.ml_dsa + self.ml_kem)


@dataclass(frozen=True)
class Identity:
    """The secret half: an X25519 key and, for mode B, the 32-byte seed of an ML-DSA-87 key."""

    x25519: bytes
    ml_dsa_seed: bytes | None = None

    def signer(self) -> MLDSA87PrivateKey:
        require(self.ml_dsa_seed is not None, "mode B takes an ML-DSA-87 key")
        return MLDSA87PrivateKey.from_seed_bytes(self.ml_dsa_seed)

    def block(self) -> Block:
        public = None if self.ml_dsa_seed is None else self.signer().public_key().public_bytes_raw()
        return Block(x25519_public(self.x25519), ml_dsa_hash(public))

    def fingerprint(self) -> bytes:
        return self.block().fingerprint()


def to_text(fingerprint: bytes) -> str:
    check = digest("B4AE2-id-check..", fingerprint)[:3]
    return base64.b32encode(fingerprint + check).decode().lower()


def from_text(text: str) -> bytes:
    require(len(text) == 56, "a fingerprint has 56 characters")
    try:
        fingerprint = base64.b32decode(text.upper())[:32]
    except binascii.Error:
        raise Refused("not base32") from None
    require(to_text(fingerprint) == text.lower(), "a wrong checksum")
    return fingerprint


def parse_uri(uri: str) -> tuple[str, int, bytes]:
    """Host without brackets, port, fingerprint."""
    match = re.fullmatch(r"b4ae://(?:\[([^\s/@\[\]?]+)\]|([^\s/@\[\]?:]+)):([0-9]{1,5})/?#(\w+)", uri)
    if match is None:
        raise Refused("not a b4ae:// URI")
    host, port = match[1] or match[2], int(match[3])
    require(1 <= port <= 65535, "a port is 1 to 65535")
    return host, port, from_text(match[4])
