"""From captures to samples: which datagrams are whose, in which segment, and what the design called that segment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import features
from .behaviours import BEHAVIOURS
from .features import Floats, Trace
from .plan import Block, Cells, Pair
from .stats import Ints, Units

#: What the behaviours need to begin: a message waits for its slot.
_SETTLE = 0.05
#: What is handed over may miss the cells that leave next, and so long after the last of it some may be sent again, in
#: seconds; of random gaps, at least so many of the mean, since a gap that must have ended by then is not like others.
_EDGE = 0.03
_SPILL = 0.25
_SPILL_GAPS = 8
#: Cells.
_LARGEST_BUCKET = 16


@dataclass(frozen=True)
class Recording:
    """One block, and what was captured of it."""

    block: Block
    records: NDArray[np.void]

    def trace(self, source: int, destination: int | None = None) -> Trace:
        """What left one port, for another or for anywhere."""
        mine = self.records["source"] == source
        if destination is not None:
            mine &= self.records["destination"] == destination
        return features.trace(self.records[mine], self.block.start, self.block.size.spacing, self.block.size.period)

    def both(self, port: int, other: int, *, server: bool = False) -> tuple[Trace, Trace]:
        """What left one port and what left the other, for the first alone if the other is a server's."""
        here, there = self.trace(port), self.trace(other, port if server else None)
        return here.after(there), there.after(here)

    def segment(self, number: int) -> tuple[float, float]:
        """Begin and end of a segment, in seconds since the block's start: of groups, as many in each."""
        size = self.block.size
        start = number * size.pitch + _SETTLE
        if size.period:
            return start, start + size.segment // size.period * size.period
        return start, number * size.pitch + size.segment


@dataclass(frozen=True)
class Samples:
    """Feature vectors: each of a unit and a run. Runs of one chunk are never split between training and testing."""

    x: Floats
    unit: Ints
    run: Ints
    chunk: Ints
    units: Units


class _Collector:
    """Gathers samples run by run."""

    def __init__(self) -> None:
        self._x: list[Floats] = []
        self._unit: list[Ints] = []
        self._run: list[Ints] = []
        self._chunk: list[Ints] = []
        self._labels: list[int] = []
        self._strata = 0

    def add(self, vectors: list[tuple[int, Floats]], labels: list[list[int]], run: int, chunk: int) -> None:
        """A run: vectors with the index of their unit among this run's, and labels by stratum and unit."""
        first = len(self._labels)
        x = np.array([vector for _, vector in vectors])
        # As well as the features themselves, how they differ from the run's own: an adversary has seen all of it.
        spread = x.std(axis=0)
        x = np.column_stack([x, (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)])
        self._x.append(x)
        self._unit.append(np.array([first + unit for unit, _ in vectors]))
        self._run.append(np.full(len(vectors), run))
        self._chunk.append(np.full(len(vectors), chunk))
        self._strata += len(labels)
        for stratum in labels:
            self._labels += stratum

    def samples(self) -> Samples | None:
        """Everything, if there is anything."""
        if not self._x:
            return None
        return Samples(
            np.nan_to_num(np.concatenate(self._x)),
            np.concatenate(self._unit),
            np.concatenate(self._run),
            np.concatenate(self._chunk),
            Units(np.array(self._labels), self._strata),
        )


def _pairs(recordings: list[Recording], world: str) -> list[tuple[int, Recording, Pair]]:
    found = [(recording, pair) for recording in recordings for pair in recording.block.pairs if pair.world == world]
    return [(number, recording, pair) for number, (recording, pair) in enumerate(found)]


def _chunk(recordings: list[Recording], run: int, recording: Recording) -> int:
    """Whole blocks where there are enough, so that nothing else of the machine's is shared either; else runs."""
    return recording.block.number if len(recordings) >= 5 else run


@dataclass(frozen=True)
class Plant:
    """A leak of known size: so many microseconds of delay, or the share of cells that are missing."""

    delay: float = 0.0
    missing: float = 0.0

    def __str__(self) -> str:
        return f"{self.missing * 100:.0f} % missing" if self.missing else f"{self.delay:.0f} µs"

    def into(self, here: Trace, there: Trace, windows: list[tuple[float, float]], run: int) -> tuple[Trace, Trace]:
        """What would be seen of both ends if the first one leaked in these windows."""
        if self.delay:
            here = here.shifted(windows, self.delay)
        if self.missing:
            here = here.thinned(windows, self.missing, np.random.default_rng(run))
        return here.after(there), there.after(here)


