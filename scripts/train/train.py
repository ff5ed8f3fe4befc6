"""Trains a model of faults: train.py DATA OUT [-cost-miss 500] [-cost-false 10] [-search N] [-tests N] [-by NAME] [-label NAME] [-separator CHARACTER] [-drop NAMES] [--name NAME] [--other DATA]

DATA is a CSV table, plain or compressed by gzip, with commas, semicolons or tabs: a header, which lines without one may
precede (the licence text of the UCI APS file), a column "class" or -label (neg or 0, pos or 1, or true and false) and one
column of numbers per sensor, besides those of -drop; na, nan, an empty field and what else pandas takes for it are missing
readings and stay missing. OUT gets

  model.ubj    the model, with the sensors' names and the attributes edgepdm.threshold and edgepdm.name
  golden.csv   rows with the margins that XGBoost gives them: what any other scorer must reproduce
  report.md, report.json, report.html  how good the model is

Settings are searched by cross-validation, the threshold is the one that costs least, and the delivered model has learned from
all rows. How good it is comes from -tests: the whole training, search and threshold included, is done again without a fifth of
the rows, and those are scored. With -by NAME rows of one machine, which that column names, are never on both sides.

In SageMaker's XGBoost container (script mode) there is no DATA and OUT: the channel train has one table, the model and its
golden rows go to SM_MODEL_DIR, the reports to SM_OUTPUT_DATA_DIR.

Equal data give equal bytes, on any machine with the pinned packages.
"""

from __future__ import annotations

import argparse
import json
import os

import golden
import measure
import numpy as np
import pages
import report
import table
from learn import FOLDS, SEED, Learned, Learner, Rows, margins
from measure import Cost
from progress import Progress
from table import fail, say

SEARCH, TESTS = 3, FOLDS
LARGE = 20_000  # rows: a larger table is tested once, unless -tests says otherwise


def read(path: str, args, by: str | None) -> tuple[Rows, str]:
    """Returns the rows, and the hash of the table's text."""
    with table.readable(path):
        data = table.Table(path, args.label, args.separator, args.drop, by=by)
    values = np.array(data.values, dtype=np.float32).reshape(len(data.labels), len(data.names))
    rows = Rows(data.names, values, np.array(data.labels, dtype=np.int8), np.array(data.machines))
    if by:
        faulty, all_of = len(np.unique(rows.machine[rows.labels == 1])), len(np.unique(rows.machine))
        if faulty < FOLDS or all_of - faulty < FOLDS:
            fail(f"{path}: of {all_of} machines {faulty} have faulty rows; there must be {FOLDS} with and {FOLDS} without")
    return rows, data.digest.hexdigest()


