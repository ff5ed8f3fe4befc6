"""Trains a model of remaining life: life.py DATA OUT --engine PROGRAM [-spec FILE] [-cap LIFE] [-learned LIFE] [-coverage SHARE] [-rounds N] [columns' flags]

DATA is a table of rows of machines that wear out, plain or compressed by gzip, in one of two forms:

  C-MAPSS as NASA publishes it, 26 columns between spaces without a header: unit, cycle, three settings, 21 sensors
  CSV with a header: a column thing, numbers of sensors, and maybe seq, ts and remaining_UNIT, such as remaining_hours

Without a column of remaining life each machine runs to its failure, which is its last row. A row whose remaining life is
missing is in the windows of the rows after it, but nothing is learned of it.

The inputs are statistics of the sensors over the last rows, made by the program's command features, which computes them as a
device does. The model tells three quantiles of the remaining life up to -cap. What it lacks to cover the share that it
promises is measured on machines that a model has not seen (conformal prediction; each machine counts equally). OUT gets

  model.ubj    the model
  golden.csv   rows with the outputs that XGBoost gives them
  inputs.json  of which sensors over how many rows its inputs are
  life.json    unit, cap, coverage and margin
  report.json, report.md  how good it is on machines that it has not seen

Equal data give equal bytes, on any machine with the pinned packages.
"""

import argparse
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import lifetable
import numpy as np
import xgboost as xgb
from lifetable import AGE, CMAPSS, FOLDS
from measure import rounded
from progress import Progress
from table import fail, plain_name

SEED = 1234
REPEATS = 2  # of the cross-validation, each with other folds
CAP_AT = 0.6  # the share of all rows with less remaining life than the cap, unless it is given
CMAPSS_CAP = 125  # as everybody has it
REACH = 1.2  # rows with up to so many caps of remaining life count in calibration and report
ROWS = 20_000  # more rows of the table are thinned out for training
MOST_SENSORS = 24  # of the model; from more, those with the most gain are taken
MEAN_ROWS, SLOPE_ROWS = 20, 200
GOLDEN_ROWS = 24
DRAWS = 200  # of one row of each machine
ROUNDS = 150
PARAMETERS = {
    "objective": "reg:quantileerror",
    "max_depth": 4,
    "eta": 0.1,  # with ROUNDS; with fewer it is so much larger
    "min_child_weight": 20,
    "subsample": 0.7,
    "colsample_bytree": 0.8,
    "seed": SEED,
    "nthread": 1,  # float sums depend on how threads share the work
}


def default_spec(sensors):
    inputs = []
    for sensor in sensors:
        if sensor == AGE:
            inputs.append({"sensor": sensor, "stat": "last"})
        else:
            inputs += [{"sensor": sensor, "stat": "mean", "rows": MEAN_ROWS}, {"sensor": sensor, "stat": "slope", "rows": SLOPE_ROWS}]
    return {"sensors": sensors, "inputs": inputs}


class Windows:
    """The model's inputs of all rows, made by the Go program."""

    def __init__(self, lives, spec, engine):
        with tempfile.TemporaryDirectory() as folder:
            path, rows, table = (os.path.join(folder, name) for name in ("spec.json", "rows", "table.csv"))
            if spec is None:
                spec = path
                with open(path, "w", encoding="utf-8") as f:
                    json.dump(default_spec([plain_name(name) for name in lives.sensors]), f)
            self.spec = json.loads(run(engine, ["features", "-expand", "-spec", spec]))
            with lives.opener(lives.path, "rb") as source, open(rows, "wb") as target:
                shutil.copyfileobj(source, target)
            with open(rows, "rb") as source, open(table, "wb") as target:
                run(engine, ["features", "-spec", spec, *lives.flags()], source, target)
            with open(table, encoding="utf-8") as f:
                f.readline()
                self.values = np.loadtxt(f, delimiter=",", dtype=np.float32, ndmin=2, comments=None)
        if len(self.values) != len(lives.machine):
            fail(f"{lives.path}: {len(lives.machine)} rows, but inputs of {len(self.values)}")
        self.names = [name_of(entry) for entry in self.spec["inputs"]]


def run(engine, args, source=subprocess.DEVNULL, target=subprocess.PIPE):
    done = subprocess.run([engine, *args], stdin=source, stdout=target, stderr=subprocess.PIPE, check=False)
    told = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode:
        fail(told.removeprefix("inference-engine: "))
    if told:
        print(f"train: {told}", file=sys.stderr)
    return done.stdout


