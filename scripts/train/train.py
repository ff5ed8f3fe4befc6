"""Trains the model with the workshop's hyper-parameters: train.py DATA OUT [-label NAME] [-separator CHARACTER] [-drop NAMES] [--name NAME] [--other DATA]

DATA is a CSV table, plain or compressed by gzip, with commas, semicolons or tabs: a header, which lines without one may
precede (the licence text of the UCI APS file), a column "class" or -label (neg or 0, pos or 1, or true and false) and one
column of numbers per sensor, besides those of -drop; na, nan, an empty field and what else pandas takes for it are missing
readings and stay missing. OUT gets

  model.ubj   the model, with the sensors' names and the attributes edgepdm.threshold and edgepdm.name
  golden.csv  held-out rows with the margins that XGBoost gives them: what any other scorer must reproduce
  report.md   how good the model is

Equal data give equal bytes, on any machine with the pinned packages.
"""

import argparse
import csv
import os

import numpy as np
import table
import xgboost as xgb
from table import FOLDS, add_arguments, fail

SEED = 1234
HELD_OUT = 0.2
FALSE_ALARM, MISSED_FAULT = 10, 500  # cost of one
GOLDEN_ROWS, GOLDEN_FAULTY = 24, 8
ROUNDS = 100
PARAMETERS = {
    "objective": "binary:logistic",
    "max_depth": 5,
    "eta": 0.2,
    "gamma": 4,
    "min_child_weight": 6,
    "subsample": 0.8,
    "seed": SEED,
    "nthread": 1,  # float sums depend on how threads share the work
}


class Table:
    """What a data file holds, as numpy's arrays."""

    def __init__(self, path, args):
        data = table.Table(path, args.label, args.separator, args.drop)
        self.digest, self.names = data.digest, data.names
        self.labels = np.array(data.labels, dtype=np.int8)
        self.values = np.array(data.values, dtype=np.float32).reshape(len(data.labels), len(data.names))


def shuffled_by_class(labels, rng):
    """Yields the row numbers of each class, in random order."""
    for label in (0, 1):
        yield rng.permutation(np.flatnonzero(labels == label))


def split(labels, rng):
    """Returns the row numbers for training and those held out, each with the same share of faulty rows."""
    train, test = [], []
    for rows in shuffled_by_class(labels, rng):
        cut = round(len(rows) * HELD_OUT)
        test.append(rows[:cut])
        train.append(rows[cut:])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(test))


def fit(values, labels, names):
    data = xgb.DMatrix(values, label=labels, feature_names=names, nthread=1)
    return xgb.train(PARAMETERS, data, num_boost_round=ROUNDS)


def score(booster, values, names, margin=False):
    return booster.predict(xgb.DMatrix(values, feature_names=names, nthread=1), output_margin=margin)


def cost(labels, flagged):
    false_alarms = int(np.count_nonzero(flagged & (labels == 0)))
    missed = int(np.count_nonzero(~flagged & (labels == 1)))
    return FALSE_ALARM * false_alarms + MISSED_FAULT * missed


def cross_validated(values, labels, names, rng):
    """Returns for each row the probability that a model gives which has not seen it."""
    fold = np.empty(len(labels), dtype=int)
    for rows in shuffled_by_class(labels, rng):
        fold[rows] = np.arange(len(rows)) % FOLDS
    probability = np.empty(len(labels), dtype=np.float32)
    for k in range(FOLDS):
        inside = fold == k
        probability[inside] = score(fit(values[~inside], labels[~inside], names), values[inside], names)
    return probability


def cheapest_threshold(labels, probability):
    """Returns the threshold with the lowest cost, in the middle between two scores so that neither is close to it."""
    levels, counts = np.unique(probability, return_inverse=True)
    faulty = np.bincount(counts, weights=labels == 1, minlength=len(levels))
    sound = np.bincount(counts, weights=labels == 0, minlength=len(levels))
    missed = np.concatenate([[0], np.cumsum(faulty)])[:-1]  # by flagging from levels[i] on
    alarms = np.cumsum(sound[::-1])[::-1]
    best = int(np.argmin(MISSED_FAULT * missed + FALSE_ALARM * alarms))
    below = levels[best - 1] if best > 0 else 0
    return float(f"{(float(below) + float(levels[best])) / 2:.6g}")


