"""Section 6: the handshake's messages and the key schedule, of either side."""

import os
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA87PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM1024PrivateKey, MLKEM1024PublicKey

from . import wire
from .identity import MODE_B, Block, Identity, ml_dsa_hash
from .primitives import (
    Refused,
    digest,
    digest64,
    hash512,
    hmac512,
    open_,
    prf,
    require,
    seal,
    uint,
    x25519,
    x25519_public,
)

PROTOCOL_NAME = b"Noise_XXhfs_25519+MLKEM1024_ChaChaPoly_BLAKE2b"
INIT_LENGTH = 1696
V_LENGTH = 2592


class Transcript:
    """`h`, `ck`, and the key and nonce of what is encrypted next; `steps` keeps what they have been."""

    def __init__(self, hello: bytes, cookie: bytes, fingerprint: bytes):
        self.h = self.ck = PROTOCOL_NAME.ljust(64, b"\0")
        self.k, self.n = b"", 0
        self.steps: list[tuple[bytes, bytes, bytes]] = []
        self.mix_hash(hello + cookie + fingerprint)

    def mix_hash(self, data: bytes) -> None:
        self.h = hash512(self.h + data)
        self.steps.append((self.h, self.ck, self.k))

    def mix_key(self, secret: bytes) -> None:
        t = hmac512(self.ck, secret)
        self.ck = hmac512(t, b"\1")
        self.k, self.n = hmac512(t, self.ck + b"\2")[:32], 0
        self.steps.append((self.h, self.ck, self.k))

    def encrypt(self, text: bytes) -> bytes:
        sealed = seal(self.k, bytes(4) + uint(self.n, 8), self.h, text)
        self.n += 1
        self.mix_hash(sealed)
        return sealed

    def decrypt(self, sealed: bytes) -> bytes:
        text = open_(self.k, bytes(4) + uint(self.n, 8), self.h, sealed)
        self.n += 1
        self.mix_hash(sealed)
        return text

    def mix_init(self, init: bytes) -> None:
        self.mix_hash(init[96:128])
        self.mix_hash(init[128:])
        self.mix_hash(b"")

    def finish_key(self) -> bytes:
        return hmac512(self.ck, b"B4AE2 finish fragments" + self.h)[:32]

    def status_key(self) -> bytes:
        return hmac512(self.ck, b"B4AE2 finish status" + self.h)[:32]


@dataclass(frozen=True)
class Direction:
    """What protects the cells of one direction."""

    chain: bytes
    header: bytes
    connection_id: bytes


class Session:
    """The keys that a whole handshake leaves."""

    def __init__(self, transcript: Transcript, mode: int):
        self.mode = mode
        self.id = digest("B4AE2-session-id", transcript.h)
        secret = hmac512(transcript.h, transcript.ck)
        self.root = hmac512(secret, b"B4AE2 root" + bytes([mode]) + self.id + b"\1")[:32]
        self.i2r, self.r2i = self._direction("i2r"), self._direction("r2i")

    def _key(self, label: str) -> bytes:
        return prf(self.root, label, self.id + uint(0, 4) + bytes([self.mode]))

    def _direction(self, name: str) -> Direction:
        return Direction(
            self._key(f"B4AE2-{name}-chain."),
            self._key(f"B4AE2-{name}-header"),
            self._key(f"B4AE2-{name}-cid...")[:8],
        )

    def export(self, x: bytes) -> bytes:
        return prf(self._key("B4AE2-exporter.."), "B4AE2-exported..", x)


def _signed(role: bytes, h: bytes, signer: bytes, other: bytes) -> bytes:
    return digest64("B4AE2-B-sign-hs.", role + h + signer + other)


def _proof(identity: Identity, signed: bytes) -> bytes:
    signer = identity.signer()
    return signer.public_key().public_bytes_raw() + signer.sign(signed)


def _check_proof(block: Block, proof: bytes, signed: bytes) -> None:
    public, signature = proof[:V_LENGTH], proof[V_LENGTH:]
    require(ml_dsa_hash(public) == block.ml_dsa, "an ML-DSA-87 key of somebody else")
    try:
        MLDSA87PublicKey.from_public_bytes(public).verify(signature, signed)
    except (InvalidSignature, ValueError):
        raise Refused("a wrong signature") from None


