"""How large an experiment is."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Seconds between two cells of a group, as `Traffic::burst` has it.
_SPACING = 0.01
#: Cells of the message that fills a window where slots are rare: a size that padding leaves alone.
_FULL = 16


@dataclass(frozen=True)
class Size:
    """How much runs at once, and for how long."""

    segment: float
    gap: float
    pairs: int
    impaired: int
    clients: int
    cells: int
    controls: int
    rounds: int = 1
    #: Messages a second in a chat, of both sides.
    chat: float = 1.5
    #: Slots a second of the profile that is examined; of random gaps and of groups, each session's own.
    rate: float = 100
    #: Which schedule that is: `grid`, `poisson` or `burst`.
    schedule: str = "grid"
    #: Of groups: seconds from one to the next, and how many cells each has.
    period: int = 0
    group: int = 0
    #: The share of slots that applications use at most.
    used: float = 0.8

    @property
    def pitch(self) -> float:
        """Seconds from one segment to the next."""
        return self.segment + self.gap

    @property
    def room(self) -> int:
        """How many cells of messages fit into a segment: some of the slots are kept for cover."""
        return round(self.rate * self.used * self.segment)

    @property
    def spacing(self) -> float | None:
        """Seconds between slots, all sessions together. Random gaps have none."""
        return {"grid": 1 / self.rate, "poisson": None, "burst": _SPACING}[self.schedule]

    @property
    def filling(self) -> tuple[float, int]:
        """Of a session whose queue is full in some windows and empty in others: their seconds, and the cells said."""
        if self.schedule == "grid" and self.rate >= 50:
            return 1.0, int(self.rate * 9 // 10)
        cells = min(_FULL, 1 << (2 * self.group).bit_length() - 1) if self.group else _FULL
        return float(math.ceil(2 * cells / self.rate)), cells

    def short_window(self) -> float:
        """The shortest window that is looked at by itself, in seconds."""
        return max(1.0, float(self.period))


#: For hours of which a page of results is made.
LONG = Size(segment=7.0, gap=1.5, pairs=5, impaired=1, clients=8, cells=2, controls=1)
#: For continuous integration: less of everything.
SHORT = Size(segment=3.0, gap=1.0, pairs=8, impaired=0, clients=0, cells=2, controls=2, chat=3.0)
