"""The verdict. What counts as a finding was set before measuring; what finds a shared loop, on trial runs.

*Claim.* All rows of kind `claim` are one family: Holm's correction, one-sided. The long version's level is that of a
95 % interval's upper side, 0.025. The short version's is 0.0005, so that a false alarm is rarer than one in a thousand
runs even with the power checks' own.

*Power.* Where nothing is promised, in plain forwarding and the low-overhead traffic, counting datagrams has to tell
idle from active with an AUC of at least 0.95, and in the long version the forest has to as well. A loop that shares its
thread with an application that computes has to be found out by the gaps that it leaves, or in the long version by the
forest, at the level of the claims; so has a leak that was added to what was captured, by the classifier that is to find
nothing without it: a millisecond of delay, or at random times, where that is nothing, every second cell missing.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from .attacks import TRAFFIC, Row, planted
from .samples import Recording
from .stats import holm

LONG_LEVEL = 0.025
SHORT_LEVEL = 0.0005
_POWER = 0.95
#: What has to succeed, and how well, where it is tried.
_REQUIRED = {
    ("power", "plain", "count"): "easy",
    ("power", "plain", "forest"): "easy",
    ("power", "low-overhead", "count"): "easy",
    ("power", "low-overhead", "forest"): "easy",
    ("power", "shared", "gaps"): "found",
    ("power", "shared", "forest"): "found",
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
    # One way to find it is enough.
    sought: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        traffic = "protected" if row.traffic in _LARGEST else row.traffic
        required = _REQUIRED.get((row.kind, traffic, row.method)) if row.attack.startswith("a:") else None
        if required is None or (row.kind == "planted" and not row.attack.endswith(_LARGEST[row.traffic])):
            continue
        seen.add((row.kind, traffic))
        if required == "found":
            sought.setdefault((row.kind, traffic), []).append(row)
        elif row.value < _POWER:
            weak.append(_missed(row))
    best = [min(those, key=lambda row: row.p) for those in sought.values()]
    weak += [_missed(row) for row in best if row.p > level]
    weak += [f"no {kind} check of {traffic} traffic" for kind, traffic in {key[:2] for key in _REQUIRED} - seen]
    if not claims:
        weak.append("no attack was made")
    return Verdict(level, adjusted, found, weak)


def _missed(row: Row) -> str:
    return f"{_name(row)}: {row.metric} {row.value:.3f}, p {row.p:.2g}"


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
