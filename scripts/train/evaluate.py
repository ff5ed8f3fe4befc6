"""Compares two models on the same rows: evaluate.py -active MODEL -candidate MODEL -table FILE [-cost-miss 500] [-cost-false 10] -out DIR

A MODEL is a .ubj or .json, SageMaker's model.tar.gz, or the folder of a training or of a package; its threshold is the one
that is stored with it. FILE is a table as train.py takes it, with a column "class" or -label. OUT gets evaluation.json and
evaluation.md. What the candidate saves comes with an interval from a paired bootstrap: the same rows are drawn for both models,
or with -by thing the same machines, whose rows are alike. The candidate is better if the whole interval is below 0; the exit
code is 0 also when it is not. Equal files give equal bytes.
"""

from __future__ import annotations

import argparse
import json
import os

import measure
import numpy as np
import table
from measure import Cost
from modelfile import Model

SEED = 1234
DRAWS = 10_000
CONFIDENCE = 0.95
FEW = 20  # faulty rows: with fewer the interval means little


class Rows:
    """The table, with the columns that one of the models needs."""

    def __init__(self, args, models: list[Model]):
        named = all(model.names is not None for model in models)
        only = {name for model in models for name in model.names or []} if named else None
        data = table.Table(args.table, args.label, args.separator, args.drop, only=only, least=1, by=args.by)
        self.digest, self.names = data.digest.hexdigest(), data.names
        self.labels = np.array(data.labels, dtype=np.int8)
        self.values = np.array(data.values, dtype=np.float32).reshape(len(data.labels), len(data.names))
        self.machines = np.array(data.machines)

    def probability(self, model: Model, path: str) -> np.ndarray:
        return model.probability(np.ascontiguousarray(self.values[:, model.columns(self.names, path)]))


def bootstrap(difference: np.ndarray, machine: np.ndarray) -> tuple[float, float]:
    """The interval of the mean difference by row: machines are drawn with replacement."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    total, rows = np.bincount(machine, weights=difference), np.bincount(machine)
    kinds, counts = np.unique(np.column_stack([total, rows]), axis=0, return_counts=True)  # few, as a row costs one of few sums
    drawn = np.empty(DRAWS)
    for i in range(DRAWS):
        times = rng.multinomial(len(total), counts / len(total))
        drawn[i] = times @ kinds[:, 0] / (times @ kinds[:, 1])
    edge = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [edge, 1 - edge])
    return float(low), float(high)


def compare(args) -> dict:
    models = {"active": Model(args.active), "candidate": Model(args.candidate)}
    rows = Rows(args, list(models.values()))
    cost = Cost(args.cost_miss, args.cost_false)
    result: dict = {"rows": len(rows.labels), "faulty": int(rows.labels.sum()), "table_sha256": rows.digest,
                    "cost_miss": cost.miss, "cost_false": cost.false}
    each = {}
    for which, model in models.items():
        probability = rows.probability(model, args.table)
        each[which] = cost.by_row(rows.labels, measure.is_flagged(probability, model.threshold))
        result[which] = {"name": model.name, "sha256": model.sha256} | measure.figures(rows.labels, probability, model.threshold, cost) | \
            measure.ranking(rows.labels, probability)
    difference = 1000 * (each["candidate"] - each["active"])
    low, high = bootstrap(difference, rows.machines)
    result["difference"] = {"mean": float(difference.mean()), "low": low, "high": high, "confidence": CONFIDENCE, "draws": DRAWS,
                            "drawn": int(rows.machines.max()) + 1, "by": args.by or None}
    result["better"] = high < 0
    return measure.rounded(result)


def report(result: dict, table_name: str) -> str:
    gap = result["difference"]
    verdict = "The candidate is better." if result["better"] else \
        "The candidate is worse." if gap["low"] > 0 else "Neither model is better beyond chance."
    few = f" Only {result['faulty']} rows are faulty: so few say little." if result["faulty"] < FEW else ""
    lines = [
        "# Active and candidate on the same rows",
        "",
        f"{verdict} The candidate's cost per 1,000 rows differs by {gap['mean']:+,.1f}, with {gap['confidence']:.0%} confidence by "
        f"{gap['low']:+,.1f} to {gap['high']:+,.1f}.{few}",
        "",
        f"{result['rows']:,} rows of {table_name}, {result['faulty']:,} faulty. A missed fault costs {result['cost_miss']:g}, "
        f"a false alarm {result['cost_false']:g}.",
        "",
        "| | active | candidate |",
        "|---|---|---|",
    ]
    for key, name, form in (("cost_per_1000", "cost per 1,000 rows", ",.1f"), ("threshold", "threshold", "g"), ("found", "faults found", ",d"),
                            ("missed", "faults missed", ",d"), ("false_alarms", "false alarms", ",d"), ("precision", "precision", ".3f"),
                            ("recall", "recall", ".3f"), ("auc", "AUC", ".4f"), ("average_precision", "average precision", ".4f"),
                            ("brier", "Brier score", ".4f")):
        lines.append(f"| {name} | {result['active'][key]:{form}} | {result['candidate'][key]:{form}} |")
    drawn = f"machines (column {gap['by']}), {gap['drawn']:,} of them," if gap["by"] else "rows"
    lines += ["", f"The interval is a paired bootstrap: {gap['draws']:,} draws of {drawn} with replacement, the same for both models.", ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description="Compares two models on the same rows.")
    parser.add_argument("-active", "--active", metavar="MODEL", required=True, help="the model in use")
    parser.add_argument("-candidate", "--candidate", metavar="MODEL", required=True, help="the model that may replace it")
    parser.add_argument("-table", "--table", metavar="FILE", required=True, help="labelled CSV table, .gz if compressed")
    parser.add_argument("-out", "--out", metavar="DIR", required=True, help="folder for evaluation.json and evaluation.md")
    table.add_arguments(parser)
    table.add_costs(parser)
    args = parser.parse_args()
    table.program = "evaluate"
    with table.readable(args.table):
        result = compare(args)
    text = report(result, os.path.basename(args.table))
    with table.readable(args.out):
        os.makedirs(args.out, exist_ok=True)
        table.write(os.path.join(args.out, "evaluation.json"), json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        table.write(os.path.join(args.out, "evaluation.md"), text)
    print(text.splitlines()[2])


if __name__ == "__main__":
    main()
