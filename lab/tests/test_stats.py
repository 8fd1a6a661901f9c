"""The statistics, on data of which the truth is known."""

from __future__ import annotations

import unittest

import numpy as np
from scipy.stats import kstest

from b4ae_lab.attacks import Effort, forward, models
from b4ae_lab.features import Floats
from b4ae_lab.samples import Samples
from b4ae_lab.stats import Accuracy, Auc, Distributions, Ints, Scores, Units, holm, p_value

RUNS, SEGMENTS = 12, 8


def design(rng: np.random.Generator, runs: int = RUNS) -> Units:
    """Half of each run's segments active, in random order."""
    labels = np.tile([0, 1], (runs, SEGMENTS // 2))
    return Units(rng.permuted(labels, axis=1).ravel(), runs)


def experiment(rng: np.random.Generator, effect: float, runs: int = RUNS) -> Samples:
    """Ten features of which one depends on the label, with noise that is alike within a run and between neighbours."""
    units = design(rng, runs)
    unit = np.arange(runs * SEGMENTS)
    run = unit // SEGMENTS
    noise = rng.normal(size=(len(unit), 10)) + 2 * rng.normal(size=(runs, 10))[run]
    noise += np.repeat(rng.normal(size=(len(unit) // 2, 10)), 2, axis=0)
    noise[:, 0] += effect * units.labels
    return Samples(noise, unit, run, run, units)


def attack(samples: Samples) -> Auc:
    """The logistic one."""
    probabilities, index, fold = forward(samples, models(Effort(100))["logistic"])
    return Auc(Scores(probabilities[:, 1], samples.unit[index], samples.run[index], fold), samples.units)


class Areas(unittest.TestCase):
    """`Auc`."""

    def test_it_is_the_share_of_pairs_in_the_right_order(self) -> None:
        units = Units(np.array([0, 1, 0, 1]), 1)
        zeros = np.zeros(4, int)
        scores = Scores(np.array([0.1, 0.4, 0.4, 0.8]), np.arange(4), zeros, zeros)
        self.assertAlmostEqual(Auc(scores, units).value, 3.5 / 4)

    def test_scores_of_different_folds_are_not_compared(self) -> None:
        units = Units(np.array([0, 1, 0, 1]), 2)
        scores = Scores(np.array([0.8, 0.9, 0.1, 0.2]), np.arange(4), np.array([0, 0, 1, 1]), np.array([1, 1, 2, 2]))
        self.assertEqual(Auc(scores, units).value, 1.0)

    def test_without_an_effect_every_p_value_is_as_likely(self) -> None:
        rng = np.random.default_rng(1)
        found = [attack(experiment(rng, 0.0)).p(400, rng) for _ in range(100)]
        self.assertGreater(kstest(found, "uniform").pvalue, 0.001)
        self.assertLess(np.mean(np.array(found) < 0.05), 0.12)

    def test_an_effect_is_found(self) -> None:
        rng = np.random.default_rng(2)
        found = [attack(experiment(rng, 3.0, runs=30)).p(400, rng) for _ in range(10)]
        self.assertLess(max(found), 0.01)

    def test_the_interval_holds_the_truth_as_often_as_it_says(self) -> None:
        # Two normal distributions one apart, alike within a run: the area under their curve is known.
        rng = np.random.default_rng(3)
        truth, covered, count = 0.5, 0, 200
        for _ in range(count):
            units = design(rng, 30)
            unit = np.arange(30 * SEGMENTS)
            run = unit // SEGMENTS
            # Runs differ in how their active segments differ; in the mean they do not.
            slope = rng.normal(size=30)[run]
            score = rng.normal(size=len(unit)) + slope * (units.labels - 0.5)
            low, high = Auc(Scores(score, unit, run, np.zeros(len(unit), int)), units).interval(400, rng)
            covered += low <= truth <= high
        self.assertGreater(covered / count, 0.88)
        self.assertLess(covered / count, 0.99)


class Means:
    """The simplest classifier: where between the two means a sample is."""

    def __init__(self, _count: int) -> None:
        self._direction = np.zeros(0)

    def fit(self, x: Floats, y: Ints) -> Means:
        """Learns the direction from one mean to the other."""
        self._direction = x[y == 1].mean(axis=0) - x[y == 0].mean(axis=0)
        return self

    def predict_proba(self, x: Floats) -> Floats:
        """Not probabilities, but in the same order."""
        return np.column_stack([-x @ self._direction, x @ self._direction])


class Folds(unittest.TestCase):
    """Why folds go forward: without an effect, by how much the variance of the area exceeds what permutations say."""

    def excess(self, usual: bool) -> float:
        """The ratio of both."""
        rng = np.random.default_rng(7)
        areas = []
        for _ in range(400):
            units = design(rng, 5)
            unit = np.arange(len(units.labels))
            run = unit // SEGMENTS
            samples = Samples(rng.normal(size=(len(unit), 20)), unit, run, run, units)
            if usual:
                score = np.zeros(len(unit))
                for each in range(5):
                    inside = run == each
                    model = Means(0).fit(samples.x[~inside], units.labels[~inside])
                    score[inside] = model.predict_proba(samples.x[inside])[:, 1]
                index, fold = unit, run
            else:
                probabilities, index, fold = forward(samples, Means)
                score = probabilities[:, 1]
            areas.append(Auc(Scores(score, unit[index], run[index], fold), units).value)
        folds, half = 5 if usual else 4, SEGMENTS // 2
        return float(np.var(areas) / ((SEGMENTS + 1) / (12 * half * half) / folds))

    def test_forward_it_is_right_and_otherwise_twice_as_large(self) -> None:
        self.assertAlmostEqual(self.excess(usual=False), 1.0, delta=0.25)
        self.assertAlmostEqual(self.excess(usual=True), 2.0, delta=0.5)


class Classes(unittest.TestCase):
    """`Accuracy`."""

    def test_each_class_counts_as_much(self) -> None:
        units = Units(np.array([0, 0, 0, 1]), 1)
        accuracy = Accuracy(np.zeros(4, int), np.arange(4), units, 2)
        self.assertEqual(accuracy.value, 0.5)
        self.assertGreater(accuracy.p(100, np.random.default_rng(1)), 0.9)

    def test_being_right_is_no_chance(self) -> None:
        rng = np.random.default_rng(2)
        units = design(rng)
        self.assertLess(Accuracy(units.labels, np.arange(len(units.labels)), units, 2).p(999, rng), 0.002)


class Differences(unittest.TestCase):
    """`Distributions`."""

    def values(self, rng: np.random.Generator, effect: float) -> Distributions:
        """Fifty values a segment, alike within it."""
        units = design(rng)
        unit = np.repeat(np.arange(len(units.labels)), 50)
        values = rng.normal(size=len(unit)) + rng.normal(size=len(units.labels))[unit] + effect * units.labels[unit]
        return Distributions(values, unit, units)

    def test_values_that_are_alike_within_segments_are_no_evidence(self) -> None:
        rng = np.random.default_rng(4)
        found = [self.values(rng, 0.0).differences(200, rng) for _ in range(40)]
        for test in range(3):
            p = np.array([each[test].p for each in found])
            self.assertLess((p < 0.05).mean(), 0.15)

    def test_a_shift_is_found(self) -> None:
        rng = np.random.default_rng(5)
        for each in self.values(rng, 1.5).differences(999, rng):
            self.assertLess(each.p, 0.01, each.name)
            self.assertGreater(each.value, 0)


class Rules(unittest.TestCase):
    """Permutations and corrections."""

    def test_permutations_stay_within_strata(self) -> None:
        rng = np.random.default_rng(6)
        units = Units(np.array([0, 1, 1, 2, 2, 2]), 2)
        rows = np.concatenate(list(units.permutations(700, rng)))
        self.assertEqual(rows.shape, (700, 6))
        self.assertTrue((np.sort(rows.reshape(700, 2, 3), axis=2) == np.array([[0, 1, 1], [2, 2, 2]])).all())
        self.assertEqual(len(np.unique(rows, axis=0)), 3)

    def test_p_values_are_never_zero(self) -> None:
        self.assertEqual(p_value(2.0, np.array([1.0, 2.0, 3.0])), 0.75)
        self.assertEqual(p_value(9.0, np.array([1.0, 2.0, 3.0])), 0.25)

    def test_holm_is_holms(self) -> None:
        np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
        self.assertEqual(holm([]), [])


if __name__ == "__main__":
    unittest.main()
