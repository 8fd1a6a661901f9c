"""The protected profiles of `b4ae`, and how the programs are told to use one."""

from __future__ import annotations

import dataclasses

from .size import Size

#: By name: the schedule, slots a second as shipped, and the share of them that an application may use. Groups are
#: shipped 30 s apart; here a second, so that a segment has several.
PROFILES: dict[str, dict[str, object]] = {
    "balanced": {"rate": 100, "used": 0.8},
    "high_security": {"rate": 10, "used": 0.5},
    "poisson": {"schedule": "poisson", "rate": 10, "used": 0.8},
    "burst": {"schedule": "burst", "rate": 4, "period": 1, "group": 4, "used": 0.8},
}
#: Groups that a segment has at least, and between two segments.
_GROUPS, _GROUPS_BETWEEN = 5, 1.5


class ProfileError(ValueError):
    """What is asked of a profile that it does not have."""


def sized(size: Size, profile: str, slots: int | None, period: int | None, cells: int | None) -> Size:
    """An experiment on `profile`, with another number of slots a second, or other groups, than it has by itself."""
    values = dict(PROFILES[profile])
    if values.get("schedule") != "burst":
        if period is not None or cells is not None:
            raise ProfileError("--period and --cells go with --profile burst alone")
        values["rate"] = slots or values["rate"]
        return dataclasses.replace(size, **values)  # type: ignore[arg-type]
    if slots is not None:
        raise ProfileError("--slots does not go with --profile burst: it has --cells every --period seconds")
    every, each = period or int(str(values["period"])), cells or int(str(values["group"]))
    values |= {"period": every, "group": each, "rate": each / every}
    values["segment"] = float(max(size.segment, _GROUPS * every))
    values["gap"] = max(size.gap, _GROUPS_BETWEEN * every)
    return dataclasses.replace(size, **values)  # type: ignore[arg-type]


def node_options(profile: str, size: Size) -> list[str]:
    """For `b4ae`."""
    options = ["--profile", profile]
    if size.schedule == "burst":
        return [*options, f"--period={size.period}", f"--cells={size.group}"]
    # What the profile has by itself is left to it.
    return options if size.rate == PROFILES[profile]["rate"] else [*options, f"--rate={size.rate}"]


def peer_options(size: Size) -> list[str]:
    """For `b4ae-lab-peer`, which keeps no slots for cover."""
    if size.schedule == "burst":
        return ["--traffic=burst", f"--period={size.period}", f"--cells={size.group}"]
    return [f"--traffic={'poisson' if size.schedule == 'poisson' else 'constant'}", f"--rate={size.rate}"]
