"""The adversary: classifiers that learn from earlier runs, and what they can tell of later ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

from . import samples as s
from .behaviours import BEHAVIOURS
from .features import NAMES, Floats
from .samples import Recording, Samples
from .stats import Accuracy, Auc, Distributions, Ints, Scores, Units

_FOLDS = 5
_MOST_TRAINED = 40_000


@dataclass(frozen=True)
class Effort:
    """How hard to try."""

    permutations: int
    draws: int = 2000
    trees: int = 300


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    #: `claim` must not be told from chance, `power` must be found easily, `planted` is a leak of known size.
    kind: str
    attack: str
    traffic: str
    method: str
    metric: str
    value: float
    chance: float
    low: float
    high: float
    p: float
    samples: int
    runs: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


Maker = Callable[[int], Any]

#: Adversaries who learn nothing: one feature, of both directions together.
RULES = {"count": "count", "gaps": "gap spread"}


def models(effort: Effort) -> dict[str, Maker]:
    """The classifiers, by name; each is made from the number of samples it will learn from."""
    return {
        "logistic": lambda count: make_pipeline(
            QuantileTransformer(n_quantiles=min(100, count), output_distribution="normal"),
            LogisticRegression(C=0.02, class_weight="balanced", max_iter=300),
        ),
        "forest": lambda _: RandomForestClassifier(
            effort.trees, min_samples_leaf=3, class_weight="balanced_subsample", random_state=1, n_jobs=2
        ),
        "boosting": lambda _: HistGradientBoostingClassifier(
            max_iter=60, learning_rate=0.08, max_depth=4, max_bins=63, class_weight="balanced", random_state=1
        ),
    }


def forward(samples: Samples, make: Maker) -> tuple[Floats, Ints, Ints]:
    """Probabilities by class for every sample but the first fold's, their indices, and their folds. Each fold is
    tested with a model of the folds before it.
    """
    label = samples.units.labels[samples.unit]
    classes = len(np.unique(samples.units.labels))
    chunks = np.unique(samples.chunk)
    folds = np.array_split(chunks, min(_FOLDS, len(chunks)))
    rng = np.random.default_rng(1)
    probabilities, indices, of_fold = [], [], []
    for number in range(1, len(folds)):
        train = np.flatnonzero(np.isin(samples.chunk, np.concatenate(folds[:number])))
        test = np.flatnonzero(np.isin(samples.chunk, folds[number]))
        if len(train) > _MOST_TRAINED:
            train = rng.choice(train, _MOST_TRAINED, replace=False)
        if len(np.unique(label[train])) < classes:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = make(len(train)).fit(samples.x[train], label[train])
        probabilities.append(model.predict_proba(samples.x[test]))
        indices.append(test)
        of_fold.append(np.full(len(test), number))
    return np.concatenate(probabilities), np.concatenate(indices), np.concatenate(of_fold)


def _auc(
    head: tuple[str, str, str, str], samples: Samples, score: Floats, index: Ints, fold: Ints, effort: Effort
) -> Row:
    kind, attack, traffic, method = head
    rng = np.random.default_rng(2)
    auc = Auc(Scores(score, samples.unit[index], samples.run[index], fold), samples.units)
    low, high = auc.interval(effort.draws, rng)
    p = auc.p(effort.permutations, rng)
    runs = len(np.unique(samples.run[index]))
    return Row(kind, attack, traffic, method, "AUC", auc.value, 0.5, low, high, p, len(index), runs)


def two_classes(
    kind: str, attack: str, traffic: str, samples: Samples | None, methods: tuple[str, ...], effort: Effort
) -> Iterator[Row]:
    """How well each classifier tells label 1 from label 0."""
    if samples is None or len(np.unique(samples.chunk)) < 3:
        return
    for method in methods:
        if method in RULES:
            # Both directions' features, and the same as compared with the rest of the run.
            column, direction = NAMES.index(RULES[method]), samples.x.shape[1] // 4
            score = samples.x[:, column] + samples.x[:, column + direction]
            index = np.arange(len(score))
            yield _auc((kind, attack, traffic, method), samples, score, index, np.zeros(len(score), int), effort)
            continue
        probabilities, index, fold = forward(samples, models(effort)[method])
        yield _auc((kind, attack, traffic, method), samples, probabilities[:, 1], index, fold, effort)


def first_of_many(
    kind: str, attack: str, traffic: str, samples: Samples | None, method: str, effort: Effort
) -> Iterator[Row]:
    """How often the one with the highest score is the right one, of each stratum's units."""
    if samples is None or len(np.unique(samples.chunk)) < 3:
        return
    probabilities, index, _ = forward(samples, models(effort)[method])
    size = len(samples.units.labels) // samples.units.strata
    unit = samples.unit[index]
    table = probabilities[np.argsort(unit), 1].reshape(-1, size)
    label = samples.units.labels[np.sort(unit)].reshape(-1, size)
    right = int((table.argmax(axis=1) == label.argmax(axis=1)).sum())
    test = binomtest(right, len(table), 1 / size, alternative="greater")
    interval = binomtest(right, len(table)).proportion_ci(method="wilson")
    yield Row(
        kind, attack, traffic, method, "right", right / len(table), 1 / size, interval.low, interval.high,
        float(test.pvalue), len(table), len(np.unique(samples.run[index])),
    )  # fmt: skip