def roc_auc(labels, probability):
    """The probability that a faulty row scores above a sound one; a tie counts half."""
    levels, at = np.unique(probability, return_inverse=True)
    faulty = np.bincount(at, weights=labels == 1, minlength=len(levels))
    sound = np.bincount(at, weights=labels == 0, minlength=len(levels))
    below = np.cumsum(sound) - sound
    return float(np.sum(faulty * (below + sound / 2)) / (faulty.sum() * sound.sum()))


def average_precision(labels, probability):
    levels, at = np.unique(-probability, return_inverse=True)
    faulty = np.bincount(at, weights=labels == 1, minlength=len(levels))
    flagged = np.cumsum(np.bincount(at, minlength=len(levels)))
    return float(np.sum(faulty * np.cumsum(faulty) / flagged) / faulty.sum())


def golden_rows(values, labels, rng):
    """Picks held-out rows of all kinds: faulty ones, those with most missing readings, any."""
    faulty = rng.permutation(np.flatnonzero(labels == 1))[:GOLDEN_FAULTY]
    gaps = np.argsort(-np.isnan(values).sum(axis=1), kind="stable")[:GOLDEN_FAULTY]
    chosen = list(dict.fromkeys([*faulty, *gaps, *rng.permutation(len(labels))]))
    return np.sort(np.array(chosen[:GOLDEN_ROWS]))


def write_golden(path, booster, values, names):
    margins = score(booster, values, names, margin=True)
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        csv.writer(f, lineterminator="\n").writerow(["margin", *names])
        for margin, row in zip(margins, values):
            f.write(",".join(f"{v:.9g}" for v in [margin, *row]) + "\n")
    return margins


def check_files(model, golden, margins, names):
    """Proves that what was written gives what was written: a fresh booster, the rows as text."""
    booster = xgb.Booster(model_file=model)
    rows = np.loadtxt(golden, delimiter=",", skiprows=1, dtype=np.float32, ndmin=2)
    again = score(booster, rows[:, 1:], names, margin=True)
    if not (np.array_equal(rows[:, 0], margins) and np.array_equal(again, margins)):
        fail("the model read back gives other margins than the one trained")


def confusion(labels, probability, threshold):
    flagged = probability >= np.float32(threshold)
    true_alarms = int(np.count_nonzero(flagged & (labels == 1)))
    false_alarms = int(np.count_nonzero(flagged & (labels == 0)))
    missed = int(np.count_nonzero(~flagged & (labels == 1)))
    passed = len(labels) - true_alarms - false_alarms - missed
    precision = true_alarms / max(1, true_alarms + false_alarms)
    recall = true_alarms / (true_alarms + missed)
    return (f"| {threshold:g} | {true_alarms} | {missed} | {false_alarms} | {passed} | {precision:.3f} | {recall:.3f} "
            f"| {cost(labels, flagged):,} |")


def quality(labels, probability, threshold):
    return [
        f"AUC {roc_auc(labels, probability):.4f}, average precision {average_precision(labels, probability):.4f}.",
        "",
        "| threshold | faults found | faults missed | false alarms | sound passed | precision | recall | cost |",
        "|---|---|---|---|---|---|---|---|",
        confusion(labels, probability, 0.5),
        confusion(labels, probability, threshold),
        "",
    ]


