"""Section 3.1: XEdDSA, in plain arithmetic."""

import hashlib

from .primitives import number, uint

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)

# Extended coordinates X, Y, Z, T: x = X/Z, y = Y/Z, x·y = T/Z.
Point = tuple[int, int, int, int]
IDENTITY: Point = (0, 1, 1, 0)


def add(a: Point, b: Point) -> Point:
    """RFC 8032, section 5.1.4."""
    e1, e2 = (a[1] - a[0]) * (b[1] - b[0]), (a[1] + a[0]) * (b[1] + b[0])
    c, d = 2 * a[3] * b[3] * D, 2 * a[2] * b[2]
    e, f, g, h = e2 - e1, d - c, d + c, e2 + e1
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar: int, point: Point) -> Point:
    product = IDENTITY
    while scalar:
        if scalar & 1:
            product = add(product, point)
        point, scalar = add(point, point), scalar >> 1
    return product


def negate(point: Point) -> Point:
    return -point[0] % P, point[1], point[2], -point[3] % P


def encode(point: Point) -> bytes:
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return uint(y | (x & 1) << 255, 32)


def with_sign_zero(y: int) -> Point | None:
    """RFC 8032, section 5.1.3."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * SQRT_OF_MINUS_ONE % P
    if x * x % P != square:
        return None
    x = P - x if x & 1 else x
    return x, y, 1, x * y % P


BASE = with_sign_zero(4 * pow(5, -1, P) % P)
assert BASE is not None


def sha512(*parts: bytes) -> int:
    return number(hashlib.sha512(b"".join(parts)).digest())


def sign(private: bytes, message: bytes, random: bytes) -> bytes:
    k = number(private) & (2**254 - 8) | 2**254
    point = encode(multiply(k, BASE))
    sign_bit, public = point[31] >> 7, uint(number(point) & (2**255 - 1), 32)
    a = (-k if sign_bit else k) % L
    r = sha512(b"\xfe" + b"\xff" * 31, uint(a, 32), message, random) % L
    commitment = encode(multiply(r, BASE))
    s = (r + sha512(commitment, public, message) * a) % L
    return commitment + uint(s, 32)


def ed25519_key(public: bytes) -> Point | None:
    """Steps 1 to 3."""
    u = number(public)
    if u >= P - 1:
        return None
    key = with_sign_zero((u - 1) * pow(u + 1, -1, P) % P)
    if key is None or encode(multiply(L, key)) != encode(IDENTITY):
        return None
    return key


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    key, commitment, s = ed25519_key(public), signature[:32], number(signature[32:])
    if key is None or s >= L:
        return False
    h = sha512(commitment, encode(key), message) % L
    computed = encode(add(multiply(s, BASE), negate(multiply(h, key))))
    return computed == commitment != encode(IDENTITY)
