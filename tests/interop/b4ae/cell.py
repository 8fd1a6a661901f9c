"""Sections 4.3, 7.1 and 7.5: cells, their keys, and how a message is cut into them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from .handshake import Direction
from .primitives import number, open_, require, seal, step, stream, uint, xor

TEXT, DATA = 1168, 1024
GENERATION, WINDOW, MOST_GENERATIONS = 256, 128, 4096
ACK, CLOSE, PATH_CHALLENGE, PATH_RESPONSE = 1, 2, 4, 8


@dataclass
class Fragment:
    """One fragment of a message."""

    message: int
    index: int
    count: int
    length: int
    data: bytes
    unordered: bool = False

    def encode(self) -> bytes:
        return (
            bytes([1, self.unordered])
            + uint(self.index, 2)
            + uint(self.count, 2)
            + uint(self.length, 4)
            + uint(self.message, 6)
            + self.data.ljust(DATA, b"\0")
        )

    @classmethod
    def decode(cls, frame: bytes) -> "Fragment | None":
        """None for padding; an unknown frame is refused."""
        if frame[0] == 0:
            return None
        index, count, length = number(frame[2:4]), number(frame[4:6]), number(frame[6:10])
        require(frame[0] == 1 and index < count, "a frame of another kind")
        carried = min(max(length - index * DATA, 0), DATA)
        return cls(number(frame[10:16]), index, count, length, frame[16 : 16 + carried], frame[1] == 1)


@dataclass
class Control:
    """What every cell tells about the other direction."""

    flags: int = 0
    acknowledged: int = 0
    taken: int = 0
    message_limit: int = 0
    cell_limit: int = 0
    path_challenge: bytes = bytes(8)
    path_response: bytes = bytes(8)
    largest: int = 0
    received: int = 0

    def encode(self) -> bytes:
        return (
            uint(self.acknowledged, 6)
            + bytes([self.flags, 0])
            + uint(self.taken, 32)
            + uint(self.message_limit, 6)
            + uint(self.cell_limit, 6)
            + self.path_challenge
            + self.path_response
            + uint(self.largest, 6)
            + uint(self.received, 6)
            + bytes(48)
        )

    @classmethod
    def decode(cls, data: bytes) -> "Control":
        return cls(
            data[6],
            number(data[:6]),
            number(data[8:40]),
            number(data[40:46]),
            number(data[46:52]),
            data[52:60],
            data[60:68],
            number(data[68:74]),
            number(data[74:80]),
        )

    def acknowledges(self, counter: int) -> bool:
        behind = self.acknowledged - counter
        return bool(self.flags & ACK) and 0 <= behind < 256 and bool(self.taken >> behind & 1)


def text(control: Control, fragment: Fragment | None) -> bytes:
    return control.encode() + (fragment.encode() if fragment else bytes(16 + DATA))


@dataclass
class Chain:
    """The keys of one direction's cells, in order."""

    generation_key: bytes
    next: int = 0
    cell_key: bytes = b""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self.next % GENERATION == 0:
            self.generation_key, self.cell_key = step(self.generation_key, "B4AE2-generation")
        self.cell_key, key = step(self.cell_key, "B4AE2-cell-key..")
        self.next += 1
        return key

    def skip_to(self, counter: int) -> None:
        """Whole generations at once, then cell by cell."""
        generation = counter // GENERATION
        if self.next <= generation * GENERATION:
            # The key of the first generation not yet begun is at hand.
            for _ in range(-(-self.next // GENERATION), generation):
                self.generation_key, _ = step(self.generation_key, "B4AE2-generation")
            self.next = generation * GENERATION
        while self.next < counter:
            next(self)


def _check(mask: bytes, counter: int) -> int:
    a, b = number(mask[8:16]), number(mask[24:32])
    return ((a * counter + b) % 2**64) >> 48


def seal_cell(keys: Direction, key: bytes, counter: int, plain: bytes) -> bytes:
    sealed = seal(key, bytes(12), keys.connection_id + uint(counter, 6) + bytes(2), plain)
    mask = stream(keys.header, sealed[-16:-4], 32)
    header = uint(counter, 6) + uint(_check(mask, counter), 2)
    return keys.connection_id + xor(header, mask[:8]) + sealed


def cell_counter(keys: Direction, datagram: bytes) -> int:
    mask = stream(keys.header, datagram[1184:1196], 32)
    header = xor(datagram[8:16], mask[:8])
    counter = number(header[:6])
    require(counter < 2**46 and number(header[6:]) == _check(mask, counter), "a wrong header")
    return counter


def open_cell(key: bytes, counter: int, datagram: bytes) -> bytes:
    return open_(key, bytes(12), datagram[:8] + uint(counter, 6) + bytes(2), datagram[16:])


@dataclass
class Receiver:
    """Opens one direction's cells, each of them once, in any order within the window."""

    keys: Direction
    newest: int = -1
    kept: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._chain = Chain(self.keys.chain)

    def open(self, datagram: bytes) -> tuple[int, bytes]:
        """The cell's counter and its text. Nothing has moved if it is refused."""
        counter = cell_counter(self.keys, datagram)
        if counter <= self.newest:
            require(counter in self.kept, "a cell seen before, or too old")
            plain = open_cell(self.kept[counter], counter, datagram)
            del self.kept[counter]
            return counter, plain
        require(counter // GENERATION - (self.newest + 1) // GENERATION <= MOST_GENERATIONS, "a cell too far ahead")
        chain = Chain(self._chain.generation_key, self._chain.next, self._chain.cell_key)
        chain.skip_to(max(chain.next, counter - WINDOW + 1))
        passed = {n: next(chain) for n in range(chain.next, counter)}
        plain = open_cell(next(chain), counter, datagram)
        self._chain, self.newest = chain, counter
        self.kept = {n: key for n, key in {**self.kept, **passed}.items() if n > counter - WINDOW}
        return counter, plain


def padded_cells(length: int, smallest: int = 1024, largest: int = 16384) -> int:
    """How many cells a message of `length` bytes takes."""
    bucket = smallest
    while bucket < length:
        bucket *= 2
    if bucket > largest:
        exponent = length.bit_length() - 1
        unit = 1 << (exponent - exponent.bit_length())
        bucket = -(-length // unit) * unit
    return -(-bucket // DATA)


def fragments(message: int, body: bytes) -> list[Fragment]:
    count = padded_cells(len(body))
    return [
        Fragment(message, index, count, len(body), body[index * DATA : (index + 1) * DATA]) for index in range(count)
    ]