@dataclass
class Initiator:
    """Dials `responder`, a fingerprint. What is random may be given, to walk test vectors."""

    identity: Identity
    responder: bytes
    offer: bytes
    ephemeral: bytes = field(default_factory=lambda: os.urandom(32))
    kem_seed: bytes = field(default_factory=lambda: os.urandom(64))
    hello: bytes = b""
    session: Session | None = None

    def __post_init__(self) -> None:
        if not self.hello:
            self.hello = wire.hello_header(self.offer, os.urandom(32), os.urandom(8))
        self._kem = MLKEM1024PrivateKey.from_seed_bytes(self.kem_seed)

    @property
    def connection_id(self) -> bytes:
        return self.hello[37:45]

    def init(self, cookie: wire.Cookie) -> bytes:
        """The Init message that answers a Challenge; then `mode` is there."""
        common = [mode for mode in self.offer if mode and 1 << mode & cookie.accepted]
        require(bool(common), "no common mode")
        self.mode = common[0]
        self.transcript = Transcript(self.hello, cookie.cookie, self.responder)
        message = self.hello + x25519_public(self.ephemeral) + self._kem.public_key().public_bytes_raw()
        self.transcript.mix_init(message)
        return message

    def read_response(self, message: bytes) -> None:
        """Verifies a Response; then `peer_connection_id`, `finish_key` and `status_key` are there."""
        t = self.transcript
        self._e_r = message[:32]
        t.mix_hash(self._e_r)
        t.mix_key(x25519(self.ephemeral, self._e_r))
        t.mix_key(self._kem.decapsulate(t.decrypt(message[32:1616])))
        block = Block.decode(t.decrypt(message[1616:1760]))
        require(block.fingerprint() == self.responder, "another identity than the one dialled")
        t.mix_key(x25519(self.ephemeral, block.x25519))
        h = t.h
        answer = t.decrypt(message[1760:])
        self.peer_connection_id = answer[1:9]
        require(answer[0] == self.mode, "another mode than was agreed")
        require(len(answer) == (7235 if self.mode == MODE_B else 16), "an answer of another length")
        if self.mode == MODE_B:
            _check_proof(block, answer[16:], _signed(b"respond.", h, self.responder, bytes(32)))
        self.finish_key, self.status_key = t.finish_key(), t.status_key()

    def finish(self, proof: bytes | None = None) -> bytes:
        """The Finish message; then `session` is there. `proof` stands for a fresh one in mode B."""
        t = self.transcript
        message = t.encrypt(self.identity.block().encode())
        t.mix_key(x25519(self.identity.x25519, self._e_r))
        text = bytes(16)
        if self.mode == MODE_B:
            signed = _signed(b"initiate", t.h, self.identity.fingerprint(), self.responder)
            text += proof or _proof(self.identity, signed)
        message += t.encrypt(text)
        self.session = Session(t, self.mode)
        return message


@dataclass
class Responder:
    """Answers one Init. What is random may be given, to walk test vectors."""

    identity: Identity
    cookie: wire.Cookie
    mode: int
    ephemeral: bytes = field(default_factory=lambda: os.urandom(32))
    connection_id: bytes = field(default_factory=lambda: os.urandom(8))
    encapsulated: tuple[bytes, bytes] | None = None

    def response(self, init: bytes, proof: bytes | None = None) -> bytes:
        """The Response; `proof` stands for a fresh one in mode B. `encapsulated` is a secret and its ciphertext."""
        require(len(init) == INIT_LENGTH, "an Init of another length")
        t = self.transcript = Transcript(init[:96], self.cookie.cookie, self.identity.fingerprint())
        t.mix_init(init)
        e_i = init[96:128]
        message = x25519_public(self.ephemeral)
        t.mix_hash(message)
        t.mix_key(x25519(self.ephemeral, e_i))
        secret, ciphertext = self.encapsulated or MLKEM1024PublicKey.from_public_bytes(init[128:]).encapsulate()
        message += t.encrypt(ciphertext)
        t.mix_key(secret)
        message += t.encrypt(self.identity.block().encode())
        t.mix_key(x25519(self.identity.x25519, e_i))
        answer = bytes([self.mode]) + self.connection_id + bytes(7)
        if self.mode == MODE_B:
            signed = _signed(b"respond.", t.h, self.identity.fingerprint(), bytes(32))
            answer += proof or _proof(self.identity, signed)
        message += t.encrypt(answer)
        self.finish_key, self.status_key = t.finish_key(), t.status_key()
        return message

    def read_finish(self, message: bytes) -> tuple[Session, Block]:
        """The session, and who dialled."""
        t = self.transcript
        block = Block.decode(t.decrypt(message[:144]))
        t.mix_key(x25519(self.ephemeral, block.x25519))
        h = t.h
        proof = t.decrypt(message[144:])
        require(len(proof) == (7235 if self.mode == MODE_B else 16), "a proof of another length")
        if self.mode == MODE_B:
            signed = _signed(b"initiate", h, block.fingerprint(), self.identity.fingerprint())
            _check_proof(block, proof[16:], signed)
        return Session(t, self.mode), block
