"""Design, behaviours, features and verdict."""

from __future__ import annotations

import dataclasses
import json
import random
import time
import unittest
from collections import Counter
from collections.abc import Callable

import numpy as np

from b4ae_lab import features, plan, report
from b4ae_lab.attacks import Row
from b4ae_lab.behaviours import BEHAVIOURS, Actor, Clock
from b4ae_lab.features import Trace
from b4ae_lab.nodes import ignore
from b4ae_lab.size import LONG


def on_grid(late: np.ndarray, drift: float = 0.0) -> Trace:
    """A trace of cells every 10 ms, each so many microseconds late."""
    times = 3.0037 + np.arange(len(late)) * 0.01 * (1 + drift) + late * 1e-6
    ones = np.ones(len(late))
    return Trace(times, 1200 * ones, 7 * ones, features.lateness(times, 0.01) * 1e6)


class Designs(unittest.TestCase):
    """What is drawn."""

    def test_every_session_has_every_label_as_often(self) -> None:
        block = plan.draw(1, 2, LONG)
        for pair in block.pairs:
            count = Counter(pair.labels)
            self.assertEqual(count["idle"], sum(count.values()) // 2)
            self.assertEqual({count[behaviour] for behaviour in BEHAVIOURS[1:]}, {1})
        for server in block.servers:
            self.assertEqual(sum(client >= 0 for client in server.active), len(server.active) // 2)

    def test_the_same_seed_draws_the_same_and_another_does_not(self) -> None:
        self.assertEqual(plan.draw(1, 2, LONG), plan.draw(1, 2, LONG))
        self.assertNotEqual(plan.draw(1, 2, LONG).pairs, plan.draw(2, 2, LONG).pairs)
        self.assertNotEqual(plan.draw(1, 2, LONG).pairs, plan.draw(1, 3, LONG).pairs)

    def test_a_block_survives_json(self) -> None:
        block = plan.draw(1, 2, LONG)
        block.servers[0].probes = [(1, 2)]
        block.cells[0].sent = [(3, 4)]
        self.assertEqual(plan.load(json.loads(json.dumps(block.as_dict()))), block)


class _Ear:
    """Remembers what it was told to say."""

    def __init__(self) -> None:
        self.said: list[int] = []
        self.on_message: Callable[[bool], None] = ignore

    def say(self, length: int, asks: bool = False) -> None:
        """Remembers it."""
        self.said.append(length)


class Applications(unittest.TestCase):
    """What is done."""

    def test_idle_says_nothing_and_the_others_say_something(self) -> None:
        for behaviour in BEHAVIOURS:
            clock, here, there = Clock(), _Ear(), _Ear()
            # In the past, so that everything is due.
            Actor(clock, here, there, random.Random(1)).perform(behaviour, -100.0, LONG)
            clock.run_due()
            self.assertEqual(bool(here.said or there.said), behaviour != "idle", behaviour)

    def test_only_requests_make_conversations(self) -> None:
        clock, here, there = Clock(), _Ear(), _Ear()
        actor = Actor(clock, here, there, random.Random(1))
        actor.perform("chat", time.monotonic() - 100.0, LONG)
        actor.perform("request", time.monotonic() + 100.0, LONG)
        clock.run_due()
        said = len(here.said)
        # An answer to nothing.
        here.on_message(False)
        clock.run_due()
        self.assertEqual(clock.run_due(), 0.1)
        self.assertEqual(len(here.said), said)
        actor.perform("request", time.monotonic() - 0.5, LONG)
        clock.run_due()
        self.assertEqual(len(here.said), said + 1)
        there.on_message(True)
        self.assertTrue(there.said)
        here.on_message(False)
        time.sleep(0.35)
        clock.run_due()
        self.assertEqual(len(here.said), said + 2)

    def test_bulk_fits_into_its_segment(self) -> None:
        clock, here = Clock(), _Ear()
        Actor(clock, here, _Ear(), random.Random(1)).perform("bulk", -100.0, LONG)
        clock.run_due()
        self.assertLess(sum(here.said), 0.7 * LONG.room * 1024)


class Features(unittest.TestCase):
    """What is computed of it."""

    def test_lateness_is_found_whatever_phase_and_drift(self) -> None:
        rng = np.random.default_rng(1)
        late = np.abs(rng.normal(0, 20, 4000))
        for drift in (0.0, 1e-6):
            found = on_grid(late, drift).lateness
            self.assertLess(np.std(found - late), 2.0)

    def test_a_shift_moves_windows_and_nothing_else(self) -> None:
        trace = on_grid(np.zeros(1000))
        moved = trace.shifted([(4.0, 5.0)], 50.0)
        inside = (trace.times >= 4.0) & (trace.times < 5.0)
        np.testing.assert_allclose(moved.lateness - trace.lateness, np.where(inside, 50.0, 0.0))
        np.testing.assert_allclose(moved.times - trace.times, np.where(inside, 50e-6, 0.0), atol=1e-9)

    def test_windows_have_features_whatever_is_in_them(self) -> None:
        full, empty = on_grid(np.zeros(1000)), on_grid(np.zeros(0))
        lengths = set()
        for here, there in ((full, full), (full, empty), (empty, empty), (full.between(4.0, 4.015), full)):
            found = features.window(here, there, 7.0)
            self.assertTrue(np.isfinite(found).all())
            lengths.add(len(found))
        self.assertEqual(len(lengths), 1)

    def test_cells_have_features_each(self) -> None:
        here, there = on_grid(np.arange(100.0)), on_grid(np.zeros(50))
        found = features.cells(here, there)
        self.assertEqual(len(found), 100)
        self.assertTrue(np.isfinite(found).all())


def row(kind: str, traffic: str, method: str, value: float, p: float) -> Row:
    """A row that matters for the verdict."""
    attack = "a: idle or active" + (", planted 1000 µs" if kind == "planted" else "")
    return Row(kind, attack, traffic, method, "AUC", value, 0.5, value, value, p, 1, 1)


class Verdicts(unittest.TestCase):
    """What follows."""

    POWER = [
        row("power", "plain", "count", 1.0, 0.001),
        row("power", "low-overhead", "count", 0.95, 0.001),
        row("power", "shared", "gaps", 0.8, 0.001),
        row("planted", "constant", "logistic", 0.8, 0.001),
    ]

    def test_silence_with_power_passes(self) -> None:
        self.assertTrue(report.judge([row("claim", "constant", "logistic", 0.5, 0.5), *self.POWER], 0.025).passed)

    def test_a_finding_fails_unless_it_is_one_of_many(self) -> None:
        finding = row("claim", "constant", "logistic", 0.6, 0.01)
        self.assertEqual(len(report.judge([finding, *self.POWER], 0.025).found), 1)
        others = [row("claim", "constant", "logistic", 0.5, 0.5)] * 5
        self.assertEqual(report.judge([finding, *others, *self.POWER], 0.025).found, [])

    def test_a_weak_or_missing_power_check_fails(self) -> None:
        claim = row("claim", "constant", "logistic", 0.5, 0.5)
        for number, power in enumerate(self.POWER):
            without = self.POWER[:number] + self.POWER[number + 1 :]
            self.assertFalse(report.judge([claim, *without], 0.025).passed)
            weak = dataclasses.replace(power, value=0.9, p=0.5)
            self.assertFalse(report.judge([claim, *without, weak], 0.025).passed)
        self.assertFalse(report.judge(self.POWER, 0.025).passed)


if __name__ == "__main__":
    unittest.main()