def five_classes(
    kind: str, traffic: str, samples: Samples | None, methods: tuple[str, ...], effort: Effort
) -> Iterator[Row]:
    """How often the behaviour is found, and how well each is told from the rest."""
    if samples is None or len(np.unique(samples.chunk)) < 3:
        return
    chance = 1 / len(BEHAVIOURS)
    for method in methods:
        probabilities, index, fold = forward(samples, models(effort)[method])
        unit, runs = samples.unit[index], samples.run[index]
        accuracy = Accuracy(probabilities.argmax(axis=1), unit, samples.units, len(BEHAVIOURS))
        low, high = _accuracy_interval(probabilities.argmax(axis=1), samples, index, effort)
        p = accuracy.p(effort.permutations, np.random.default_rng(3))
        yield Row(
            kind, "b: which behaviour", traffic, method, "accuracy", accuracy.value, chance, low, high, p,
            len(index), len(np.unique(runs)),
        )  # fmt: skip
        if method != methods[-1]:
            continue
        for number, behaviour in enumerate(BEHAVIOURS):
            labels = (samples.units.labels == number).astype(int)
            mine = Samples(samples.x, samples.unit, samples.run, samples.chunk, Units(labels, samples.units.strata))
            head = (kind, f"b: {behaviour} or another", traffic, method)
            yield _auc(head, mine, probabilities[:, number], index, fold, effort)


def _accuracy_interval(said: Ints, samples: Samples, index: Ints, effort: Effort) -> tuple[float, float]:
    """By drawing runs with replacement."""
    label = samples.units.labels[samples.unit[index]]
    runs, run = np.unique(samples.run[index], return_inverse=True)
    classes = len(BEHAVIOURS)
    right, all_of = np.zeros((len(runs), classes)), np.zeros((len(runs), classes))
    np.add.at(right, (run, label), said == label)
    np.add.at(all_of, (run, label), 1)
    rng = np.random.default_rng(4)
    weights = rng.multinomial(len(runs), np.full(len(runs), 1 / len(runs)), size=effort.draws)
    accuracy = ((weights @ right) / (weights @ all_of)).mean(axis=1)
    low, high = np.quantile(accuracy, (0.025, 0.975))
    return float(low), float(high)


def distributions(
    kind: str, attack: str, traffic: str, what: str, values: s.Values | None, effort: Effort
) -> Iterator[Row]:
    """Tests that need no classifier."""
    if values is None:
        return
    tests = Distributions(values.values, values.unit, values.units)
    nan = float("nan")
    for test in tests.differences(effort.permutations, np.random.default_rng(5)):
        yield Row(
            kind, attack, traffic, f"{test.name} of {what}", test.name, test.value, 0.0, nan, nan, test.p,
            len(values.values), values.units.strata,
        )  # fmt: skip


#: What schedules are called in the table.
TRAFFIC = {"grid": "constant", "poisson": "random", "burst": "groups"}
#: The delays planted into segments and into single cells, in microseconds. The largest has to be found on a grid.
_DELAYS, _CELL_DELAYS = (2.0, 5.0, 20.0, 100.0, 1000.0), (1.0, 5.0, 20.0, 100.0)
#: At random times no delay is much beside the gaps; what would show there is cells that are missing.
_RANDOM_DELAYS, _RANDOM_CELL_DELAYS = (1000.0, 20_000.0), (1000.0, 20_000.0)
_MISSING = (0.05, 0.1, 0.2, 0.5)


