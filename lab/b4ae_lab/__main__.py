"""The laboratory's command line; `scripts/lab` runs it."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from . import docs, namespace, plan, profiles, report
from .attacks import Effort, Row, everything
from .capture import CaptureError, IncompleteError
from .size import LONG, SHORT
from .stage import Programs, Stage
from .store import Store

_ATTEMPTS = 3
_ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Runs what is missing, attacks all of it, and tells what was found."""
    arguments = _arguments()
    try:
        size = profiles.sized(
            SHORT if arguments.short else LONG,
            arguments.profile,
            slots=arguments.slots,
            period=arguments.period,
            cells=arguments.cells,
        )
    except profiles.ProfileError as error:
        raise SystemExit(f"scripts/lab: {error}") from None
    blocks = arguments.blocks or (3 if arguments.short else 20)
    effort = Effort(permutations=100_000) if arguments.short else Effort(permutations=20_000)
    level = report.SHORT_LEVEL if arguments.short else report.LONG_LEVEL
    name = "short" if arguments.short else arguments.profile
    name += "-normal" if arguments.normal_priority else ""
    store = Store(arguments.directory or _ROOT / "target/lab/runs" / name)
    seed = arguments.seed if arguments.seed is not None else (time.time_ns() if arguments.short else 1)
    if arguments.docs:
        results = store.read("results.json")
        rows = [Row(**{name: row[name] for name in Row.__dataclass_fields__}) for row in results["rows"]]
        docs.write(arguments.profile, store.recordings(), rows, report.judge(rows, level), arguments.docs)
        return 0
    if not arguments.analyse:
        if arguments.short:
            for old in store.directory.glob("*.*"):
                old.unlink()
        namespace.enter()
        store.agree(seed, arguments.profile, size)
        programs = Programs(arguments.programs, arguments.profile, size, not arguments.normal_priority)
        for number in range(blocks):
            if not store.has(number):
                _run(programs, plan.draw(seed, number, size), store)
    started = time.monotonic()
    rows = []
    for row in everything(store.recordings(), effort, short=arguments.short):
        rows.append(row)
        print(report.line(row), flush=True)
    print(f"attacks took {time.monotonic() - started:.0f} s")
    verdict = report.judge(rows, level)
    store.write("results.json", report.as_json(store.recordings(), rows, verdict))
    print(report.text(rows, verdict))
    return 0 if verdict.passed else 1


def _run(programs: Programs, block: plan.Block, store: Store) -> None:
    started = time.monotonic()
    for attempt in range(_ATTEMPTS):
        try:
            records = Stage(programs, block, store.directory / "capture.npy").run()
            break
        except IncompleteError as error:
            # A machine that stood still for seconds. Which blocks are kept does not depend on any label.
            print(f"block {block.number}, attempt {attempt + 1}: {error}", flush=True)
    else:
        raise CaptureError(f"no complete capture in {_ATTEMPTS} attempts")
    store.save(block, records)
    machine = block.machine
    print(
        f"block {block.number}: {len(records)} datagrams of {machine['processes']} processes in "
        f"{time.monotonic() - started:.0f} s, load {machine['load'][0]:.1f} to {machine['load'][1]:.1f} on "
        f"{machine['processors']} processors",
        flush=True,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/lab", description="Attacks what running nodes show of themselves.")
    parser.add_argument("--short", action="store_true", help="two or three minutes, for continuous integration")
    parser.add_argument("--blocks", type=int, help="how many blocks of some seventy seconds (default: 20)")
    parser.add_argument("--seed", type=int, help="of the design; the long version's default is 1, the short one's new")
    parser.add_argument(
        "--profile",
        default="balanced",
        choices=profiles.PROFILES,
        help="the nodes' traffic, as `b4ae --profile` names it",
    )
    parser.add_argument("--slots", type=int, help="slots a second (default: what the profile has)")
    parser.add_argument("--period", type=int, help="with burst: seconds from one group to the next (default: 1)")
    parser.add_argument("--cells", type=int, help="with burst: cells in a group (default: 4)")
    parser.add_argument(
        "--normal-priority", action="store_true", help="keep real-time priority from the nodes, as most users have to"
    )
    parser.add_argument("--analyse", action="store_true", help="run nothing, attack what has been captured")
    parser.add_argument("--directory", type=Path, help="where captures and results are kept, and found again")
    parser.add_argument("--programs", type=Path, default=_ROOT / "target/release", help=argparse.SUPPRESS)
    parser.add_argument(
        "--docs",
        type=Path,
        metavar="DIRECTORY",
        help="run nothing, renew the profile's part of METADATA.md there, its page and its plots",
    )
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CaptureError as error:
        print(f"scripts/lab: {error}", file=sys.stderr)
        sys.exit(2)
