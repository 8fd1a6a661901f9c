"""Statistics that hold for experiments drawn at random.

A *unit* is what the design gave one label: a segment of a session. A *stratum* is what labels were permuted in: a
session. What a classifier says of a unit was learnt from earlier runs only, so that, if the trace does not depend on
the label, every permutation of the labels within strata was as likely as the one that was drawn. The share of
permutations that do as well as the real labels is therefore a p-value, however the noise is distributed, and however
alike neighbouring segments are.

This would not hold for the usual kind of cross-validation, in which each run is tested with a model that was trained on
all others. There the scores of one run depend on the labels of the next and the other way round; with features that
mean nothing, the variance of the sum is twice that of its parts, and permuting labels afterwards does not show it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_CHUNK = 500


@dataclass(frozen=True)
class Units:
    """What each unit is labelled, and in which stratum it is. Strata have as many units each, in order."""

    labels: Ints
    strata: int

    def permutations(self, count: int, rng: np.random.Generator) -> Iterator[Ints]:
        """Labels that the design might have drawn, as rows, in chunks."""
        table = self.labels.reshape(self.strata, -1)
        while count > 0:
            rows = min(count, _CHUNK)
            order = rng.random((rows, *table.shape)).argsort(axis=2)
            permuted = np.take_along_axis(np.broadcast_to(table, order.shape), order, axis=2)
            yield permuted.reshape(rows, -1)
            count -= rows


def p_value(observed: float, null: Floats) -> float:
    """The share of what chance gives that is as large as what was observed, which counts itself."""
    # Sums of the same numbers in another order differ in the last bits.
    return float((1 + np.count_nonzero(null >= observed - 1e-9)) / (1 + len(null)))


@dataclass(frozen=True)
class Scores:
    """A classifier's scores of samples, each of a unit, of a run, and tested in a fold. Higher means label 1."""

    score: Floats
    unit: Ints
    run: Ints
    fold: Ints


class Auc:
    """The area under the ROC curve, over pairs of samples within a fold: their scores are the same model's."""

    def __init__(self, scores: Scores, units: Units) -> None:
        self._scores, self._units = scores, units
        folds = np.unique(scores.fold)
        count = len(units.labels)
        self._ranks = np.zeros((count, len(folds)))
        self._sizes = np.zeros((count, len(folds)))
        for column, fold in enumerate(folds):
            inside = scores.fold == fold
            np.add.at(self._ranks[:, column], scores.unit[inside], rankdata(scores.score[inside]))
            np.add.at(self._sizes[:, column], scores.unit[inside], 1.0)
        self._totals = self._sizes.sum(axis=0)

    def _of(self, labels: Ints) -> Floats:
        positive = labels.astype(float) @ self._sizes
        wins = labels.astype(float) @ self._ranks - positive * (positive + 1) / 2
        pairs: Floats = positive * (self._totals - positive)
        result: Floats = wins.sum(axis=-1) / pairs.sum(axis=-1)
        return result

    @property
    def value(self) -> float:
        """The area."""
        return float(self._of(self._units.labels[None, :])[0])

    def p(self, permutations: int, rng: np.random.Generator) -> float:
        """One-sided: how often chance does as well."""
        null = [self._of(labels) for labels in self._units.permutations(permutations, rng)]
        return p_value(self.value, np.concatenate(null))

    def interval(self, draws: int, rng: np.random.Generator, level: float = 0.95) -> tuple[float, float]:
        """By drawing runs with replacement: samples of one run are alike, and only runs are independent."""
        runs, run = np.unique(self._scores.run, return_inverse=True)
        label = self._units.labels[self._scores.unit]
        wins = np.zeros((len(runs), len(runs)))
        pairs = np.zeros((len(runs), len(runs)))
        for fold in np.unique(self._scores.fold):
            inside = np.flatnonzero(self._scores.fold == fold)
            by_run = [(r, inside[run[inside] == r]) for r in np.unique(run[inside])]
            negative = {r: np.sort(self._scores.score[mine[label[mine] == 0]]) for r, mine in by_run}
            for r, mine in by_run:
                positive = self._scores.score[mine[label[mine] == 1]]
                for other, scores in negative.items():
                    below = np.searchsorted(scores, positive, "left")
                    not_above = np.searchsorted(scores, positive, "right")
                    wins[r, other] += (below + not_above).sum() / 2
                    pairs[r, other] += len(positive) * len(scores)
        weights = rng.multinomial(len(runs), np.full(len(runs), 1 / len(runs)), size=draws).astype(float)
        with np.errstate(invalid="ignore"):
            areas = np.einsum("bi,ij,bj->b", weights, wins, weights) / np.einsum("bi,ij,bj->b", weights, pairs, weights)
        tail = (1 - level) / 2
        low, high = np.quantile(areas[np.isfinite(areas)], (tail, 1 - tail))
        return float(low), float(high)


