"""Verdict and table. What counts as a finding was set before measuring; what finds a shared loop, on trial runs.

*Claim.* All rows of kind `claim` are one family: Holm's correction, one-sided. The long version's level is that of a
95 % interval's upper side, 0.025. The short version's is 0.0005, so that a false alarm is rarer than one in a thousand
runs even with the power checks' own.

*Power.* Where nothing is promised, in plain forwarding and the low-overhead profile, counting datagrams has to tell
idle from active with an AUC of at least 0.95, and in the long version the forest has to as well. A loop that shares its
thread with an application that computes has to be found out by the gaps that it leaves, at the level of the claims; so
has a delay of a millisecond that was added to what was captured, by the classifier that is to find nothing without it.
"""

from __future__ import annotations

import math
import textwrap
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .attacks import TRAFFIC, Row, planted
from .samples import Recording
from .stats import holm

LONG_LEVEL = 0.025
SHORT_LEVEL = 0.0005
_POWER = 0.95
_BEGIN = "<!-- written by scripts/lab --docs: begin -->"
_END = "<!-- written by scripts/lab --docs: end -->"
_TITLES = {
    "claim": "Constant rate: none of these may tell anything",
    "power": "Where nothing is promised: idle or active has to be easy",
    "planted": "Constant rate, with a delay added to the cells of active segments, or that carry messages",
}
#: What has to succeed, and how well, where it is tried.
_REQUIRED = {
    ("power", "plain", "count"): "easy",
    ("power", "plain", "forest"): "easy",
    ("power", "low-overhead", "count"): "easy",
    ("power", "low-overhead", "forest"): "easy",
    ("power", "shared", "gaps"): "found",
    ("planted", "protected", "logistic"): "found",
}
#: The planted leak that has to be found, by the traffic it is planted into.
_LARGEST = {TRAFFIC[schedule]: f"planted {planted(schedule)[0][-1]}" for schedule in TRAFFIC}


@dataclass(frozen=True)
class Verdict:
    """What follows from the rows."""

    level: float
    #: Holm-adjusted p-values, by the row's place.
    adjusted: dict[int, float]
    found: list[str]
    weak: list[str]

    @property
    def passed(self) -> bool:
        """Nothing was found that should not be, and all that should be."""
        return not self.found and not self.weak


def judge(rows: list[Row], level: float) -> Verdict:
    """Applies the rules."""
    claims = [number for number, row in enumerate(rows) if row.kind == "claim"]
    adjusted = dict(zip(claims, holm([rows[number].p for number in claims]), strict=True))
    found = [_name(rows[number]) for number in claims if adjusted[number] <= level]
    weak = []
    seen = set()
    for row in rows:
        traffic = "protected" if row.traffic in _LARGEST else row.traffic
        required = _REQUIRED.get((row.kind, traffic, row.method)) if row.attack.startswith("a:") else None
        if required is None or (row.kind == "planted" and not row.attack.endswith(_LARGEST[row.traffic])):
            continue
        seen.add((row.kind, traffic))
        if row.p > level if required == "found" else row.value < _POWER:
            weak.append(f"{_name(row)}: {row.metric} {row.value:.3f}, p {row.p:.2g}")
    weak += [f"no {kind} check of {traffic} traffic" for kind, traffic in {key[:2] for key in _REQUIRED} - seen]
    if not claims:
        weak.append("no attack was made")
    return Verdict(level, adjusted, found, weak)


def _name(row: Row) -> str:
    return f"{row.attack}, {row.traffic} traffic, {row.method}"


def line(row: Row) -> str:
    """A row for people who watch."""
    interval = "" if math.isnan(row.low) else f" [{row.low:.3f}, {row.high:.3f}]"
    return f"{row.kind:8} {_name(row):75} {row.metric} {row.value:.3f}{interval} p {row.p:.2g}"


def text(rows: list[Row], verdict: Verdict) -> str:
    """What it comes to."""
    claims = sum(row.kind == "claim" for row in rows)
    out = [f"{claims} attacks on protected traffic, level {verdict.level} after Holm's correction"]
    out += [f"FOUND: {name}" for name in verdict.found] or ["none tells anything from chance"]
    out += [f"TOO WEAK: {name}" for name in verdict.weak] or ["every power check succeeds"]
    return "\n".join(out)


def as_json(recordings: list[Recording], rows: list[Row], verdict: Verdict) -> dict[str, Any]:
    """Everything, for other programs."""
    return {
        "level": verdict.level,
        "passed": verdict.passed,
        "found": verdict.found,
        "weak": verdict.weak,
        "rows": [{**row.as_dict(), "adjusted": verdict.adjusted.get(n)} for n, row in enumerate(rows)],
        "blocks": [
            {"number": r.block.number, "datagrams": len(r.records), "size": asdict(r.block.size), **r.block.machine}
            for r in recordings
        ],
    }


def write_docs(recordings: list[Recording], rows: list[Row], verdict: Verdict, directory: Path) -> None:
    """The plots, and the facts and tables between the marks in METADATA.md."""
    from . import plots  # matplotlib takes seconds to load, and nothing else needs it

    plots.draw(recordings, rows, directory)
    page = directory / "METADATA.md"
    before, rest = page.read_text().split(_BEGIN)
    _old, after = rest.split(_END)
    page.write_text(f"{before}{_BEGIN}\n\n{facts(recordings)}\n\n{table(rows, verdict)}\n{_END}{after}")


def facts(recordings: list[Recording]) -> str:
    """What the table rests on."""
    machine = [recording.block.machine for recording in recordings]
    loads = [load for block in machine for load in block["load"]]
    late = np.concatenate(
        [r.trace(port).lateness for r in recordings for p in r.block.pairs if p.world == "pair" for port in p.ports]
    )
    median, most = np.percentile(late, (50, 99))
    datagrams = sum(len(recording.records) for recording in recordings)
    return textwrap.fill(
        f"{len(recordings)} blocks of {machine[0]['seconds']:.0f} s with {machine[0]['processes']} to "
        f"{machine[-1]['processes']} processes at once; {datagrams} datagrams. {machine[0]['processors']} processors, "
        f"which others used as well: a load of {min(loads):.1f} to {max(loads):.1f}, of which the nodes took "
        f"{np.mean([block['nodes'] for block in machine]):.2f} processors. As seen from outside, cells left "
        f"{median:.0f} µs after their slot in the median and {most:.0f} µs at the 99th percentile.",
        width=120,
    )


def table(rows: list[Row], verdict: Verdict) -> str:
    """Markdown."""
    out = []
    for kind, title in _TITLES.items():
        mine = [(number, row) for number, row in enumerate(rows) if row.kind == kind]
        if not mine:
            continue
        out += [f"**{title}**", ""]
        out += ["| Attack | Method | Value | Chance | 95 % interval | p | after Holm | Runs |"]
        out += ["| --- | --- | --- | --- | --- | --- | --- | --- |"]
        for number, row in mine:
            interval = "" if math.isnan(row.low) else f"{row.low:.3f} to {row.high:.3f}"
            chance = f"{row.chance:.3g}" if row.chance else ""
            adjusted = f"{verdict.adjusted[number]:.2g}" if number in verdict.adjusted else ""
            attack = row.attack if row.traffic == "constant" else f"{row.attack}, {row.traffic}"
            out.append(
                f"| {attack} | {row.method} | {row.metric} {row.value:.3f} | {chance} | {interval} | {row.p:.2g} "
                f"| {adjusted} | {row.runs} |"
            )
        out.append("")
    return "\n".join(out)