def name_of(entry):
    """The feature's name, as window.Input has it."""
    if entry["stat"] == "last":
        return entry["sensor"]
    return f"{entry['sensor']}_{entry['stat']}_{entry.get('rows') or entry.get('time')}"


class Trainer:
    """Trains models on some of the machines. What it chooses, it chooses by those machines alone."""

    def __init__(self, windows, life, quantiles, rounds):
        self.rounds, self.parameters = rounds, PARAMETERS | {"eta": round(PARAMETERS["eta"] * ROUNDS / rounds, 3)}
        self.names, self.sensors = windows.names, [entry["sensor"] for entry in windows.spec["inputs"]]
        self.values, self.life, self.quantiles = windows.values, life, quantiles

    def fit(self, inside):
        """Returns a model and its inputs. inside has the rows that it may see."""
        rows = np.flatnonzero(inside & ~np.isnan(self.life))
        rows = rows[:: max(1, -(-len(rows) // ROWS))]
        inputs = self.chosen(rows)
        return self.train(rows, inputs, self.rounds, self.quantiles), inputs

    def train(self, rows, inputs, rounds, quantiles):
        names = [self.names[i] for i in inputs]
        data = xgb.QuantileDMatrix(self.values[np.ix_(rows, inputs)], label=self.life[rows], feature_names=names, nthread=1)
        return xgb.train(self.parameters | {"quantile_alpha": quantiles}, data, num_boost_round=rounds)

    def chosen(self, rows):
        """Leaves out what never varies, and of many sensors those that tell little."""
        values = self.values[rows]
        known = ~np.all(np.isnan(values), axis=0)
        inputs = [i for i in np.flatnonzero(known) if np.nanmin(values[:, i]) < np.nanmax(values[:, i])]
        if not inputs:
            fail("no sensor varies")
        if len({self.sensors[i] for i in inputs}) <= MOST_SENSORS:
            return inputs
        gain = dict.fromkeys(self.sensors, 0.0)
        booster = self.train(rows, inputs, -(-self.rounds // 3), [0.5])
        place = {name: i for i, name in enumerate(self.names)}
        for name, value in booster.get_score(importance_type="total_gain").items():
            gain[self.sensors[place[name]]] += value
        best = set(sorted(gain, key=lambda sensor: -gain[sensor])[:MOST_SENSORS])
        return [i for i in inputs if self.sensors[i] in best]

    def predict(self, booster, inputs, rows):
        """Returns the three outputs of each row, in order."""
        names = [self.names[i] for i in inputs]
        data = xgb.DMatrix(self.values[np.ix_(rows, inputs)], feature_names=names, nthread=1)
        return booster.predict(data)


def share_by_machine(machine, rows):
    """Weights with which each machine counts equally."""
    return 1 / np.bincount(machine[rows])[machine[rows]]


def quantile(values, weights, share):
    """The smallest value that so much of the weight does not exceed."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    at = np.searchsorted(reached, share * reached[-1] * (1 - 1e-12))
    return float(values[order[min(at, len(order) - 1)]])


class Folds:
    """One cross-validation by machine: outputs of all rows from models that have not seen their machine."""

    def __init__(self, trainer, machine, count, rng, progress):
        self.fold = np.empty(count, dtype=int)
        self.fold[rng.permutation(count)] = np.arange(count) % FOLDS
        self.fold = self.fold[machine]
        self.outputs = np.empty((len(machine), 3), dtype=np.float64)
        for k in range(FOLDS):
            progress.say(f"validating on fold {k + 1}")
            held_out = self.fold == k
            booster, inputs = trainer.fit(~held_out)
            self.outputs[held_out] = np.sort(trainer.predict(booster, inputs, np.flatnonzero(held_out)), axis=1)
            progress.step()


class Calibration:
    """What cross-validations say: the margin, and how good the interval is on machines that a model has not seen."""

    def __init__(self, all_folds, machine, life, known, args):
        self.cap, self.coverage = args.cap, args.coverage
        self.rows = np.flatnonzero(known & (life <= REACH * args.cap))
        self.machine, self.truth = machine[self.rows], np.minimum(life[self.rows], args.cap)
        self.weights = share_by_machine(machine, self.rows)
        self.all = [(folds.fold[self.rows], folds.outputs[self.rows]) for folds in all_folds]
        scores = [self.scores(outputs) for _, outputs in self.all]
        # The delivered model has seen more machines than each fold's, which outweighs that n machines stand for n + 1.
        self.margin = quantile(np.concatenate(scores), np.tile(self.weights, len(scores)), args.coverage)

    def scores(self, outputs):
        """How far the truth is outside of the interval; below 0 inside. What is told is never above the cap, nor above the truth there."""
        return np.maximum(np.where(self.truth < self.cap, outputs[:, 0] - self.truth, -np.inf), self.truth - outputs[:, 2])

    def intervals(self):
        """Yields low, median and high of each repeat. The margin of a fold is that of the other folds."""
        for fold, outputs in self.all:
            scores, margin = self.scores(outputs), np.empty(len(fold))
            for k in range(FOLDS):
                others = fold != k
                margin[~others] = quantile(scores[others], self.weights[others], self.coverage)
            median = np.clip(outputs[:, 1], 0, self.cap)
            low = np.minimum(np.clip(outputs[:, 0] - margin, 0, self.cap), median)
            high = np.maximum(np.clip(outputs[:, 2] + margin, 0, self.cap), median)
            yield low, median, high

    def measure(self, interval, rows, weights=None):
        low, median, high = (side[rows] for side in interval)
        truth = self.truth[rows]
        return {
            "coverage": float(np.average((low <= truth) & (truth <= high), weights=weights)),
            "width": float(np.average(high - low, weights=weights)),
            "rmse": float(np.sqrt(np.average((median - truth) ** 2, weights=weights))),
        }

    def overall(self):
        """Figures of all rows, each machine counting equally, for each repeat."""
        return [self.measure(interval, slice(None), self.weights) for interval in self.intervals()]

    def drawn(self, rng):
        """Figures of one row of each machine, drawn at random, as when a fleet is looked at once; many times."""
        of = [np.flatnonzero(self.machine == m) for m in np.unique(self.machine)]
        intervals = list(self.intervals())
        return [self.measure(intervals[i % len(intervals)], np.array([rng.choice(rows) for rows in of])) for i in range(DRAWS)]

    def bands(self):
        """Figures by remaining life."""
        edges = [0, *(round(self.cap * part, 1) for part in (0.1, 0.2, 0.4, 0.6, 0.8)), self.cap, np.inf]
        intervals = list(self.intervals())
        for low, high in zip(edges, edges[1:]):
            inside = np.flatnonzero((self.truth >= low) & (self.truth < high))
            if len(inside) == 0:
                continue
            measured = [self.measure(interval, inside, self.weights[inside]) for interval in intervals]
            yield {"from": low, "to": None if np.isinf(high) else high, "rows": len(inside), "machines": len(np.unique(self.machine[inside]))} | mean_of(measured)


def mean_of(figures):
    return {key: float(np.mean([figure[key] for figure in figures])) for key in figures[0]}


def spread_of(figures):
    return {key: {"mean": float(np.mean(values)), "sd": float(np.std(values)), "p5": float(np.quantile(values, 0.05)), "p95": float(np.quantile(values, 0.95))}
            for key in figures[0] for values in [[figure[key] for figure in figures]]}


def spec_of(windows, inputs):
    """The spec of the inputs that the model has."""
    entries = [windows.spec["inputs"][i] for i in inputs]
    used = {entry["sensor"] for entry in entries}
    return windows.spec | {"sensors": [name for name in windows.spec["sensors"] if name in used], "inputs": entries}


def window_bytes(spec):
    """About what the rows of one machine take on a device; window.Spec.Bytes is exact."""
    windows = [entry for entry in spec["inputs"] if entry["stat"] != "last"]
    return max((entry.get("rows", 0) for entry in windows), default=0) * (4 * len({entry["sensor"] for entry in windows}) + 8) * 9 // 8


def write_golden(out, booster, trainer, inputs, rows):
    """Writes rows with their outputs, and proves that the files give what they were written from."""
    names = [trainer.names[i] for i in inputs]
    outputs = trainer.predict(booster, inputs, rows)
    path = os.path.join(out, "golden.csv")
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        csv.writer(f, lineterminator="\n").writerow(["margin-0", "margin-1", "margin-2", *names])
        for row, told in zip(rows, outputs):
            f.write(",".join(f"{value:.9g}" for value in [*told, *trainer.values[row, inputs]]) + "\n")
    with open(path, encoding="utf-8", newline="") as f:
        again = np.array(list(csv.reader(f))[1:], dtype=np.float32)
    fresh = xgb.Booster(model_file=os.path.join(out, "model.ubj"))
    if not np.array_equal(again[:, :3], outputs) or not np.array_equal(fresh.predict(xgb.DMatrix(again[:, 3:], feature_names=names, nthread=1)), outputs):
        fail("the model read back gives other outputs than the one trained")


def write_json(path, value):
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        json.dump(value, f, indent=1, ensure_ascii=False)
        f.write("\n")


def figures_row(name, figures):
    return f"| {name} | {figures['coverage']:.1%} | {figures['width']:.1f} | {figures['rmse']:.2f} |"


def report_text(report):
    unit, drawn = report["unit"], report["one row of each machine"]
    settings = ", ".join(f"{key} {value}" for key, value in report["parameters"].items())
    bands = [figures_row(f"{band['from']:g} to {band['to']:g}" if band["to"] else f"{band['from']:g} and more", band) for band in report["by remaining life"]]
    return "\n".join([
        f"# Training report: {report['name']}",
        "",
        f"Remaining life in {unit}, trained by `scripts/train/life.py` with XGBoost {report['xgboost']}: {settings}, num_round {report['rounds']}, "
        f"quantiles {', '.join(f'{q:g}' for q in report['quantiles'])}. {report['inputs']} inputs over time of {report['sensors']} sensors. The model has {report['bytes']:,} bytes; "
        f"the rows of one machine that a device keeps for it take about {report['window bytes']:,}.",
        "",
        f"{report['rows']:,} rows of {report['machines']:,} machines; SHA-256 of the table `{report['sha256']}`. A remaining life above {report['learned']:g} counts as {report['learned']:g}; the model "
        f"tells none above {report['cap']:g}. At a nominal coverage of {report['coverage']:.0%} the margin is {report['margin']:g} {unit}.",
        "",
        "## Quality on machines that a model has not seen",
        "",
        f"{FOLDS} folds by machine, {REPEATS} times with other folds; model, sensors and margin of a fold are chosen without its machines. Rows with up to {REACH * report['cap']:g} {unit} "
        "of remaining life; each machine counts equally. The delivered model has seen all machines.",
        "",
        f"| | coverage | mean width, {unit} | RMSE of the median, {unit} |",
        "|---|---|---|---|",
        *(figures_row(f"folds {i + 1}", figures) for i, figures in enumerate(report["repeats"])),
        "",
        f"One row of each machine at random, {DRAWS} times, as when a fleet is looked at once:",
        "",
        "| | mean | standard deviation | 5 % | 95 % |",
        "|---|---|---|---|---|",
        *(f"| {label} | {figures['mean']:.3g} | {figures['sd']:.2g} | {figures['p5']:.3g} | {figures['p95']:.3g} |"
          for label, figures in (("coverage", drawn["coverage"]), (f"mean width, {unit}", drawn["width"]), (f"RMSE of the median, {unit}", drawn["rmse"]))),
        "",
        f"| remaining life, {unit} | coverage | mean width | RMSE |",
        "|---|---|---|---|",
        *bands,
        "",
        "## Inputs that matter most",
        "",
        "| input | mean gain of its splits |",
        "|---|---|",
        *(f"| {name} | {gain:.1f} |" for name, gain in report["gain"]),
        "",
    ])


def parse():
    parser = argparse.ArgumentParser(description="Trains a model of remaining life.")
    parser.add_argument("data", metavar="DATA", help="table of machines that wear out, .gz if compressed")
    parser.add_argument("out", metavar="OUT", help="directory for the model and its report")
    parser.add_argument("--engine", required=True, metavar="PROGRAM", help="inference-engine, which makes the inputs")
    parser.add_argument("-spec", "--spec", metavar="FILE", help=f"inputs over time (default: mean of {MEAN_ROWS} rows and slope of {SLOPE_ROWS} of each sensor)")
    parser.add_argument("-cap", "--cap", type=float, help="the longest life that is told (default: 60 %% of the rows have less; 125 for C-MAPSS)")
    parser.add_argument("-learned", "--learned", type=float, help="the longest life that is learned of, somewhat above the cap where many rows are beyond it: what is predicted for those reaches the cap then (default: the cap)")
    parser.add_argument("-rounds", "--rounds", type=int, default=ROUNDS, help=f"trees of each quantile; fewer make a smaller model, which learns in larger steps (default: {ROUNDS})")
    parser.add_argument("-coverage", "--coverage", type=float, default=0.9, help="share of machines whose life is within the interval (default: 0.9)")
    lifetable.add_arguments(parser)
    args = parser.parse_args()
    if not 0.5 <= args.coverage <= 0.99:
        fail(f"-coverage is {args.coverage:g}; it must be from 0.5 to 0.99")
    if args.cap is not None and not 0 < args.cap <= 1e9:
        fail(f"-cap is {args.cap:g}; it must be above 0")
    if args.learned is not None and not (args.cap is not None and args.cap <= args.learned <= 1e9):
        fail(f"-learned is {args.learned:g}; it must not be below -cap, which must be given")
    if not ROUNDS // 10 <= args.rounds <= 10 * ROUNDS:
        fail(f"-rounds is {args.rounds}; it must be from {ROUNDS // 10} to {10 * ROUNDS}")
    return args


def main():
    args = parse()
    lives = lifetable.read(args.data, args)
    name = re.sub(r"[^A-Za-z0-9._-]", "-", re.sub(r"(\.csv|\.txt)?(\.gz)?$", "", os.path.basename(args.data))).lstrip("._-")[:64] or "life"
    machine, life = np.array(lives.machine), np.array(lives.life)
    if args.cap is None:
        args.cap = float(CMAPSS_CAP if lives.names is CMAPSS else f"{np.nanquantile(life, CAP_AT):.2g}")
    if not args.cap > 0:
        fail(f"{args.data}: most rows have no remaining life left; set -cap")
    known, count = ~np.isnan(life), len(lives.things)
    if near := count - len(np.unique(machine[known & (life <= args.cap)])):
        fail(f"{args.data}: {near} machines have no row with a remaining life of up to {args.cap:g} {lives.unit}: too far from a failure to learn from; leave them out, or set -cap")
    progress = Progress(REPEATS * FOLDS + 1)
    progress.say("making the inputs")
    windows = Windows(lives, args.spec, args.engine)
    rng = np.random.Generator(np.random.PCG64(SEED))
    quantiles = [round(q, 6) for q in ((1 - args.coverage) / 2, 0.5, (1 + args.coverage) / 2)]
    trainer = Trainer(windows, np.minimum(life, args.learned or args.cap), quantiles, args.rounds)
    calibration = Calibration([Folds(trainer, machine, count, rng, progress) for _ in range(REPEATS)], machine, life, known, args)
    progress.say("training on all machines")
    booster, inputs = trainer.fit(np.ones(len(life), dtype=bool))
    progress.close()
    booster.set_attr(**{"edgepdm.name": name})

    os.makedirs(args.out, exist_ok=True)
    path = os.path.join(args.out, "model.ubj")
    booster.save_model(path)
    write_golden(args.out, booster, trainer, inputs, np.sort(rng.permutation(len(life))[:GOLDEN_ROWS]))
    spec = spec_of(windows, inputs)
    write_json(os.path.join(args.out, "inputs.json"), spec)
    scale = {"unit": lives.unit, "cap": args.cap, "coverage": args.coverage, "margin": float(f"{calibration.margin:.6g}")}
    write_json(os.path.join(args.out, "life.json"), scale)
    gain = sorted(booster.get_score(importance_type="gain").items(), key=lambda item: (-item[1], item[0]))
    report = rounded({
        "name": name, **scale, "learned": args.learned or args.cap, "parameters": trainer.parameters, "rounds": trainer.rounds,
        "xgboost": xgb.__version__, "quantiles": quantiles, "sensors": len(spec["sensors"]), "inputs": len(inputs),
        "bytes": os.path.getsize(path), "window bytes": window_bytes(spec), "rows": len(life), "machines": count, "sha256": lives.digest.hexdigest(),
        "repeats": calibration.overall(), "one row of each machine": spread_of(calibration.drawn(rng)), "by remaining life": list(calibration.bands()),
        "gain": [list(item) for item in gain[:10]],
    })
    write_json(os.path.join(args.out, "report.json"), report)
    with open(os.path.join(args.out, "report.md"), "w", encoding="utf-8", newline="\n") as f:
        f.write(report_text(report))
    told = mean_of(report["repeats"])
    print(f"{name}: coverage {told['coverage']:.1%}, mean width {told['width']:.1f} {lives.unit}, RMSE {told['rmse']:.2f} on machines that a model has not seen; "
          f"see {os.path.join(args.out, 'report.md')}")


if __name__ == "__main__":
    main()
