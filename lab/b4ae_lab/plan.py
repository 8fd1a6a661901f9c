"""The design of the experiment: who does what when, drawn at random before anything runs.

A run is a session, or several sessions of one server. Its time is cut into segments, and what a session does in each is
a random permutation, drawn for each session by itself. So every label occurs equally often in each session, sessions
with all labels run at the same time on the same machine, and whatever else happens on it cannot go with the labels but
by chance: the permutations that might have been drawn as well say exactly how likely chance is.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, field
from typing import Any

from .behaviours import BEHAVIOURS
from .size import Size

#: Half of the segments are idle, and each active behaviour has as many as the others.
_SEGMENTS = ("idle",) * 4 + BEHAVIOURS[1:]


@dataclass
class Pair:
    """Two processes, and what their applications do in each segment."""

    world: str
    labels: list[str]
    seed: int
    ports: tuple[int, int] = (0, 0)


@dataclass
class Server:
    """One server, its clients, and which of them is active in each segment: -1 for none."""

    active: list[int]
    clients: int
    seed: int
    port: int = 0
    client_ports: list[int] = field(default_factory=list)
    insider_port: int = 0
    probes: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Cells:
    """A session that has its queue full in some windows, and empty in others."""

    seed: int
    windows: list[tuple[float, int]]
    ports: tuple[int, int] = (0, 0)
    #: When each message was handed over, and how many cells it takes.
    sent: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Block:
    """What runs at once."""

    number: int
    size: Size
    pairs: list[Pair]
    servers: list[Server]
    cells: list[Cells]
    start: int = 0
    machine: dict[str, Any] = field(default_factory=dict)

    @property
    def segments(self) -> int:
        """How many segments there are."""
        return len(_SEGMENTS) * self.size.rounds

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def load(data: dict[str, Any]) -> Block:
    """The inverse of `Block.as_dict`, after a journey through JSON."""
    return Block(
        number=data["number"],
        size=Size(**data["size"]),
        pairs=[Pair(**{**pair, "ports": tuple(pair["ports"])}) for pair in data["pairs"]],
        servers=[Server(**{**server, "probes": [(a, b) for a, b in server["probes"]]}) for server in data["servers"]],
        cells=[
            Cells(
                seed=cells["seed"],
                windows=[(a, b) for a, b in cells["windows"]],
                ports=tuple(cells["ports"]),
                sent=[(a, b) for a, b in cells["sent"]],
            )
            for cells in data["cells"]
        ],
        start=data["start"],
        machine=data["machine"],
    )


def draw(seed: int, number: int, size: Size) -> Block:
    """Block `number` of the experiment `seed`."""
    rng = random.Random(f"{seed}/{number}")
    segments = list(_SEGMENTS) * size.rounds

    def shuffled() -> list[str]:
        labels = segments.copy()
        rng.shuffle(labels)
        return labels

    worlds = ["pair"] * size.pairs
    for world in ("drop", "delay", "reorder", "hold"):
        worlds += [world] * size.impaired
    for world in ("low-overhead", "shared", "plain"):
        worlds += [world] * size.controls
    pairs = [Pair(world, shuffled(), rng.getrandbits(32)) for world in worlds]
    rng.shuffle(pairs)
    servers = []
    if size.clients:
        active = [-1] * (len(segments) // 2)
        active += [rng.randrange(size.clients) for _ in range(len(segments) - len(active))]
        rng.shuffle(active)
        servers.append(Server(active, size.clients, rng.getrandbits(32)))
    length = size.pitch * len(segments)
    cells = [Cells(rng.getrandbits(32), _windows(rng, length, size)) for _ in range(size.cells)]
    return Block(number, size, pairs, servers, cells)


def _windows(rng: random.Random, length: float, size: Size) -> list[tuple[float, int]]:
    """Windows, half of them full, in random order: when each begins, and how many cells are said in it."""
    seconds, cells = size.filling
    count = int(length / seconds) // 2 * 2
    full = [0, 1] * (count // 2)
    rng.shuffle(full)
    return [(number * seconds, cells * is_full) for number, is_full in enumerate(full)]