def behaviours(
    recordings: list[Recording], world: str, scale: float | None = None, plant: Plant | None = None
) -> Samples | None:
    """Labels are indices into `BEHAVIOURS`. `scale` cuts segments into windows of so many seconds. Active segments leak
    what is planted.
    """
    collector = _Collector()
    for run, recording, pair in _pairs(recordings, world):
        here, there = recording.both(*pair.ports)
        segments = [recording.segment(number) for number in range(recording.block.segments)]
        if plant:
            active = [s for s, label in zip(segments, pair.labels, strict=True) if label != "idle"]
            here, there = plant.into(here, there, active, run)
        vectors = []
        for number, (start, end) in enumerate(segments):
            length = scale or end - start
            for cut in np.arange(start, end - length * 0.9, length):
                parts = here.between(cut, cut + length), there.between(cut, cut + length)
                vectors.append((number, features.window(*parts, length)))
        labels = [BEHAVIOURS.index(label) for label in pair.labels]
        collector.add(vectors, [labels], run, _chunk(recordings, run, recording))
    return collector.samples()


def active(samples: Samples) -> Samples:
    """The same with two labels: idle, and anything else."""
    labels = (samples.units.labels != 0).astype(int)
    return Samples(samples.x, samples.unit, samples.run, samples.chunk, Units(labels, samples.units.strata))


#: What can be compared without a classifier, and how to get its values from both directions.
Quantity = Callable[[Trace, Trace], Floats]


def quantities(recordings: list[Recording]) -> dict[str, Quantity]:
    """All there are, by name."""
    grid = all(recording.block.size.spacing is not None for recording in recordings)
    name = "lateness" if grid else "time since the last arrival"
    return {
        name: lambda here, _: here.lateness,
        "gaps": lambda here, _: np.diff(here.times) * 1e6,
        f"{name} of the answers" if grid else f"{name}, of the answers": lambda _, there: there.lateness,
    }


@dataclass(frozen=True)
class Values:
    """Values of one quantity, and the unit of each."""

    values: Floats
    unit: Ints
    units: Units


def quantity(recordings: list[Recording], world: str, of: Quantity) -> Values | None:
    """Every datagram's value of a quantity, labelled idle or active."""
    values, unit, labels = [], [], []
    for run, recording, pair in _pairs(recordings, world):
        here, there = recording.both(*pair.ports)
        for number, label in enumerate(pair.labels):
            start, end = recording.segment(number)
            these = of(here.between(start, end), there.between(start, end))
            values.append(these)
            unit.append(np.full(len(these), run * len(pair.labels) + number))
            labels.append(int(label != "idle"))
    if not values:
        return None
    return Values(np.concatenate(values), np.concatenate(unit), Units(np.array(labels), len(_pairs(recordings, world))))


def cells(recordings: list[Recording], plant: Plant | None = None) -> Samples | None:
    """Single cells, labelled by whether they carry a message. Those that do leak what is planted."""
    collector = _Collector()
    found = [(recording, cells) for recording in recordings for cells in recording.block.cells]
    for run, (recording, these) in enumerate(found):
        here, there = recording.both(*these.ports)
        spans = spans_of(recording.block, these, here)
        if plant:
            here, there = plant.into(here, there, [(start, end) for start, end, full in spans if full], run)
        x = features.cells(here, there)
        vectors = []
        for number, (start, end, _) in enumerate(spans):
            low, high = np.searchsorted(here.times, (start, end))
            vectors += [(number, x[index]) for index in range(int(low), int(high))]
        collector.add(vectors, [[int(full) for _, _, full in spans]], run, _chunk(recordings, run, recording))
    return collector.samples()


