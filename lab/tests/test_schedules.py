"""Grids, random gaps and groups: what is known of each, and what is made of it."""

from __future__ import annotations

import dataclasses
import tempfile
import unittest
from pathlib import Path

import numpy as np
from scipy.stats import ks_2samp

from b4ae_lab import docs, features, plan, profiles, report
from b4ae_lab import samples as s
from b4ae_lab.attacks import Effort, Row, planted, two_classes
from b4ae_lab.capture import RECORD
from b4ae_lab.features import Floats, Trace
from b4ae_lab.samples import Recording
from b4ae_lab.size import LONG, Size


def sizes() -> dict[str, Size]:
    """The long experiment on every profile."""
    return {profile: profiles.sized(LONG, profile) for profile in profiles.PROFILES}


def departures(rng: np.random.Generator, size: Size, seconds: float) -> Floats:
    """When the cells of a session leave that has a schedule to itself, some microseconds late."""
    if size.schedule == "poisson":
        times = np.cumsum(rng.exponential(1 / size.rate, round(2 * seconds * size.rate)))
    elif size.schedule == "grid":
        times = np.arange(round(seconds * size.rate)) / size.rate
    else:
        begins = np.arange(round(seconds / size.period)) * size.period
        times = np.add.outer(begins, np.arange(size.group) * 0.01).ravel()
    times = times + rng.uniform(0, 1 / size.rate) + rng.exponential(10e-6, len(times))
    return np.sort(times[times < seconds])


def trace(size: Size, times: Floats, port: int = 1) -> Trace:
    """As it would be captured."""
    return recording(size, {port: times}).trace(port)


def recording(size: Size, leaving: dict[int, Floats], block: plan.Block | None = None) -> Recording:
    """What was captured of ports from which something left at these times."""
    records = np.concatenate(
        [
            np.array([(round(time * 1e9), port, 9, 1200) for time in times], dtype=RECORD)
            for port, times in leaving.items()
        ]
    )
    return Recording(block or plan.draw(1, 0, size), np.sort(records, order="time"))


def experiment(rng: np.random.Generator, size: Size, blocks: int) -> list[Recording]:
    """Blocks whose sessions are as they should be: nothing depends on what is said."""
    found = []
    for number in range(blocks):
        block = plan.draw(1, number, size)
        block.pairs = [pair for pair in block.pairs if pair.world == "pair"]
        leaving: dict[int, Floats] = {}
        for index, pair in enumerate(block.pairs):
            pair.ports = (2 * index + 1, 2 * index + 2)
            leaving |= {port: departures(rng, size, block.segments * size.pitch) for port in pair.ports}
        found.append(recording(size, leaving, block))
    return found


class Profiles(unittest.TestCase):
    """`profiles`."""

    def test_slots_reach_the_programs(self) -> None:
        self.assertEqual(profiles.node_options("balanced", sizes()["balanced"]), ["--profile", "balanced"])
        fast = profiles.sized(LONG, "poisson", slots=50)
        self.assertEqual(profiles.node_options("poisson", fast), ["--profile", "poisson", "--rate=50"])
        self.assertEqual(profiles.peer_options(fast), ["--traffic=poisson", "--rate=50"])
        self.assertEqual(profiles.peer_options(sizes()["high_security"]), ["--traffic=constant", "--rate=10"])

    def test_what_a_profile_does_not_have_is_refused(self) -> None:
        for profile, slots, period in (("burst", 10, None), ("balanced", None, 5), ("poisson", None, 5)):
            with self.assertRaises(profiles.ProfileError):
                profiles.sized(LONG, profile, slots=slots, period=period)

    def test_segments_are_long_enough_for_their_groups(self) -> None:
        for period in (1, 30, 600):
            size = profiles.sized(LONG, "burst", period=period)
            self.assertGreaterEqual(size.segment / period, 5)
            self.assertGreater(size.gap, period)
            seconds, cells = size.filling
            self.assertEqual(seconds % period, 0)
            self.assertGreaterEqual(seconds / period * size.group, 2 * cells)

    def test_the_constant_grid_is_as_it_was(self) -> None:
        self.assertEqual(sizes()["balanced"], LONG)
        self.assertEqual((LONG.spacing, LONG.filling, LONG.room), (0.01, (1.0, 90), 560))

    def test_messages_take_as_many_cells_as_padding_says(self) -> None:
        # As in the tests of core/src/padding.rs, in cells: buckets, and PADMÉ's lengths beyond.
        self.assertEqual([s.padded(cells) for cells in (1, 2, 3, 9, 16)], [1, 2, 4, 16, 16])
        self.assertEqual([s.padded(cells) for cells in (17, 65, 90)], [17, 66, 90])
        for size in sizes().values():
            _, cells = size.filling
            self.assertLessEqual(s.padded(cells), cells + 2)


