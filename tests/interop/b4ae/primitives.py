"""Section 2: the primitives, under the names the document gives them."""

import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305


class Refused(Exception):
    """Bytes that break the protocol, or that a key does not open."""


def require(condition: bool, why: str) -> None:
    if not condition:
        raise Refused(why)


def uint(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little")


def number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def _blake2b(size: int, label: str, message: bytes, key: bytes = b"") -> bytes:
    assert len(label) == 16
    return hashlib.blake2b(message, digest_size=size, key=key, person=label.encode()).digest()


def digest(label: str, message: bytes) -> bytes:
    return _blake2b(32, label, message)


def digest64(label: str, message: bytes) -> bytes:
    return _blake2b(64, label, message)


def prf(key: bytes, label: str, message: bytes = b"") -> bytes:
    return _blake2b(32, label, message, key)


def step(key: bytes, label: str) -> tuple[bytes, bytes]:
    both = _blake2b(64, label, b"", key)
    return both[:32], both[32:]


def mac(key: bytes, label: str, message: bytes) -> bytes:
    return _blake2b(16, label, message, key)


def sip(key: bytes, message: bytes) -> bytes:
    """SipHash-2-4 with 128 bits out, keyed with the first 16 bytes."""
    k0, k1 = number(key[:8]), number(key[8:16])
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D ^ 0xEE, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotate(i: int, bits: int) -> None:
        v[i] = (v[i] << bits | v[i] >> 64 - bits) % 2**64

    def add(i: int, j: int) -> None:
        v[i] = (v[i] + v[j]) % 2**64

    def rounds(n: int) -> None:
        for _ in range(n):
            add(0, 1), rotate(1, 13)
            v[1] ^= v[0]
            rotate(0, 32), add(2, 3), rotate(3, 16)
            v[3] ^= v[2]
            add(0, 3), rotate(3, 21)
            v[3] ^= v[0]
            add(2, 1), rotate(1, 17)
            v[1] ^= v[2]
            rotate(2, 32)

    padded = message + bytes(7 - len(message) % 8) + uint(len(message) % 256, 1)
    for at in range(0, len(padded), 8):
        word = number(padded[at : at + 8])
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xEE
    rounds(4)
    first = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xDD
    rounds(4)
    return uint(first, 8) + uint(v[0] ^ v[1] ^ v[2] ^ v[3], 8)


def equal(a: bytes, b: bytes) -> bool:
    return hmac.compare_digest(a, b)


def hash512(message: bytes) -> bytes:
    return hashlib.blake2b(message).digest()


def hmac512(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.blake2b).digest()


def seal(key: bytes, nonce: bytes, ad: bytes, text: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(nonce, text, ad)


def open_(key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes:
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, sealed, ad)
    except InvalidTag:
        raise Refused("wrong tag") from None


def stream(key: bytes, nonce: bytes, size: int) -> bytes:
    # The library's nonce begins with the 4 bytes of the block counter.
    return Cipher(algorithms.ChaCha20(key, bytes(4) + nonce), None).encryptor().update(bytes(size))


def x25519(secret: bytes, public: bytes) -> bytes:
    try:
        return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise Refused("an all-zero shared secret") from None


def x25519_public(secret: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
