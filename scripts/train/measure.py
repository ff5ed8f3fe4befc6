"""How good probabilities of a fault are: cost, curves, calibration. Labels are 0 or 1, probabilities between 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Cost:
    """What one missed fault and one false alarm cost."""

    miss: float = 500
    false: float = 10

    def of(self, missed: float, false_alarms: float) -> float:
        return self.miss * missed + self.false * false_alarms

    def error(self, missed, false_alarms, rows: int):
        """The standard error of the cost per 1,000 rows, if these are a sample of as many: chance in how many faults are missed."""
        mean = self.of(missed, false_alarms) / rows
        return 1000 * np.sqrt((self.miss**2 * missed + self.false**2 * false_alarms) / rows - mean**2) / np.sqrt(rows)

    def by_row(self, labels: np.ndarray, flagged: np.ndarray) -> np.ndarray:
        return np.where(flagged, np.where(labels == 0, self.false, 0.0), np.where(labels == 1, self.miss, 0.0))


def is_flagged(probability: np.ndarray, threshold: float) -> np.ndarray:
    """As the device does: both are float32."""
    return probability >= np.float32(threshold)


class Levels:
    """The distinct probabilities in ascending order, and how many rows of both classes have each."""

    def __init__(self, labels: np.ndarray, probability: np.ndarray, weights: np.ndarray | None = None):
        self.levels, at = np.unique(probability, return_inverse=True)
        weights = np.ones(len(labels)) if weights is None else weights
        self.faulty = np.bincount(at, weights=weights * (labels == 1), minlength=len(self.levels))
        self.sound = np.bincount(at, weights=weights * (labels == 0), minlength=len(self.levels))

    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Missed faults and false alarms if rows are flagged from the i-th level on; the last is that none is."""
        missed = np.concatenate([[0], np.cumsum(self.faulty)])
        alarms = np.concatenate([np.cumsum(self.sound[::-1])[::-1], [0]])
        return missed, alarms


def roc_auc(labels: np.ndarray, probability: np.ndarray) -> float:
    """The probability that a faulty row scores above a sound one; a tie counts half."""
    level = Levels(labels, probability)
    below = np.cumsum(level.sound) - level.sound
    return float(np.sum(level.faulty * (below + level.sound / 2)) / (level.faulty.sum() * level.sound.sum()))


def average_precision(labels: np.ndarray, probability: np.ndarray) -> float:
    level = Levels(labels, probability)
    faulty, sound = level.faulty[::-1], level.sound[::-1]
    return float(np.sum(faulty * np.cumsum(faulty) / np.cumsum(faulty + sound)) / faulty.sum())


def brier(labels: np.ndarray, probability: np.ndarray) -> float:
    return float(np.mean((probability.astype(np.float64) - labels) ** 2))


def figures(labels: np.ndarray, probability: np.ndarray, threshold: float, cost: Cost) -> dict:
    """What a threshold does."""
    flagged = is_flagged(probability, threshold)
    found, false_alarms = int(np.count_nonzero(flagged & (labels == 1))), int(np.count_nonzero(flagged & (labels == 0)))
    missed = int(np.count_nonzero(labels == 1)) - found
    total = cost.of(missed, false_alarms)
    return {
        "threshold": threshold,
        "found": found,
        "missed": missed,
        "false_alarms": false_alarms,
        "passed": len(labels) - found - missed - false_alarms,
        "precision": found / max(1, found + false_alarms),
        "recall": found / max(1, found + missed),
        "cost": total,
        "cost_per_1000": 1000 * total / len(labels),
        "cost_error": float(cost.error(missed, false_alarms, len(labels))),
    }


def ranking(labels: np.ndarray, probability: np.ndarray) -> dict:
    """What does not depend on a threshold."""
    return {
        "auc": roc_auc(labels, probability),
        "average_precision": average_precision(labels, probability),
        "brier": brier(labels, probability),
    }


def sigmoid(margin):
    return 1 / (1 + np.exp(-np.asarray(margin, dtype=np.float64)))