def padded(cells: int) -> int:
    """How many cells a message takes that fills so many: buckets up to 16, and PADMÉ's lengths beyond."""
    if cells <= _LARGEST_BUCKET:
        return 1 << (cells - 1).bit_length()
    length = cells * 1024
    exponent = length.bit_length() - 1
    dropped = exponent - exponent.bit_length()
    return -(-((length + (1 << dropped) - 1) >> dropped << dropped) // 1024)


def spans_of(block: Block, cells: Cells, here: Trace) -> list[tuple[float, float, bool]]:
    """Within each window, when all cells are surely full, or surely empty: a message takes as many cells as it has,
    whenever they leave.
    """
    size, times = block.size, here.times
    random_gaps = size.spacing is None
    spill = max(_SPILL, float(size.period), _SPILL_GAPS / size.rate if random_gaps else 0.0)
    seconds, _ = size.filling
    sent = iter(cells.sent)
    spans = []
    # The first cell after all that was said so far.
    free = 0
    for when, full in cells.windows:
        if full:
            handed_over, count = next(sent)
            at = (handed_over - block.start) * 1e-9
            first = max(free, int(np.searchsorted(times, at)))
            # Cells that leave just then are sealed already, or are not.
            low, high = max(free, int(np.searchsorted(times, at + _EDGE))), first + count
            free = min(len(times), max(low, first) + padded(count))
            # The random gap that a given moment falls into is longer than others.
            low += random_gaps
        else:
            gone = float(times[free - 1]) if free else 0.0
            low, high = np.searchsorted(times, (max(when, gone) + spill, when + seconds - _EDGE)).tolist()
        low, high = _whole_groups(here, low, max(low, high))
        start, end = np.append(times, (np.inf, np.inf))[[min(low, len(times)), min(high, len(times))]]
        spans.append((float(start), float(end), bool(full)))
    return spans


def _whole_groups(here: Trace, low: int, high: int) -> tuple[int, int]:
    """Less of a span, so that each group is in it or not: a group's first cells are not like its last ones."""
    groups = here.groups
    if groups is not None:
        while low < high and low > 0 and groups[low - 1] == groups[low]:
            low += 1
        while low < high < len(groups) and groups[high - 1] == groups[high]:
            high -= 1
    return low, high


def clients(recordings: list[Recording]) -> Samples | None:
    """Which client of a server is active: a unit is a client in a segment in which one is, a stratum the segment."""
    collector = _Collector()
    for recording in recordings:
        for server in recording.block.servers:
            segments = [number for number, client in enumerate(server.active) if client >= 0]
            count = len(server.client_ports)
            vectors = []
            for client, port in enumerate(server.client_ports):
                here, there = recording.both(port, server.port, server=True)
                found = []
                for place, number in enumerate(segments):
                    start, end = recording.segment(number)
                    parts = here.between(start, end), there.between(start, end)
                    found.append((place * count + client, features.window(*parts, end - start)))
                # As compared with the same client at other times.
                x = np.array([vector for _, vector in found])
                spread = x.std(axis=0)
                x = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
                vectors += [(unit, vector) for (unit, _), vector in zip(found, x, strict=True)]
            labels = [[int(server.active[number] == client) for client in range(count)] for number in segments]
            number = recording.block.number
            collector.add(vectors, labels, number, number)
    return collector.samples()


def insider(recordings: list[Recording]) -> Samples | None:
    """Whether any other client is active, from one client's own cells and how long its messages took."""
    collector = _Collector()
    for recording in recordings:
        for server in recording.block.servers:
            here, there = recording.both(server.insider_port, server.port, server=True)
            probes = (np.array(server.probes, dtype=float).reshape(-1, 2) - recording.block.start) * 1e-9
            vectors = []
            for number in range(recording.block.segments):
                start, end = recording.segment(number)
                mine = probes[(probes[:, 0] >= start) & (probes[:, 0] < end)]
                took = np.diff(mine, axis=1)[:, 0] if len(mine) else np.zeros(1)
                parts = here.between(start, end), there.between(start, end)
                summary = [took.mean(), took.std(), took.min(), took.max(), *np.percentile(took, (25, 50, 75))]
                vectors.append((number, np.concatenate([features.window(*parts, end - start), summary])))
            number = recording.block.number
            collector.add(vectors, [[int(client >= 0) for client in server.active]], number, number)
    return collector.samples()