def report(name, table, parts, other, booster, threshold, size):
    gain = sorted(booster.get_score(importance_type="gain").items(), key=lambda item: (-item[1], item[0]))
    balance = [f"| {part} | {len(rows):,} | {int(table.labels[rows].sum()):,} | {table.labels[rows].mean():.2%} |"
               for part, rows in parts.items()]
    settings = ", ".join(f"{key} {value}" for key, value in PARAMETERS.items())
    held_out = parts["held out"]
    text = [
        f"# Training report: {name}",
        "",
        f"Trained by `scripts/train/train.py` with XGBoost {xgb.__version__} and the workshop's parameters: {settings}, "
        f"num_round {ROUNDS}. A missing reading stays missing. The model has {size:,} bytes.",
        "",
        "## Data",
        "",
        f"{len(table.labels):,} rows of {len(table.names)} sensors, {np.isnan(table.values).mean():.2%} of the readings "
        f"missing; SHA-256 of the table `{table.digest.hexdigest()}`. Split at random by row, seed {SEED}, each part with "
        "the same share of faulty rows:",
        "",
        "| part | rows | faulty | share |",
        "|---|---|---|---|",
        *balance,
        "",
        f"Cost is {FALSE_ALARM} for a false alarm and {MISSED_FAULT} for a missed fault. The model's threshold, {threshold:g}, "
        f"is the cheapest in a {FOLDS}-fold cross-validation on the training part; 0.5 is what the workshop used.",
        "",
        "## Quality on the held-out rows",
        "",
        "Rows that are close in time can be in both parts, so this flatters.",
        "",
        *quality(table.labels[held_out], score(booster, table.values[held_out], table.names), threshold),
    ]
    if other:
        text += [
            "## Quality on other data",
            "",
            f"{len(other.labels):,} rows, {int(other.labels.sum()):,} faulty, that have no part in the training; SHA-256 of "
            f"the table `{other.digest.hexdigest()}`.",
            "",
            *quality(other.labels, score(booster, other.values, other.names), threshold),
        ]
    text += [
        "## Sensors that matter most",
        "",
        "| sensor | mean gain of its splits |",
        "|---|---|",
        *(f"| {sensor} | {value:.1f} |" for sensor, value in gain[:10]),
        "",
        f"{len(gain)} of the {len(table.names)} sensors are used.",
        "",
    ]
    return "\n".join(text)


def main():
    parser = argparse.ArgumentParser(description="Trains the model with the workshop's hyper-parameters.")
    parser.add_argument("data", metavar="DATA", help="labelled CSV table, .gz if compressed")
    parser.add_argument("out", metavar="OUT", help="directory for model.ubj, golden.csv and report.md")
    add_arguments(parser)
    parser.add_argument("--name", help="the model's name (default: DATA without folder and extension)")
    parser.add_argument("--other", metavar="DATA", help="a second table, of other machines, to test the model on")
    args = parser.parse_args()

    name = args.name or os.path.basename(args.data).removesuffix(".gz").removesuffix(".csv")
    table = Table(args.data, args)
    other = Table(args.other, args) if args.other else None
    if other and other.names != table.names:
        fail(f"{args.other}: its columns are not those of {args.data}")
    rng = np.random.Generator(np.random.PCG64(SEED))
    train, test = split(table.labels, rng)
    values, labels = table.values[train], table.labels[train]
    threshold = cheapest_threshold(labels, cross_validated(values, labels, table.names, rng))
    booster = fit(values, labels, table.names)
    booster.set_attr(**{"edgepdm.threshold": f"{threshold:g}", "edgepdm.name": name})

    os.makedirs(args.out, exist_ok=True)
    model, golden = os.path.join(args.out, "model.ubj"), os.path.join(args.out, "golden.csv")
    booster.save_model(model)
    held_out = table.values[test]
    shown = golden_rows(held_out, table.labels[test], rng)
    margins = write_golden(golden, booster, held_out[shown], table.names)
    check_files(model, golden, margins, table.names)
    text = report(name, table, {"training": train, "held out": test}, other, booster, threshold, os.path.getsize(model))
    with open(os.path.join(args.out, "report.md"), "w", encoding="utf-8", newline="\n") as f:
        f.write(text)
    auc = roc_auc(table.labels[test], score(booster, held_out, table.names))
    print(f"{name}: AUC {auc:.4f}, threshold {threshold:g}; see {os.path.join(args.out, 'report.md')}")


if __name__ == "__main__":
    main()