@dataclass(frozen=True)
class Calibration:
    """What a margin means: the probability of a fault is sigmoid(slope * margin + intercept), by Platt."""

    slope: float
    intercept: float

    @classmethod
    def of(cls, labels: np.ndarray, margin: np.ndarray) -> Calibration:
        """Fits margins of models that have not seen their rows. Newton's steps; a weak prior keeps perfect margins finite."""
        margin = margin.astype(np.float64)
        columns = np.column_stack([margin, np.ones(len(margin))])
        at, prior = np.array([1.0, 0.0]), np.array([1.0, 0.0])
        strength = np.array([1.0, 1e-3])
        for _ in range(100):
            p = sigmoid(columns @ at)
            slope = columns.T @ (p - labels) + strength * (at - prior)
            bend = (columns * (p * (1 - p))[:, None]).T @ columns + np.diag(strength)
            step = np.linalg.solve(bend, slope)
            step *= min(1, 2 / np.abs(step).max()) if np.abs(step).max() > 0 else 1
            at = at - step
            if np.abs(step).max() < 1e-9:
                break
        return cls(max(float(at[0]), 0.05), float(at[1]))

    def logit(self, margin: np.ndarray) -> np.ndarray:
        return self.slope * margin.astype(np.float64) + self.intercept

    def threshold(self, cost: Cost) -> float:
        """The model's own probability from which an alarm costs less than silence: where the calibrated one is false / (false + miss)."""
        margin = (np.log(cost.false / cost.miss) - self.intercept) / self.slope
        return float(f"{min(max(float(sigmoid(margin)), 1e-6), 1 - 1e-6):.6g}")


def blurred_cost(labels: np.ndarray, logit: np.ndarray, cost: Cost, width: float = 1) -> float:
    """The cost for each 1,000 rows around the best threshold, each row counting by how near to it it is: a measure that one row does
    not turn, as it does the cost itself."""
    beyond = (logit - np.log(cost.false / cost.miss)) / width
    flagged = sigmoid(1.7 * beyond)  # close to the normal distribution
    return float(1000 * np.mean(np.where(labels == 1, cost.miss * (1 - flagged), cost.false * flagged)))


def reliability(labels: np.ndarray, probability: np.ndarray, bins: int = 10) -> list[dict]:
    """What is told and what came true, in bins of equally many faulty rows: that is where the numbers are."""
    order = np.argsort(probability, kind="stable")
    reached = np.cumsum(labels[order])
    edges = [0, *(int(np.searchsorted(reached, reached[-1] * k / bins)) + 1 for k in range(1, bins)), len(order)]
    parts = [order[a:b] for a, b in zip(edges, edges[1:]) if b > a]
    return [{"told": float(probability[part].mean()), "true": float(labels[part].mean()), "rows": len(part)} for part in parts]


def calibration_error(bins: list[dict]) -> float:
    """How far told and true are apart, on average over the rows."""
    return sum(b["rows"] * abs(b["told"] - b["true"]) for b in bins) / sum(b["rows"] for b in bins)


def curves(labels: np.ndarray, probability: np.ndarray, cost: Cost, points: int = 200) -> dict:
    """ROC, precision-recall and cost by threshold, thinned out to so many points."""
    level = Levels(labels, probability)
    missed, alarms = level.counts()
    faulty, sound = level.faulty.sum(), level.sound.sum()
    found = faulty - missed
    flagged = found + alarms
    by_row = np.linspace(0, len(missed) - 1, points)
    by_fault = np.searchsorted(missed, np.linspace(0, faulty, points))
    at = np.unique(np.concatenate([by_row, by_fault, np.arange(len(missed))[-points:]]).astype(int).clip(0, len(missed) - 1))
    last = np.concatenate([level.levels, [1.0]])
    return {
        "roc": [[float(alarms[i] / sound), float(found[i] / faulty)] for i in at],
        "pr": [[float(found[i] / faulty), float(found[i] / flagged[i])] for i in at if flagged[i] > 0],
        "cost": [[float(last[i]), float(1000 * cost.of(missed[i], alarms[i]) / len(labels)), float(cost.error(missed[i], alarms[i], len(labels)))] for i in at],
    }


def rounded(value):
    """Floats with six digits, so that the last bits of a sum are in no file."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value
