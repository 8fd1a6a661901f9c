"""Pictures for docs/METADATA.md and the pages beside it, as SVG."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
# Text stays text, and the same data make the same file.
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "b4ae", "font.family": "sans-serif", "font.size": 9})

import matplotlib.pyplot as plt  # noqa: E402, after the choice of what draws
import numpy as np  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from .attacks import Row  # noqa: E402
from .behaviours import BEHAVIOURS  # noqa: E402
from .samples import Recording  # noqa: E402

_UNPLANTED = {"a": "a: idle or active", "d": "d: message or cover"}
_BLUE, _ORANGE, _GREY = "#1f6fb2", "#d9730d", "#8a8a8a"


def draw(recordings: list[Recording], rows: list[Row], directory: Path, profile: str) -> None:
    """All pictures; at random times nothing is late."""
    directory.mkdir(exist_ok=True)
    _save(_forest(rows), directory / f"{profile}-attacks.svg")
    _save(_traces(recordings), directory / f"{profile}-traces.svg")
    if recordings[0].block.size.spacing is not None:
        _save(_lateness(recordings), directory / f"{profile}-lateness.svg")
        _save(_sensitivity(rows), directory / f"{profile}-sensitivity.svg")


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight", facecolor="white")
    plt.close(figure)
    # Trailing blanks are not wanted in the repository.
    path.write_text(re.sub(r"[ \t]+$", "", path.read_text(), flags=re.MULTILINE))


def _forest(rows: list[Row]) -> Figure:
    shown = [row for row in rows if row.metric == "AUC" and row.kind in ("claim", "power")]
    figure, axes = plt.subplots(figsize=(8, 0.24 * len(shown) + 0.8))
    for place, row in enumerate(reversed(shown)):
        colour = _BLUE if row.kind == "claim" else _ORANGE
        axes.plot((row.low, row.high), (place, place), color=colour, linewidth=1.6)
        axes.plot(row.value, place, "o", color=colour, markersize=4)
    axes.set_yticks(range(len(shown)))
    axes.set_yticklabels([f"{row.attack}, {row.traffic}, {row.method}" for row in reversed(shown)])
    axes.axvline(0.5, color=_GREY, linewidth=1, linestyle="--")
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("AUC, and its 95 % interval: 0.5 is chance, 1 is certainty")
    _plain(axes)
    return figure


def _lateness(recordings: list[Recording]) -> Figure:
    figure, axes = plt.subplots(figsize=(8, 2.8))
    for active, colour, name in ((False, _BLUE, "idle"), (True, _ORANGE, "active")):
        values = []
        for recording in recordings:
            for pair in recording.block.pairs:
                if pair.world != "pair":
                    continue
                trace = recording.trace(pair.ports[0])
                for number, label in enumerate(pair.labels):
                    if (label != "idle") == active:
                        values.append(trace.between(*recording.segment(number)).lateness)
        late = np.concatenate(values)
        shares = np.linspace(0, 1, 501)
        label = f"{name}, {len(late)} cells"
        axes.plot(np.quantile(late, shares), shares, color=colour, linewidth=1.4, label=label)
    axes.set_xlim(-20, 120)
    axes.set_xlabel("microseconds behind the slot, as an observer estimates it")
    axes.set_ylabel("share of cells")
    axes.legend(frameon=False)
    _plain(axes)
    return figure


def _sensitivity(rows: list[Row]) -> Figure:
    figure, axes = plt.subplots(figsize=(8, 2.8))
    for letter, colour, name in (
        ("a", _BLUE, "idle or active, from 7 s"),
        ("d", _ORANGE, "message or cover, one cell"),
    ):
        points = []
        for row in rows:
            planted = re.match(rf"{letter}: .*planted (\d+) µs", row.attack)
            if planted:
                points.append((float(planted[1]), row))
            elif (row.kind, row.method, row.attack) == ("claim", "logistic", _UNPLANTED[letter]):
                points.append((0.0, row))
        points.sort(key=lambda point: point[0])
        x = [shift for shift, _ in points]
        axes.plot(x, [row.value for _, row in points], "o-", color=colour, label=name)
        axes.fill_between(
            x, [row.low for _, row in points], [row.high for _, row in points], color=colour, alpha=0.15, linewidth=0
        )
    axes.axhline(0.5, color=_GREY, linewidth=1, linestyle="--")
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlabel("microseconds that a planted leak delays cells by")
    axes.set_ylabel("AUC")
    axes.legend(frameon=False)
    _plain(axes)
    return figure


def _traces(recordings: list[Recording]) -> Figure:
    worlds = ("plain", "low-overhead", "pair")
    protected = {"grid": "constant rate", "poisson": "random gaps", "burst": "groups"}[
        recordings[0].block.size.schedule
    ]
    names = {"plain": "plain forwarding", "low-overhead": "low-overhead traffic", "pair": protected}
    figure, grid = plt.subplots(1, len(worlds), figsize=(8, 2.6), sharey=True)
    for axes, world in zip(grid, worlds, strict=True):
        recording, pair = next((r, p) for r in recordings for p in r.block.pairs if p.world == world)
        trace = recording.trace(pair.ports[0])
        for place, behaviour in enumerate(BEHAVIOURS):
            start, end = recording.segment(pair.labels.index(behaviour))
            counts, edges = np.histogram(trace.between(start, end).times - start, np.arange(0, end - start, 0.1))
            axes.stairs(place + np.log1p(counts) / 8, edges, baseline=place, fill=True, color=_BLUE)
        axes.set_title(names[world], fontsize=9)
        axes.set_xlabel("seconds")
        axes.set_yticks(range(len(BEHAVIOURS)))
        axes.set_yticklabels(BEHAVIOURS)
        _plain(axes)
    grid[0].set_ylabel("datagrams in 0.1 s, log scale")
    return figure


def _plain(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
