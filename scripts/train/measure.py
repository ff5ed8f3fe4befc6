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
    }


def ranking(labels: np.ndarray, probability: np.ndarray) -> dict:
    """What does not depend on a threshold."""
    return {
        "auc": roc_auc(labels, probability),
        "average_precision": average_precision(labels, probability),
        "brier": brier(labels, probability),
    }


def rounded(value):
    """Floats with six digits, so that the last bits of a sum are in no file."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value
