"""How large an experiment is."""

from __future__ import annotations

from dataclasses import dataclass


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
    #: Slots a second of the profile that is examined.
    rate: int = 100

    @property
    def pitch(self) -> float:
        """Seconds from one segment to the next."""
        return self.segment + self.gap

    @property
    def room(self) -> int:
        """How many cells of messages fit into a segment: a fifth of the slots is kept for cover."""
        return round(self.rate * 0.8 * self.segment)


#: For hours of which a page of results is made.
LONG = Size(segment=7.0, gap=1.5, pairs=5, impaired=1, clients=8, cells=2, controls=1)
#: For continuous integration: less of everything.
SHORT = Size(segment=3.0, gap=1.0, pairs=8, impaired=0, clients=0, cells=2, controls=2, chat=3.0)