class Tests:
    """The whole training again without some of the rows, and what it makes of those."""

    def __init__(self, learner: Learner, rows: Rows, count: int):
        self.parts: list[dict] = []
        labels, probability, calibrated, flagged = [], [], [], []
        fold = rows.folds(FOLDS, np.random.Generator(np.random.PCG64([learner.seed, 6])))
        for k in range(count):
            learned, unseen = learner.learn(rows.part(fold != k)), rows.part(fold == k)
            told = learned.probability(unseen.values)
            labels.append(unseen.labels)
            probability.append(told)
            calibrated.append(self._calibrated(learned, unseen))
            flagged.append(measure.is_flagged(told, learned.threshold))
            self.parts.append({"rows": len(unseen), "faulty": int(unseen.labels.sum()), "settings": learned.settings.text(), "rounds": learned.rounds}
                              | measure.figures(unseen.labels, told, learned.threshold, learner.cost) | measure.ranking(unseen.labels, told))
        self.labels, self.probability = np.concatenate(labels), np.concatenate(probability)
        self.calibrated, self.flagged = np.concatenate(calibrated), np.concatenate(flagged)

    @staticmethod
    def _calibrated(learned: Learned, rows: Rows) -> np.ndarray:
        return measure.sigmoid(learned.calibration.logit(margins(learned.booster, rows.values)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Trains a model of faults.")
    parser.add_argument("data", metavar="DATA", nargs="?", help="labelled CSV table, .gz if compressed")
    parser.add_argument("out", metavar="OUT", nargs="?", help="folder for model.ubj, golden.csv and the reports")
    table.add_arguments(parser)
    table.add_costs(parser)
    parser.add_argument("-search", "--search", metavar="N", type=int, default=SEARCH, help=f"try so many settings (default: {SEARCH})")
    parser.add_argument("-tests", "--tests", metavar="N", type=int, help=f"train so many times more to test, 1 to {FOLDS} (default: {TESTS}; 1 with more than {LARGE:,} rows)")
    parser.add_argument("-seed", "--seed", metavar="N", type=int, default=SEED, help=f"of all that is random (default: {SEED})")
    parser.add_argument("-name", "--name", help="the model's name (default: DATA without folder and extension)")
    parser.add_argument("-other", "--other", metavar="DATA", help="a second table, of other machines, to test the model on")
    args = parser.parse_args()
    if args.data is None and "SM_CHANNEL_TRAIN" in os.environ:
        args.data = only_file(os.environ["SM_CHANNEL_TRAIN"])
        args.out, args.reports = os.environ["SM_MODEL_DIR"], os.environ.get("SM_OUTPUT_DATA_DIR") or os.environ["SM_MODEL_DIR"]
    elif args.data is None or args.out is None:
        parser.error("DATA and OUT are required")
    else:
        args.reports = args.out
    if args.seed < 0:
        parser.error("-seed: at least 0")
    if args.search < 1:
        parser.error("-search: at least 1")
    if args.tests is not None and not 1 <= args.tests <= FOLDS:
        parser.error(f"-tests: 1 to {FOLDS}")
    return args


def only_file(folder: str) -> str:
    files = sorted(name for name in os.listdir(folder) if not name.startswith(".")) if os.path.isdir(folder) else []
    if len(files) != 1:
        fail(f"the channel train ({folder}) has {len(files)} files, need one table")
    return os.path.join(folder, files[0])


def main():
    args = arguments()
    cost = Cost(args.cost_miss, args.cost_false)
    name = args.name or os.path.basename(args.data).removesuffix(".gz").removesuffix(".csv")
    rows, digest = read(args.data, args, args.by)
    other = read(args.other, args, args.by) if args.other else None
    if other and other[0].names != rows.names:
        fail(f"{args.other}: its columns are not those of {args.data}")
    say(f"{args.data}: {len(rows):,} rows of {len(rows.names)} sensors, {rows.labels.sum():,} of class pos")
    tests = args.tests or (1 if len(rows) > LARGE else TESTS)
    for folder in (args.out, args.reports):
        with table.readable(folder):
            os.makedirs(folder, exist_ok=True)

    progress = Progress(0)
    learner = Learner(cost, args.search, args.seed, progress)
    progress.parts = learner.models() * (1 + tests)
    learned = learner.learn(rows)
    unseen = Tests(learner, rows, tests)
    progress.close()
    learned.booster.set_attr(**{"edgepdm.threshold": f"{learned.threshold:g}", "edgepdm.name": name})
    with table.readable(args.out):
        size = golden.write(args.out, learned.booster, rows, np.random.Generator(np.random.PCG64([args.seed, 7])))
    facts = report.facts(name, rows, digest, learned, unseen, other, cost, size, args.by, args.seed)
    with table.readable(args.reports):
        table.write(os.path.join(args.reports, "report.json"), json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
        table.write(os.path.join(args.reports, "report.md"), report.markdown(facts))
        table.write(os.path.join(args.reports, "report.html"), pages.page(facts))
    told = facts["unseen"]
    print(f"{name}: cost {told['cost_per_1000']:,.0f} ± {2 * told['cost_error']:,.0f} per 1,000 unseen rows, {told['found']:,} of {told['faulty']:,} faults found, "
          f"AUC {told['auc']:.4f}, threshold {learned.threshold:g}; see {os.path.join(args.reports, 'report.html')}")


if __name__ == "__main__":
    main()
