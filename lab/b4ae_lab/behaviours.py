"""What applications do: five behaviours, each a list of messages, or a conversation, within a segment of time."""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections.abc import Callable

from .nodes import Talker
from .size import Size

#: The classes; `idle` comes first.
BEHAVIOURS = ("idle", "chat", "bulk", "bursts", "request")

#: The share of a segment in which something is said. What is queued by then has left when the segment is over.
_SPOKEN = 0.8
#: Bytes.
_LONGEST_ANSWER = 16_000


class Clock:
    """Calls functions at their time."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Calls `call` at `when`, of `time.monotonic`."""
        heapq.heappush(self._due, (when, next(self._number), call))

    def run_due(self) -> float:
        """Calls what is due, and tells how many seconds remain until the next, at most a tenth."""
        while self._due and self._due[0][0] <= time.monotonic():
            heapq.heappop(self._due)[2]()
        return max(0.0, min(0.1, self._due[0][0] - time.monotonic())) if self._due else 0.1


class Actor:
    """The application at both ends of a session."""

    def __init__(self, clock: Clock, here: Talker, there: Talker, rng: random.Random) -> None:
        self._clock, self._here, self._there, self._rng = clock, here, there, rng
        here.on_message = self._on_answer
        there.on_message = self._on_request
        self._asking_until = 0.0
        self._longest_answer = _LONGEST_ANSWER

    def perform(self, behaviour: str, start: float, size: Size) -> None:
        """Behaves for a segment from `start` on."""
        until = start + size.segment * _SPOKEN
        {
            "idle": lambda *_: None,
            "chat": self._chat,
            "bulk": self._bulk,
            "bursts": self._bursts,
            "request": self._request,
        }[behaviour](start, until, size)

    def _say(self, when: float, who: Talker, length: int, asks: bool = False) -> None:
        self._clock.at(when, lambda: who.say(length, asks))

    def _chat(self, start: float, until: float, size: Size) -> None:
        """Short messages of both sides, now and then."""
        for _ in range(max(3, round(self._rng.gauss(size.chat * (until - start), 1.0)))):
            who = self._rng.choice((self._here, self._there))
            self._say(self._rng.uniform(start + 0.1, until), who, self._rng.randint(8, 300))

    def _bulk(self, start: float, _until: float, size: Size) -> None:
        """A file, nearly as long as fits."""
        length = int(self._rng.uniform(0.45, 0.65) * size.room) * 1024
        self._say(start + self._rng.uniform(0.1, 0.3), self._here, min(length, 1_000_000))

    def _bursts(self, start: float, until: float, size: Size) -> None:
        """Many short messages at once, a few times."""
        times = 3
        for number in range(times):
            when = start + 0.1 + (number + self._rng.random() * 0.7) * (until - start) / times
            for _ in range(self._rng.randint(max(2, size.room // 30), max(4, size.room // 15))):
                self._say(when, self._here, self._rng.randint(50, 1000))

    def _request(self, start: float, until: float, size: Size) -> None:
        """Questions, each after the answer to the one before; answers of some cells, fewer where slots are rare."""
        self._longest_answer = min(_LONGEST_ANSWER, size.room * 1024 // 8)

        def begin() -> None:
            self._asking_until = until

        self._clock.at(start, begin)
        self._say(start + self._rng.uniform(0.1, 0.3), self._here, self._rng.randint(50, 500), asks=True)

    def _on_request(self, asks: bool) -> None:
        if asks:
            self._there.say(self._rng.randint(1000, self._longest_answer))

    def _on_answer(self, _asks: bool) -> None:
        again = time.monotonic() + self._rng.uniform(0.05, 0.3)
        if again < self._asking_until:
            self._say(again, self._here, self._rng.randint(50, 500), asks=True)