class Times(unittest.TestCase):
    """What an adversary makes of when datagrams left."""

    def test_of_groups_lateness_is_found_whatever_their_phase(self) -> None:
        rng = np.random.default_rng(1)
        size = sizes()["burst"]
        for phase in (0.0, 0.123456, 0.987):
            late = np.asarray(rng.exponential(20e-6, 400))
            slots = np.add.outer(np.arange(100) * float(size.period), np.arange(4) * 0.01).ravel()
            found = trace(size, phase + slots * (1 + 2e-6) + late).lateness
            self.assertLess(np.std(found - late * 1e6), 3.0)

    def test_cells_that_are_late_by_most_of_an_interval_bend_nothing(self) -> None:
        # Each group's third, as if the machine were busy then, at a time that is not quite the same every second.
        slots = np.add.outer(np.arange(68.0), np.arange(4) * 0.01)
        late = np.zeros_like(slots)
        late[:, 2] = 0.0067 - 20e-6 * np.arange(68)
        for phase in (0.0, 0.0049, 0.0051, 0.0099):
            found = trace(sizes()["burst"], (phase + slots + late).ravel()).lateness
            self.assertLess(np.abs(found - late.ravel() * 1e6).max(), 1.0)

    def test_a_handshake_bends_nothing(self) -> None:
        size = sizes()["burst"]
        block = plan.draw(1, 0, size)
        times = departures(np.random.default_rng(11), size, 68.0)
        block.start = 30 * 10**9
        handshake = np.array([21.1234, 22.3451, 22.3452, 25.6789])
        with_it = recording(size, {1: np.concatenate([handshake, times + 30])}, block).trace(1)
        np.testing.assert_allclose(with_it.lateness, trace(size, times).lateness, atol=0.01)

    def test_groups_are_found_whatever_their_phase_and_length(self) -> None:
        rng = np.random.default_rng(2)
        for phase in (0.0, 0.3, 0.999):
            # A server's: a session's cells are anywhere in most of the period.
            slots = np.sort(rng.permuted(np.tile(np.arange(64) * 0.01, (50, 1)), axis=1)[:, :4], axis=1)
            times = (np.arange(50)[:, None] + slots).ravel() + phase
            numbers = features.group_numbers(times, 1)
            self.assertEqual(np.unique(numbers, return_counts=True)[1].tolist(), [4] * 50)
            self.assertEqual(np.unique(np.diff(numbers)).tolist(), [0, 1])

    def test_every_segment_has_as_many_groups(self) -> None:
        size = sizes()["burst"]
        rng = np.random.default_rng(3)
        block = plan.draw(1, 0, size)
        found = recording(size, {1: departures(rng, size, block.segments * size.pitch)}, block)
        counts = {len(found.trace(1).between(*found.segment(number)).times) for number in range(block.segments)}
        self.assertEqual(counts, {7 * size.group})

    def test_at_random_times_what_came_last_is_all_there_is_to_be_behind_of(self) -> None:
        size = sizes()["poisson"]
        mine, theirs = (np.array(times, dtype=np.float64) for times in ([0.5, 2.0, 2.5], [1.0, 2.25]))
        here = trace(size, mine).after(trace(size, theirs))
        np.testing.assert_allclose(here.lateness, [0.0, 1e6, 0.25e6])
        grid = trace(LONG, np.linspace(0.0, 1.0, 100))
        self.assertIs(grid.after(grid), grid)

    def test_of_what_is_planted_to_be_missing_the_share_is_missing_and_nothing_else(self) -> None:
        whole = trace(sizes()["poisson"], np.linspace(0.0, 99.99, 10_000))
        thin = whole.thinned([(20.0, 60.0)], 0.25, np.random.default_rng(4))
        self.assertAlmostEqual(len(thin.between(20.0, 60.0).times), 3000, delta=150)
        self.assertEqual(len(thin.between(0.0, 20.0).times), 2000)
        self.assertEqual(len(thin.times), len(thin.lateness))

    def test_windows_have_features_whatever_is_in_them(self) -> None:
        rng = np.random.default_rng(5)
        for size in sizes().values():
            full, empty = trace(size, departures(rng, size, 60.0)), trace(size, np.zeros(0))
            lengths = set()
            for here, there in ((full, full), (full, empty), (empty, full), (full.between(4.0, 4.3), full)):
                found = features.window(here.after(there), there.after(here), size.segment)
                self.assertTrue(np.isfinite(found).all())
                lengths.add(len(found))
            self.assertEqual(len(lengths), 1)
            self.assertTrue(np.isfinite(features.cells(full.after(full), full)).all())