class Accuracy:
    """How often the class said is the right one, each class counting as much as the others."""

    def __init__(self, said: Ints, unit: Ints, units: Units, classes: int) -> None:
        self._units, self._classes = units, classes
        self._votes = np.zeros((len(units.labels), classes))
        np.add.at(self._votes, (unit, said), 1.0)
        self._tested = np.flatnonzero(self._votes.sum(axis=1))

    def _of(self, labels: Ints) -> Floats:
        votes = self._votes[self._tested]
        mine = labels[:, self._tested]
        right = votes[np.arange(len(votes)), mine]
        sizes = votes.sum(axis=1)
        recall = np.zeros((len(labels), self._classes))
        for c in range(self._classes):
            is_c = mine == c
            recall[:, c] = (right * is_c).sum(axis=1) / np.maximum((sizes * is_c).sum(axis=1), 1)
        result: Floats = recall.mean(axis=1)
        return result

    @property
    def value(self) -> float:
        """The mean over classes of the share of each that is found."""
        return float(self._of(self._units.labels[None, :])[0])

    def p(self, permutations: int, rng: np.random.Generator) -> float:
        """One-sided: how often chance does as well."""
        null = [self._of(labels) for labels in self._units.permutations(permutations, rng)]
        return p_value(self.value, np.concatenate(null))


@dataclass(frozen=True)
class Difference:
    """How two distributions differ, and how often chance makes them differ as much."""

    name: str
    value: float
    p: float


class Distributions:
    """Whether a quantity is distributed differently under two labels, samples of one unit moving together."""

    BINS = 256
    COARSE = 32

    def __init__(self, values: Floats, unit: Ints, units: Units) -> None:
        self._units = units
        edges = np.unique(np.quantile(values, np.linspace(0, 1, self.BINS + 1)[1:-1]))
        bins = np.searchsorted(edges, values, side="right")
        self._counts = np.zeros((len(units.labels), self.BINS))
        np.add.at(self._counts, (unit, bins), 1.0)
        self._total = self._counts.sum(axis=0)

    def _of(self, labels: Ints) -> dict[str, Floats]:
        ones = labels.astype(float) @ self._counts
        zeros = self._total - ones
        n_one, n_zero = ones.sum(axis=1, keepdims=True), zeros.sum(axis=1, keepdims=True)
        gap = np.cumsum(ones, axis=1) / n_one - np.cumsum(zeros, axis=1) / n_zero
        share = self._total / self._total.sum()
        below = np.cumsum(share)
        inner = (below > 0) & (below < 1 - 1e-12)
        n = n_one[:, 0] * n_zero[:, 0] / (n_one[:, 0] + n_zero[:, 0])
        weight = share[inner] / (below[inner] * (1 - below[inner]))
        return {
            "KS": np.abs(gap).max(axis=1),
            "AD": n * (gap[:, inner] ** 2 @ weight),
            "MI": self._information(ones, zeros),
        }

    def _information(self, ones: Floats, zeros: Floats) -> Floats:
        """Bits that one sample tells about the label, estimated from counts in coarser bins: never below zero."""
        shape = (len(ones), self.COARSE, -1)
        table = np.stack([ones.reshape(shape).sum(axis=2), zeros.reshape(shape).sum(axis=2)], axis=1)
        joint = table / table.sum(axis=(1, 2), keepdims=True)
        apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=2, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            bits = np.where(joint > 0, joint * np.log2(joint / apart), 0.0)
        result: Floats = bits.sum(axis=(1, 2))
        return result

    def differences(self, permutations: int, rng: np.random.Generator) -> list[Difference]:
        """Kolmogorov and Smirnov's distance, Anderson and Darling's statistic, and mutual information in bits."""
        observed = self._of(self._units.labels[None, :])
        null: dict[str, list[Floats]] = {name: [] for name in observed}
        for labels in self._units.permutations(permutations, rng):
            for name, values in self._of(labels).items():
                null[name].append(values)
        return [
            Difference(name, float(value[0]), p_value(float(value[0]), np.concatenate(null[name])))
            for name, value in observed.items()
        ]


def holm(p: list[float]) -> list[float]:
    """Adjusted p-values: rejecting those at most `a` errs at all with a probability of at most `a`."""
    order = np.argsort(p)
    adjusted = np.zeros(len(p))
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[int(index)]))
        adjusted[index] = largest
    return [float(value) for value in adjusted]
