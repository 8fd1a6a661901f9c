"""What an adversary computes from a trace: counts, lengths, gaps, and how far behind each datagram is: behind its slot
where slots are on a grid, and else behind what last came the other way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)
_LAGS = (1, 2, 3, 5, 10, 20)
_SCALES = (0.02, 0.1, 0.5)
_LIMITS = (30, 100, 300, 1000)
_DRIFT_PIECES = 16
#: Into how many parts an interval is cut to see where its slots are, and how far before that a cell may seem to leave.
_PHASES = 100
_EARLY = 0.1

_MOMENTS = ["mean", "spread", "least", "most", *(f"{percent}%" for percent in _PERCENTILES)]
#: What the features of one direction are called, in order.
NAMES = [
    "count",
    "distinct lengths",
    "distinct addresses",
    *(f"{what} {moment}" for what in ("length", "gap", "lateness") for moment in _MOMENTS),
    *(f"lateness above {limit}" for limit in _LIMITS),
    *(f"{what} autocorrelation {lag}" for what in ("gap", "lateness") for lag in _LAGS),
    *(f"count in {scale} s {kind}" for scale in _SCALES for kind in ("spread", "least", "most", "none")),
]
#: And where datagrams come in groups, these as well.
GROUP_NAMES = [
    *(
        f"{what} of groups {kind}"
        for what in ("count", "span", "first lateness")
        for kind in ("mean", "spread", "most")
    ),
]


@dataclass(frozen=True)
class Trace:
    """Datagrams from one port, seconds since the block's start; all of one session, one way."""

    times: Floats
    lengths: Floats
    destinations: Floats
    #: How much later than its grid's slot each left, in microseconds; without a grid, than what had last come the other
    #: way, once that is known.
    lateness: Floats
    #: The grid's interval, in seconds.
    spacing: float | None = None
    #: Which group each is of, where there are groups.
    groups: NDArray[np.int64] | None = None

    def _only(self, which: slice | NDArray[np.bool_]) -> Trace:
        return replace(
            self,
            times=self.times[which],
            lengths=self.lengths[which],
            destinations=self.destinations[which],
            lateness=self.lateness[which],
            groups=None if self.groups is None else self.groups[which],
        )

    def between(self, start: float, end: float) -> Trace:
        """The part within [start, end)."""
        low, high = np.searchsorted(self.times, (start, end))
        return self._only(slice(int(low), int(high)))

    def _inside(self, windows: list[tuple[float, float]]) -> NDArray[np.bool_]:
        inside = np.zeros(len(self.times), bool)
        for start, end in windows:
            low, high = np.searchsorted(self.times, (start, end))
            inside[low:high] = True
        return inside

    def shifted(self, windows: list[tuple[float, float]], by: float) -> Trace:
        """The same, with what lies in any of the windows `by` microseconds later: a leak of known size."""
        late = np.where(self._inside(windows), by, 0.0)
        return replace(self, times=self.times + late * 1e-6, lateness=self.lateness + late)

    def thinned(self, windows: list[tuple[float, float]], share: float, rng: np.random.Generator) -> Trace:
        """The same, without a share of what lies in any of the windows, taken at random."""
        return self._only(~self._inside(windows) | (rng.random(len(self.times)) >= share))

    def after(self, there: Trace) -> Trace:
        """The same; and where there is no grid to be behind of, each is behind what came last from `there`."""
        if self.spacing is not None:
            return self
        return replace(self, lateness=_since(self.times, there.times) * 1e6)


def trace(records: NDArray[np.void], start: int, spacing: float | None, period: int) -> Trace:
    """The trace of these records, `start` being in nanoseconds since 1970, `spacing` the grid's and `period` that of
    groups, in seconds, if there are any.
    """
    # Handshakes are on no grid, and where cells are rare they are enough to bend its estimate.
    records = records[records["time"] >= start]
    times = (records["time"] - start) * 1e-9
    return Trace(
        times,
        records["length"].astype(float),
        records["destination"].astype(float),
        # Groups begin at whole seconds of their sender's clock, and so all of them are on one grid.
        np.zeros(len(times)) if spacing is None else lateness(times, spacing) * 1e6,
        spacing,
        group_numbers(times, period) if period else None,
    )


def group_numbers(times: Floats, period: float) -> NDArray[np.int64]:
    """Which group each is of: within a period, groups begin after the longest time in which nothing ever leaves."""
    if len(times) == 0:
        return np.zeros(0, np.int64)
    phases = np.sort(times % period)
    empty = np.diff(phases, append=phases[0] + period)
    place = int(empty.argmax())
    # The middle of that time.
    begin = phases[place] + empty[place] / 2
    numbers: NDArray[np.int64] = np.floor((times - begin) / period).astype(np.int64)
    return numbers


def _since(times: Floats, others: Floats) -> Floats:
    """Seconds since the last of the others; before the first, none."""
    last = np.searchsorted(others, times) - 1
    if len(others) == 0:
        return np.zeros(len(times))
    return np.where(last >= 0, times - others[np.maximum(last, 0)], 0.0)