class Spans(unittest.TestCase):
    """Which cells carry messages."""

    def session(self, rng: np.random.Generator, size: Size) -> tuple[plan.Block, plan.Cells, Floats, Floats]:
        """One whose queue is emptied a cell at a time, and which of its cells were full."""
        block = plan.draw(int(rng.integers(1 << 30)), 0, size)
        cells = block.cells[0]
        # As the kernel stamps them, to the nanosecond.
        times = trace(size, departures(rng, size, block.segments * size.pitch)).times
        full = np.zeros(len(times))
        free = 0
        for when, count in cells.windows:
            if count:
                at = when + rng.uniform(0, 0.002)
                cells.sent.append((round(at * 1e9), count))
                # What leaves within the lead is sealed already.
                begin = max(free, int(np.searchsorted(times, at + 0.002)))
                free = begin + s.padded(count)
                full[begin:free] = 1
        return block, cells, times, full

    def test_full_and_empty_cells_are_what_they_are_called(self) -> None:
        rng = np.random.default_rng(6)
        for name, size in sizes().items():
            seen = [0, 0]
            for _ in range(20):
                block, cells, times, truth = self.session(rng, size)
                for start, end, full in s.spans_of(block, cells, trace(size, times)):
                    low, high = np.searchsorted(times, (start, end))
                    self.assertTrue((truth[low:high] == full).all(), name)
                    seen[full] += int(high - low)
            self.assertGreater(min(seen), 300, name)

    def test_groups_are_in_a_span_or_not(self) -> None:
        rng = np.random.default_rng(7)
        size = sizes()["burst"]
        for _ in range(20):
            block, cells, times, _ = self.session(rng, size)
            here = trace(size, times)
            for start, end, _ in s.spans_of(block, cells, here):
                self.assertEqual(len(here.between(start, end).times) % size.group, 0)

    def test_random_gaps_are_as_long_around_full_cells_as_around_empty_ones(self) -> None:
        rng = np.random.default_rng(8)
        size = sizes()["poisson"]
        gaps: tuple[list[Floats], list[Floats]] = ([], [])
        for _ in range(300):
            block, cells, times, _ = self.session(rng, size)
            before = np.diff(times, prepend=0.0)
            for start, end, full in s.spans_of(block, cells, trace(size, times)):
                low, high = np.searchsorted(times, (start, end))
                gaps[full].append(before[low:high])
        without, with_message = (np.concatenate(values) for values in gaps)
        self.assertAlmostEqual(with_message.mean() / without.mean(), 1.0, delta=0.02)
        self.assertGreater(ks_2samp(with_message, without).pvalue, 0.001)


