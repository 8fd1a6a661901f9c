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
