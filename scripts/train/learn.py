"""How a model of faults is made: settings are searched by cross-validation, and the threshold comes from margins of unseen rows.

What is chosen of some rows is chosen by those rows alone, so that a test on others is fair.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import measure
import numpy as np
import xgboost as xgb
from measure import Calibration, Cost
from progress import Progress

SEED = 1234
FOLDS = 5
REPEATS = 2  # of the cross-validation that the threshold comes from, each with other folds
SEARCH_ROWS = 20_000  # the search and further repeats take no more rows
MOST_ROUNDS, STEP, PATIENCE = 400, 50, 100  # of early stopping
KNOWN, CLEARLY = 2, 0.95  # so many settings compete evenly; a further one has to be so much cheaper, or the luckiest would win
WORTH = 0.99  # so much cheaper have more rounds to be
BASE = {
    "objective": "binary:logistic",
    "seed_per_iteration": True,  # the random numbers are those of a thread, in which several models learn
    "nthread": 1,  # float sums depend on how threads share the work; models are trained beside each other instead
}


@dataclass(frozen=True)
class Settings:
    """What the search chooses. The first of candidates is tried without a search."""

    max_depth: int = 6
    max_bin: int = 64
    eta: float = 0.08
    min_child_weight: float = 0.3
    reg_lambda: float = 2
    subsample: float = 0.7
    colsample_bytree: float = 0.3
    weight: float = 1  # of a faulty row

    def parameters(self) -> dict:
        return BASE | {key: value for key, value in self.__dict__.items() if key != "weight"}

    def text(self) -> str:
        return ", ".join(f"{key} {value:g}" for key, value in self.__dict__.items())


def candidates(count: int, seed: int) -> list[Settings]:
    """The second knows no row by heart, which is best where few of noisy rows are faulty; the third is for few sensors with sharp limits; the others are random."""
    known = [Settings(), Settings(max_depth=3, max_bin=16, eta=0.1, reg_lambda=10), Settings(max_bin=256, colsample_bytree=0.7)]
    rng = np.random.Generator(np.random.PCG64([seed, 1]))
    while len(known) < count:
        pick = lambda *values: values[rng.integers(len(values))]
        known.append(Settings(max_depth=pick(2, 3, 4, 6, 8), max_bin=pick(16, 64, 256), eta=pick(0.06, 0.1, 0.15), min_child_weight=pick(0.1, 0.3, 1, 3),
                              reg_lambda=pick(1, 3, 10, 25), subsample=pick(0.4, 0.6, 0.8), colsample_bytree=pick(0.2, 0.3, 0.5), weight=pick(1, 1, 4, 10)))
    return known[:max(1, count)]


@dataclass(frozen=True)
class Rows:
    """Labelled rows; machine is the number of each row's machine."""

    names: list[str]
    values: np.ndarray
    labels: np.ndarray
    machine: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, rows: np.ndarray) -> Rows:
        return Rows(self.names, self.values[rows], self.labels[rows], self.machine[rows])

    def folds(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """The fold of each row, each fold with about the same share of faulty rows; rows of a machine are in one."""
        machines, at = np.unique(self.machine, return_inverse=True)
        ever_faulty = np.bincount(at, weights=self.labels, minlength=len(machines)) > 0
        fold = np.empty(len(machines), dtype=int)
        for kind in (False, True):
            some = rng.permutation(np.flatnonzero(ever_faulty == kind))
            fold[some] = np.arange(len(some)) % count
        return fold[at]

    def thinned(self, most: int, rng: np.random.Generator) -> Rows:
        if len(self) <= most:
            return self
        return self.part(np.flatnonzero(self.folds(-(-len(self) // most), rng) == 0))

    def matrix(self, settings: Settings) -> xgb.DMatrix:
        weights = np.where(self.labels == 1, settings.weight, 1.0)
        return xgb.DMatrix(self.values, label=self.labels, weight=weights, feature_names=self.names, nthread=1)


def margins(booster: xgb.Booster, values: np.ndarray) -> np.ndarray:
    return booster.predict(xgb.DMatrix(values, feature_names=booster.feature_names, nthread=1), output_margin=True)


class Training:
    """A booster that learns from rows, some rounds at a time."""

    def __init__(self, rows: Rows, settings: Settings, seed: list[int]):
        rng = np.random.Generator(np.random.PCG64(seed))
        self.data = rows.matrix(settings)
        self.booster = xgb.Booster(settings.parameters() | {"seed": int(rng.integers(1 << 31))}, [self.data])
        self.booster.feature_names = rows.names

    def go_on(self, until: int) -> xgb.Booster:
        for done in range(self.booster.num_boosted_rounds(), until):
            self.booster.update(self.data, done)
        return self.booster


def fit(rows: Rows, settings: Settings, rounds: int, seed: list[int]) -> xgb.Booster:
    return Training(rows, settings, seed).go_on(rounds)


@dataclass
class Learned:
    """A model, and how it came about."""

    booster: xgb.Booster
    settings: Settings
    rounds: int
    calibration: Calibration
    threshold: float
    labels: np.ndarray  # of the rows that the calibration comes from
    unseen: np.ndarray  # their margins
    tried: list[dict] = field(default_factory=list)

    def probability(self, values: np.ndarray) -> np.ndarray:
        """As the device computes it, float32."""
        data = xgb.DMatrix(values, feature_names=self.booster.feature_names, nthread=1)
        return self.booster.predict(data)


class Learner:
    """Makes models of some rows; equal rows and seeds give equal models, however many threads there are."""

    def __init__(self, cost: Cost, search: int, seed: int = SEED, progress: Progress | None = None):
        self.cost, self.seed, self.progress = cost, seed, progress or Progress(0)
        self.candidates = candidates(search, seed)
        self.threads = os.cpu_count() or 1

    def models(self) -> int:
        """How many models learn trains at most."""
        return (len(self.candidates) + REPEATS) * FOLDS + 1

    def learn(self, rows: Rows) -> Learned:
        rng = np.random.Generator(np.random.PCG64([self.seed, 2]))
        settings, rounds, tried = self._search(rows.thinned(SEARCH_ROWS, rng), rng)
        labels, unseen = [], []
        for repeat in range(REPEATS):
            some = rows if repeat == 0 else rows.thinned(SEARCH_ROWS, rng)
            labels.append(some.labels)
            unseen.append(self._unseen(some, settings, rounds, some.folds(FOLDS, rng), repeat))
        all_labels, all_unseen = np.concatenate(labels), np.concatenate(unseen)
        calibration = Calibration.of(all_labels, all_unseen)
        self.progress.say("training with all rows")
        booster = fit(rows, settings, rounds, [self.seed, 5])
        self.progress.step()
        return Learned(booster, settings, rounds, calibration, calibration.threshold(self.cost), all_labels, all_unseen, tried)

    def _search(self, rows: Rows, rng: np.random.Generator) -> tuple[Settings, int, list[dict]]:
        """Returns the settings with the lowest cost on rows that their models have not seen, and how many rounds they need."""
        fold = rows.folds(FOLDS, rng)
        best, tried = None, []
        with ThreadPoolExecutor(self.threads) as pool:
            for place, settings in enumerate(self.candidates):
                self.progress.say("searching for settings")
                rounds, score = self._stopped_early(pool, rows, fold, settings, place)
                self.progress.step(FOLDS)
                tried.append({"settings": settings.__dict__, "rounds": rounds, "score": score})
                if best is None or score < best[2] * (1 if place < KNOWN else CLEARLY):
                    best = settings, rounds, score
        return best[0], best[1], tried

    def _stopped_early(self, pool: ThreadPoolExecutor, rows: Rows, fold: np.ndarray, settings: Settings, place: int) -> tuple[int, float]:
        """Trains the models of all folds until the cost on the rows that they have not seen falls no more; returns the rounds up to
        there, and that cost."""
        trainings = list(pool.map(lambda k: Training(rows.part(fold != k), settings, [self.seed, 3, place, k]), range(FOLDS)))
        unseen, best = np.empty(len(rows), dtype=np.float32), (0, np.inf)
        for rounds in range(STEP, MOST_ROUNDS + 1, STEP):
            told = pool.map(lambda k: margins(trainings[k].go_on(rounds), rows.values[fold == k]), range(FOLDS))
            for k, some in enumerate(told):
                unseen[fold == k] = some
            score = measure.blurred_cost(rows.labels, Calibration.of(rows.labels, unseen).logit(unseen), self.cost)
            if score < best[1] * WORTH:
                best = rounds, score
            elif rounds - best[0] >= PATIENCE:
                break
        return best

    def _unseen(self, rows: Rows, settings: Settings, rounds: int, fold: np.ndarray, repeat: int) -> np.ndarray:
        """Margins of all rows, from models that have not seen them."""
        def train(k):
            return margins(fit(rows.part(fold != k), settings, rounds, [self.seed, 4, repeat, k]), rows.values[fold == k])

        told = np.empty(len(rows), dtype=np.float32)
        with ThreadPoolExecutor(self.threads) as pool:
            for k, some in enumerate(pool.map(train, range(FOLDS))):
                self.progress.say("cross-validating")
                self.progress.step()
                told[fold == k] = some
        return told