class Leaks(unittest.TestCase):
    """What is found in what has no leak but the planted one."""

    def p(self, found: list[Recording], plant: s.Plant | None) -> float:
        """Of the logistic classifier."""
        samples = s.behaviours(found, "pair", plant=plant)
        assert samples is not None
        rows = two_classes("claim", "a", "any", s.active(samples), ("logistic",), Effort(2000, draws=50))
        return next(iter(rows)).p

    def test_the_last_of_those_planted_is_found_and_nothing_without(self) -> None:
        for name in ("high_security", "poisson", "burst"):
            size = sizes()[name]
            found = experiment(np.random.default_rng(9), size, 4)
            self.assertLess(self.p(found, planted(size.schedule)[0][-1]), 0.001, name)
            self.assertGreater(self.p(found, None), 0.005, name)
            if size.spacing is None:
                self.assertGreater(self.p(found, s.Plant(delay=1000.0)), 0.005)


class Pages(unittest.TestCase):
    """What is written about them."""

    ROWS = (
        Row("claim", "a: idle or active", "random", "count", "AUC", 0.51, 0.5, 0.4, 0.6, 0.3, 9, 3),
        Row("claim", "a: idle or active", "random", "forest", "AUC", 0.52, 0.5, 0.4, 0.6, 0.2, 9, 3),
        Row("claim", "b: chat or another", "random", "forest", "AUC", 0.6, 0.5, 0.4, 0.7, 0.1, 9, 3),
        Row("power", "a: idle or active", "plain", "forest", "AUC", 1.0, 0.5, 1.0, 1.0, 0.001, 9, 3),
        Row(
            "planted", "a: idle or active, planted 50 % missing", "random", "logistic", "AUC", 1, 0.5, 1, 1, 0.001, 9, 3
        ),
    )

    def test_a_profile_is_written_where_it_belongs_and_the_rest_stays(self) -> None:
        verdict = report.judge(list(self.ROWS), 0.025)
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            (begin, end), other = docs.marks("poisson"), "\n".join(docs.marks("burst"))
            (directory / "METADATA.md").write_text(f"before\n{begin}\nold\n{end}\nbetween\n{other}\n")
            for _ in range(2):
                docs.write_pages("poisson", "Facts.", list(self.ROWS), verdict, directory)
            page = (directory / "METADATA.md").read_text()
            self.assertTrue(page.startswith(f"before\n{begin}\n\nFacts.\n"))
            self.assertTrue(page.endswith(f"{end}\nbetween\n{other}\n"))
            self.assertNotIn("old", page)
            self.assertIn("| a: idle or active | 2 | forest | AUC 0.520 | 0.400 to 0.600 | 0.2 | 0.4 |", page)
            self.assertIn("| b: which behaviour | 1 | chat or another, forest |", page)
            whole = (directory / "metadata" / "poisson.md").read_text()
            self.assertEqual(sum(line.startswith(("| a:", "| b:")) for line in whole.splitlines()), len(self.ROWS))

    def test_of_each_schedule_the_leak_that_must_be_found_is_its_own(self) -> None:
        power = [
            Row("power", "a: idle or active", "plain", "count", "AUC", 1.0, 0.5, 1.0, 1.0, 0.001, 9, 3),
            Row("power", "a: idle or active", "low-overhead", "count", "AUC", 1.0, 0.5, 1.0, 1.0, 0.001, 9, 3),
            Row("power", "a: idle or active", "shared", "gaps", "AUC", 0.8, 0.5, 0.7, 0.9, 0.001, 9, 3),
        ]
        claim, leak = self.ROWS[0], self.ROWS[-1]
        # A shared loop may be found by either, and has to be by one.
        shared = [dataclasses.replace(power[2], method=method, p=p) for method, p in (("gaps", 0.5), ("forest", 0.5))]
        self.assertFalse(report.judge([claim, *power[:2], *shared, leak], 0.025).passed)
        shared[1] = power[2]
        self.assertTrue(report.judge([claim, *power[:2], *shared, leak], 0.025).passed)
        self.assertTrue(report.judge([claim, *power, leak], 0.025).passed)
        self.assertFalse(report.judge([claim, *power], 0.025).passed)
        self.assertFalse(report.judge([claim, *power, dataclasses.replace(leak, p=0.5)], 0.025).passed)
        delay = dataclasses.replace(leak, attack="a: idle or active, planted 1000 µs")
        self.assertFalse(report.judge([claim, *power, delay], 0.025).passed)


if __name__ == "__main__":
    unittest.main()