def lateness(times: Floats, interval: float) -> Floats:
    """How far each time is behind a grid of which only the interval is known. Its phase is where most times are, and
    its drift that of the earliest tenth: what is on time is early, and what is not is late.
    """
    if len(times) < 2 * _DRIFT_PIECES:
        return np.zeros(len(times))
    late = _wrap(times - _phase(times, interval), interval)
    pieces = np.array_split(np.arange(len(times)), _DRIFT_PIECES)
    middle = np.array([times[piece].mean() for piece in pieces])
    early = np.array([np.percentile(late[piece], 10) for piece in pieces])
    slope, offset = np.polyfit(middle, early, 1)
    return _wrap(late - slope * times - offset, interval)


def _phase(times: Floats, interval: float) -> float:
    """Where within an interval most times are."""
    bins = np.bincount((times / interval % 1.0 * _PHASES).astype(int) % _PHASES, minlength=_PHASES)
    near = _PHASES // 20
    around = sum(np.roll(bins, by) * (near - abs(by)) for by in range(1 - near, near))
    return (float(np.argmax(around)) + 0.5) / _PHASES * interval


def _wrap(values: Floats, interval: float) -> Floats:
    """Within an interval, little of it before zero: a cell is late by up to an interval, and never early."""
    early = interval * _EARLY
    return (values + early) % interval - early


def window(here: Trace, there: Trace, length: float) -> Floats:
    """The features of both directions in a window of `length` seconds."""
    return np.concatenate([_direction(here, length), _direction(there, length)])


def _direction(part: Trace, length: float) -> Floats:
    gaps = np.diff(part.times) * 1e6
    counts = [_counts(part.times, length, scale) for scale in _SCALES]
    if part.groups is not None:
        counts.append(_of_groups(part, part.groups))
    return np.concatenate(
        [
            [len(part.times), len(np.unique(part.lengths)), len(np.unique(part.destinations))],
            _moments(part.lengths),
            _moments(gaps),
            _moments(part.lateness),
            _tails(part.lateness),
            _autocorrelation(gaps),
            _autocorrelation(part.lateness),
            *counts,
        ]
    )


def _moments(values: Floats) -> Floats:
    if len(values) == 0:
        return np.zeros(len(_PERCENTILES) + 4)
    return np.concatenate(
        [[values.mean(), values.std(), values.min(), values.max()], np.percentile(values, _PERCENTILES)]
    )


def _tails(values: Floats) -> Floats:
    if len(values) == 0:
        return np.zeros(len(_LIMITS))
    return np.array([(values > limit).mean() for limit in _LIMITS])


def _autocorrelation(values: Floats) -> Floats:
    if len(values) <= 2 * _LAGS[-1]:
        return np.zeros(len(_LAGS))
    # Ranks: one cell that is milliseconds late would decide everything.
    centred = np.argsort(np.argsort(values)) - (len(values) - 1) / 2
    total = float(centred @ centred)
    return np.array([float(centred[:-lag] @ centred[lag:]) / total for lag in _LAGS])


def _counts(times: Floats, length: float, scale: float) -> Floats:
    if len(times) == 0:
        return np.zeros(4)
    bins = max(1, round(length / scale))
    # The adversary cuts at multiples of the scale, wherever the window begins.
    first = np.floor(times[0] / scale)
    counts = np.bincount((times / scale - first).astype(int), minlength=bins)[:bins]
    return np.array([counts.std(), counts.min(), counts.max(), (counts == 0).mean()])


def _of_groups(part: Trace, groups: NDArray[np.int64]) -> Floats:
    if len(groups) == 0:
        return np.zeros(len(GROUP_NAMES))
    _numbers, first, count = np.unique(groups, return_index=True, return_counts=True)
    span = (part.times[first + count - 1] - part.times[first]) * 1e6
    values = (count.astype(float), span, part.lateness[first])
    return np.concatenate([[value.mean(), value.std(), value.max()] for value in values])


def cells(here: Trace, there: Trace) -> Floats:
    """Features of each cell by itself: how late it is, and its neighbours, and what arrived last."""
    late = here.lateness
    gap = np.diff(here.times, prepend=here.times[:1], append=here.times[-1:]) * 1e6
    last = np.searchsorted(there.times, here.times) - 1
    since = _since(here.times, there.times) * 1e6
    if here.spacing is not None:
        since %= here.spacing * 1e6
    around = np.lib.stride_tricks.sliding_window_view(np.pad(late, 5, mode="edge"), 11)
    return np.column_stack(
        [
            late,
            np.roll(late, 1),
            np.roll(late, -1),
            gap[:-1],
            gap[1:],
            np.median(around, axis=1),
            around.mean(axis=1),
            there.lateness[np.maximum(last, 0)],
            since,
        ]
    )