def planted(schedule: str) -> tuple[list[s.Plant], list[s.Plant]]:
    """What is planted into segments, and into single cells. The last of the first list has to be found."""
    if schedule == "poisson":
        segments = [s.Plant(delay=delay) for delay in _RANDOM_DELAYS] + [s.Plant(missing=share) for share in _MISSING]
        return segments, [s.Plant(delay=delay) for delay in _RANDOM_CELL_DELAYS]
    return [s.Plant(delay=delay) for delay in _DELAYS], [s.Plant(delay=delay) for delay in _CELL_DELAYS]


def everything(recordings: list[Recording], effort: Effort, *, short: bool) -> Iterator[Row]:
    """Every attack on every traffic there is a recording of."""
    if not recordings:
        return
    yield from _idle_or_active(recordings, effort, short=short)
    yield from _single_cells(recordings, effort, short=short)
    if not short:
        traffic = _traffic(recordings)
        many = ("logistic", "forest", "boosting")
        clients = s.clients(recordings)
        yield from two_classes("claim", "c: which of 8 sessions", traffic, clients, many, effort)
        yield from first_of_many("claim", "c: which of 8 sessions", traffic, clients, "forest", effort)
        yield from two_classes("claim", "e: insider, anyone active", traffic, s.insider(recordings), many, effort)
        for world in ("drop", "delay", "reorder", "hold"):
            found = s.behaviours(recordings, world)
            if found is not None:
                name = f"f: idle or active under {world}"
                yield from two_classes("claim", name, traffic, s.active(found), (*RULES, *many), effort)
    yield from _power(recordings, effort, short=short)


def _traffic(recordings: list[Recording]) -> str:
    return TRAFFIC[recordings[0].block.size.schedule]


def _idle_or_active(recordings: list[Recording], effort: Effort, *, short: bool) -> Iterator[Row]:
    traffic, size = _traffic(recordings), recordings[0].block.size
    whole = s.behaviours(recordings, "pair")
    if whole is not None:
        methods = ("logistic", "forest") if short else ("logistic", "forest", "boosting")
        yield from two_classes("claim", "a: idle or active", traffic, s.active(whole), (*RULES, *methods), effort)
        yield from five_classes("claim", traffic, whole, methods[:2], effort)
    if not short:
        seconds = size.short_window()
        parts = s.behaviours(recordings, "pair", scale=seconds)
        if parts is not None:
            name = f"a: idle or active, in {seconds:.0f} s"
            yield from two_classes("claim", name, traffic, s.active(parts), ("logistic", "boosting"), effort)
    for name, quantity in s.quantities(recordings).items():
        values = s.quantity(recordings, "pair", quantity)
        yield from distributions("claim", "a: idle or active", traffic, name, values, effort)
    plants, _ = planted(size.schedule)
    for plant in plants[-1:] if short else plants:
        leaking = s.behaviours(recordings, "pair", plant=plant)
        if leaking is not None:
            name = f"a: idle or active, planted {plant}"
            yield from two_classes("planted", name, traffic, s.active(leaking), ("logistic",), effort)


def _single_cells(recordings: list[Recording], effort: Effort, *, short: bool) -> Iterator[Row]:
    found = s.cells(recordings)
    if found is None:
        return
    traffic = _traffic(recordings)
    methods = ("logistic",) if short else ("logistic", "boosting")
    yield from two_classes("claim", "d: message or cover", traffic, found, methods, effort)
    late = s.Values(found.x[:, 0], found.unit, found.units)
    yield from distributions(
        "claim", "d: message or cover", traffic, next(iter(s.quantities(recordings))), late, effort
    )
    _, plants = planted(recordings[0].block.size.schedule)
    for plant in () if short else plants:
        name = f"d: message or cover, planted {plant}"
        yield from two_classes("planted", name, traffic, s.cells(recordings, plant), ("logistic",), effort)


def _power(recordings: list[Recording], effort: Effort, *, short: bool) -> Iterator[Row]:
    for world in ("low-overhead", "plain", "shared"):
        found = s.behaviours(recordings, world)
        if found is not None:
            methods = tuple(RULES) if short else (*RULES, "forest")
            yield from two_classes("power", "a: idle or active", world, s.active(found), methods, effort)
            if not short and world != "shared":
                yield from five_classes("power", world, found, ("forest",), effort)
