"""The model's file and its golden rows: rows with the margins that XGBoost gives them, which any other scorer must reproduce."""

from __future__ import annotations

import csv
import os

import numpy as np
import xgboost as xgb
from learn import Rows, margins
from table import fail

ROWS, FAULTY = 24, 8


def chosen(rows: Rows, rng: np.random.Generator) -> np.ndarray:
    """Picks rows of all kinds: faulty ones, those with most missing readings, any."""
    faulty = rng.permutation(np.flatnonzero(rows.labels == 1))[:FAULTY]
    gaps = np.argsort(-np.isnan(rows.values).sum(axis=1), kind="stable")[:FAULTY]
    some = list(dict.fromkeys([*faulty, *gaps, *rng.permutation(len(rows))]))
    return np.sort(np.array(some[:ROWS]))


def write(out: str, booster: xgb.Booster, rows: Rows, rng: np.random.Generator) -> int:
    """Writes model.ubj and golden.csv, proves that they give what was written, and returns the model's size."""
    model, golden = os.path.join(out, "model.ubj"), os.path.join(out, "golden.csv")
    booster.save_model(model)
    values = rows.values[chosen(rows, rng)]
    told = margins(booster, values)
    with open(golden, "w", encoding="utf-8", newline="\n") as f:
        csv.writer(f, lineterminator="\n").writerow(["margin", *rows.names])
        for margin, row in zip(told, values):
            f.write(",".join(f"{v:.9g}" for v in [margin, *row]) + "\n")
    with open(golden, encoding="utf-8", newline="") as f:
        again = np.array(list(csv.reader(f))[1:], dtype=np.float32)
    if not (np.array_equal(again[:, 0], told) and np.array_equal(margins(xgb.Booster(model_file=model), again[:, 1:]), told)):
        fail("the model read back gives other margins than the one trained")
    return os.path.getsize(model)
