"""The protected profiles of `b4ae`, and how the programs are told to use one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from .size import Size


@dataclass(frozen=True)
class Profile:
    """What a size takes from a profile."""

    #: Slots a second; for groups it follows from them.
    rate: int
    used: float
    schedule: str = "grid"
    period: int = 0
    group: int = 0


#: As shipped, but for groups: those are 30 s apart, and here a second, so that a segment has several.
PROFILES = {
    "balanced": Profile(100, 0.8),
    "high_security": Profile(10, 0.5),
    "poisson": Profile(10, 0.8, "poisson"),
    "burst": Profile(4, 0.8, "burst", period=1, group=4),
}
#: Groups that a segment has at least, and that are between two segments.
_GROUPS, _GROUPS_BETWEEN = 5, 1.5


class ProfileError(ValueError):
    """What is asked of a profile that it does not have."""


def sized(
    size: Size, profile: str, *, slots: int | None = None, period: int | None = None, cells: int | None = None
) -> Size:
    """An experiment on `profile`, with another number of slots a second, or other groups, than it has by itself."""
    of = PROFILES[profile]
    if of.schedule != "burst":
        if period is not None or cells is not None:
            raise ProfileError("--period and --cells go with --profile burst alone")
        return dataclasses.replace(size, rate=slots or of.rate, used=of.used, schedule=of.schedule)
    if slots is not None:
        raise ProfileError("--slots does not go with --profile burst: it has --cells every --period seconds")
    every, group = period or of.period, cells or of.group
    return dataclasses.replace(
        size,
        rate=group / every,
        used=of.used,
        schedule=of.schedule,
        period=every,
        group=group,
        segment=float(max(size.segment, _GROUPS * every)),
        gap=max(size.gap, _GROUPS_BETWEEN * every),
    )


def node_options(profile: str, size: Size) -> list[str]:
    """For `b4ae`."""
    options = ["--profile", profile]
    if size.schedule == "burst":
        return [*options, f"--period={size.period}", f"--cells={size.group}"]
    # What the profile has by itself is left to it.
    return options if size.rate == PROFILES[profile].rate else [*options, f"--rate={size.rate:.0f}"]


def peer_options(size: Size) -> list[str]:
    """For `b4ae-lab-peer`, which keeps no slots for cover."""
    if size.schedule == "burst":
        return ["--traffic=burst", f"--period={size.period}", f"--cells={size.group}"]
    return [f"--traffic={'poisson' if size.schedule == 'poisson' else 'constant'}", f"--rate={size.rate:.0f}"]
