"""The pages with what was found: of each profile its own with every row, and in METADATA.md what it comes to."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path

import numpy as np

from .attacks import Row
from .report import Verdict
from .samples import Recording

_TITLES = {
    "claim": "{}: none of these may tell anything",
    "power": "Where nothing is promised: idle or active has to be easy",
    "planted": "{}, with a leak planted into active segments, or into the cells that carry messages",
}
_SCHEDULES = {"constant": "Constant rate", "random": "Random gaps", "groups": "Groups"}
#: The one whose rows a summary shows where nothing is promised.
_POWER = "forest"
_PICTURES = {
    "attacks": "AUC of each attack with its interval",
    "lateness": "Lateness of cells in idle and in active segments",
    "sensitivity": "AUC by the size of a planted delay",
    "traces": "Datagrams of five behaviours in plain forwarding, the low-overhead profile and this one",
}
_COLUMNS = ["Attack", "Method", "Value", "Chance", "95 % interval", "p", "after Holm", "Runs"]


def write(profile: str, recordings: list[Recording], rows: list[Row], verdict: Verdict, directory: Path) -> None:
    """The profile's own page and its plots, and the part about it between its marks in METADATA.md."""
    from . import plots  # matplotlib takes seconds to load, and nothing else needs it

    plots.draw(recordings, rows, directory / "metadata", profile)
    write_pages(profile, facts(recordings), rows, verdict, directory)


def write_pages(profile: str, about: str, rows: list[Row], verdict: Verdict, directory: Path) -> None:
    """The same without the plots, `about` being what the rows rest on."""
    own = directory / "metadata" / f"{profile}.md"
    own.parent.mkdir(exist_ok=True)
    whence = "Written by `scripts/lab --docs`; [METADATA.md](../METADATA.md) says what it means."
    pictures = [f"{profile}-{what}.svg" for what in _PICTURES]
    shown = [
        f"\n![{text}]({name})\n"
        for text, name in zip(_PICTURES.values(), pictures, strict=True)
        if (own.parent / name).exists()
    ]
    parts = [f"# Every attack on `{profile}`\n", whence, f"\n{about}\n", table(rows, verdict).rstrip(), "".join(shown)]
    own.write_text("\n".join(parts))
    page = directory / "METADATA.md"
    begin, end = marks(profile)
    before, rest = page.read_text().split(begin)
    _old, after = rest.split(end)
    link = f"All rows, and what was planted: [metadata/{profile}.md](metadata/{profile}.md)."
    page.write_text(f"{before}{begin}\n\n{about}\n\n{summary(rows, verdict)}\n{link}\n\n{end}{after}")


def marks(profile: str) -> tuple[str, str]:
    """Between which METADATA.md has what is written here about a profile."""
    mark = f"<!-- written by scripts/lab --docs, {profile}: "
    return f"{mark}begin -->", f"{mark}end -->"


def facts(recordings: list[Recording]) -> str:
    """What the table rests on."""
    machine = [recording.block.machine for recording in recordings]
    size = recordings[0].block.size
    loads = [load for block in machine for load in block["load"]]
    processes = sorted({block["processes"] for block in machine})
    many = f"{processes[0]} to {processes[-1]}" if len(processes) > 1 else f"{processes[0]}"
    datagrams = sum(len(recording.records) for recording in recordings)
    seconds = [block["seconds"] for block in machine]
    schedule = {
        "grid": f"{size.rate:g} slots a second",
        "poisson": f"{size.rate:g} cells a second in the mean, of each session",
        "burst": f"groups of {size.group} cells of each session every {size.period} s",
    }[size.schedule]
    text = (
        f"{schedule[0].upper()}{schedule[1:]}. {len(recordings)} blocks of {seconds[0]:.0f} s with {many} processes at "
        f"once; {datagrams} datagrams. {machine[0]['processors']} processors, which others used as well: a load of "
        f"{min(loads):.1f} to {max(loads):.1f}, of which the nodes took "
        f"{np.mean([block['nodes'] for block in machine]):.2f} processors."
    )
    if size.spacing is not None:
        late = np.concatenate(
            [r.trace(port).lateness for r in recordings for p in r.block.pairs if p.world == "pair" for port in p.ports]
        )
        median, most = np.percentile(late, (50, 99))
        text += (
            f" As seen from outside, cells left {median:.0f} µs after their slot in the median and {most:.0f} µs at "
            "the 99th percentile."
        )
    return textwrap.fill(text, width=120)


def table(rows: list[Row], verdict: Verdict) -> str:
    """Every row, as Markdown."""
    schedule = next(_SCHEDULES[row.traffic] for row in rows if row.kind == "claim")
    out = []
    for kind, title in _TITLES.items():
        mine = [(number, row) for number, row in enumerate(rows) if row.kind == kind]
        if not mine:
            continue
        out += [f"**{title.format(schedule)}**", "", *_header(_COLUMNS)]
        for number, row in mine:
            chance = f"{row.chance:.3g}" if row.chance else ""
            adjusted = f"{verdict.adjusted[number]:.2g}" if number in verdict.adjusted else ""
            attack = row.attack if row.traffic in _SCHEDULES else f"{row.attack}, {row.traffic}"
            cells = [attack, row.method, _value(row), chance, _interval(row), f"{row.p:.2g}", adjusted, str(row.runs)]
            out.append(_line(cells))
        out.append("")
    return "\n".join(out)


def summary(rows: list[Row], verdict: Verdict) -> str:
    """Of each attack the row that is least likely by chance, and how well what has to be found is."""
    claims: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        if row.kind == "claim":
            claims.setdefault("b: which behaviour" if row.attack.startswith("b:") else row.attack, []).append(number)
    out = _header(["Attack", "Rows", "Strongest", "Value", "95 % interval", "p", "after Holm"])
    for attack, numbers in claims.items():
        best = min(numbers, key=lambda number: (rows[number].p, -rows[number].value))
        row = rows[best]
        method = row.method if row.attack == attack else f"{row.attack.removeprefix('b: ')}, {row.method}"
        cells = [attack, str(len(numbers)), method, _value(row), _interval(row), f"{row.p:.2g}"]
        out.append(_line([*cells, f"{verdict.adjusted[best]:.2g}"]))
    total = sum(len(numbers) for numbers in claims.values())
    out += ["", f"{total} rows; the smallest p after Holm's correction is {min(verdict.adjusted.values()):.2g}.", ""]
    out += _header(["What has to be found, or was planted", "Method", "Value", "95 % interval", "p"])
    for row in sorted(rows, key=lambda row: row.kind == "planted"):
        if row.kind == "planted" or (row.kind == "power" and row.attack.startswith("a:") and row.method == _POWER):
            attack = row.attack if row.traffic in _SCHEDULES else f"{row.attack}, {row.traffic}"
            out.append(_line([attack, row.method, _value(row), _interval(row), f"{row.p:.2g}"]))
    return "\n".join([*out, ""])


def _header(columns: list[str]) -> list[str]:
    return [_line(columns), _line(["---"] * len(columns))]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _value(row: Row) -> str:
    return f"{row.metric} {row.value:.3f}"


def _interval(row: Row) -> str:
    return "" if math.isnan(row.low) else f"{row.low:.3f} to {row.high:.3f}"
