"""What a training says of its model: facts for report.json, of which report.md and the page are made."""

from __future__ import annotations

import measure
import numpy as np
import xgboost as xgb
from learn import BASE, CLEARLY, FOLDS, KNOWN, REPEATS, SEED, Learned, Rows
from measure import Cost

SHOWN = 12  # sensors
EXPLAINED = 240  # rows, a half of them faulty where there are so many


def facts(name: str, rows: Rows, digest: str, learned: Learned, tests, other: tuple[Rows, str] | None, cost: Cost, size: int, by: str | None, seed: int) -> dict:
    unseen_rows = len(tests.labels)
    costs = [part["cost_per_1000"] for part in tests.parts]
    result = {
        "name": name,
        "xgboost": xgb.__version__,
        "model_bytes": size,
        "data": {"rows": len(rows), "faulty": int(rows.labels.sum()), "sensors": len(rows.names), "missing": float(np.isnan(rows.values).mean()),
                 "sha256": digest, "by": by, "machines": len(np.unique(rows.machine)) if by else None},
        "cost": {"miss": cost.miss, "false": cost.false},
        "threshold": learned.threshold,
        "settings": BASE | learned.settings.__dict__ | {"rounds": learned.rounds, "seed": seed},
        "search": learned.tried,
        "calibration": _calibration(learned) | {"slope": learned.calibration.slope, "intercept": learned.calibration.intercept},
        "tests": tests.parts,
        "unseen": _unseen(tests, cost) | {"cost_mean": float(np.mean(costs)), "cost_sd": float(np.std(costs)) if len(costs) > 1 else None},
        "usual_threshold": measure.figures(tests.labels, tests.probability, 0.5, cost),
        "curves": measure.curves(tests.labels, tests.calibrated, cost),
        "reliability": measure.reliability(tests.labels, tests.calibrated, bins=min(10, max(2, int(tests.labels.sum()) // 5))),
        "importance": _importance(learned.booster, rows),
    }
    assert unseen_rows == sum(part["rows"] for part in tests.parts)
    if other:
        table, sha256 = other
        told = learned.probability(table.values)
        result["other"] = {"rows": len(table), "faulty": int(table.labels.sum()), "sha256": sha256} | \
            measure.figures(table.labels, told, learned.threshold, cost) | measure.ranking(table.labels, told)
    return measure.rounded(result)


def _unseen(tests, cost: Cost) -> dict:
    """All tests together; each has its own threshold, so that what they tell is compared by its calibrated value."""
    labels, flagged = tests.labels, tests.flagged.astype(np.float32)
    figures = measure.figures(labels, flagged, 0.5, cost)
    del figures["threshold"]
    return {"rows": len(labels), "faulty": int(labels.sum())} | figures | measure.ranking(labels, tests.calibrated)


def _calibration(learned: Learned) -> dict:
    """How far the model's own probabilities and the calibrated ones are from what came true, on the rows of the cross-validation."""
    plain, calibrated = measure.sigmoid(learned.unseen), measure.sigmoid(learned.calibration.logit(learned.unseen))
    error = {which: measure.calibration_error(measure.reliability(learned.labels, p)) for which, p in (("plain", plain), ("calibrated", calibrated))}
    return {"error_plain": error["plain"], "error_calibrated": error["calibrated"],
            "brier_plain": measure.brier(learned.labels, plain), "brier_calibrated": measure.brier(learned.labels, calibrated)}


def _importance(booster: xgb.Booster, rows: Rows) -> dict:
    """Gain of the splits, and SHAP values of some rows: how much each sensor moves a row's margin."""
    rng = np.random.Generator(np.random.PCG64([SEED, 8]))
    faulty = rng.permutation(np.flatnonzero(rows.labels == 1))[:EXPLAINED // 2]
    sound = rng.permutation(np.flatnonzero(rows.labels == 0))[:EXPLAINED - len(faulty)]
    some = rows.part(np.sort(np.concatenate([faulty, sound])))
    data = xgb.DMatrix(some.values, feature_names=rows.names, nthread=1)
    moved = booster.predict(data, pred_contribs=True)[:, :-1]
    mean = np.abs(moved).mean(axis=0)
    order = np.argsort(-mean, kind="stable")[:SHOWN]
    gain = booster.get_score(importance_type="total_gain")
    total = sum(gain.values()) or 1
    by_gain = sorted(gain.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]
    return {
        "used": len(gain),
        "gain": [{"sensor": sensor, "share": value / total} for sensor, value in by_gain],
        "shap": [{"sensor": rows.names[i], "mean": float(mean[i]),
                  "points": [[float(m), float(v)] for m, v in zip(moved[:, i], _rank(some.values[:, i]))]} for i in order if mean[i] > 0],
    }


def _rank(values: np.ndarray) -> np.ndarray:
    """Where each value is among the others, 0 to 1; -1 of a missing one."""
    known = np.unique(values[~np.isnan(values)])
    rank = np.searchsorted(known, values) / max(1, len(known) - 1)
    return np.where(np.isnan(values), -1.0, rank)


def _figures_row(name: str, f: dict) -> str:
    return (f"| {name} | {f['found']:,} | {f['missed']:,} | {f['false_alarms']:,} | {f['passed']:,} | {f['precision']:.3f} | {f['recall']:.3f} "
            f"| {f['cost_per_1000']:,.0f} |")


FIGURES = ["| | faults found | faults missed | false alarms | sound passed | precision | recall | cost per 1,000 rows |", "|---|---|---|---|---|---|---|---|"]


SEARCHED = (f"Each of these was cross-validated with {FOLDS} folds. The blurred cost, per 1,000 rows, counts rows close to the threshold in part, so that a single row does not turn it. The "
            f"cheaper of the first {KNOWN} is used, unless another is cheaper by {1 - CLEARLY:.0%}. The threshold comes from {REPEATS} more cross-validations with what is used.")


def settings_text(facts: dict) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts["settings"].items())


def unseen_text(facts: dict) -> str:
    data, unseen, tests = facts["data"], facts["unseen"], facts["tests"]
    apart = f"rows of a machine (column {data['by']}) are never on both sides" if data["by"] else \
        "rows that are close in time or of one machine can be on both sides, which flatters; -by keeps machines apart"
    spread = f"; mean of the {len(tests)} tests {unseen['cost_mean']:,.0f}, standard deviation {unseen['cost_sd']:,.0f}" if len(tests) > 1 else ""
    return (f"The cost is {unseen['cost_per_1000']:,.0f} per 1,000 rows, in the units of -cost-miss and -cost-false{spread}. "
            f"With {unseen['faulty']:,} faulty rows it is known to about ± {2 * unseen['cost_error']:,.0f} (two standard errors). AUC {unseen['auc']:.4f}, average precision {unseen['average_precision']:.4f}. "
            f"{len(tests)} of {FOLDS} parts of the rows were left out of a whole training (search, threshold and model) and scored then; {apart}.")


def threshold_text(facts: dict) -> str:
    cost = facts["cost"]
    fair = cost["false"] / (cost["false"] + cost["miss"])
    return (f"The device raises an alarm where XGBoost's probability is {facts['threshold']:g} or more. By the calibration {fair:.3g} of the rows with just that probability are faulty (1 in {1 / fair:,.3g}): "
            f"below it false alarms would cost more than the faults that they find, {cost['false']:g} / ({cost['false']:g} + {cost['miss']:g}).")


def compared(facts: dict) -> list[tuple[str, dict]]:
    """What the same rows would cost otherwise."""
    cost, unseen = facts["cost"], facts["unseen"]
    rows, faulty = unseen["rows"], unseen["faulty"]
    return [
        ("with the threshold of the training", unseen),
        ("with a threshold of 0.5", facts["usual_threshold"]),
        ("without any alarm", {"missed": faulty, "false_alarms": 0, "cost_per_1000": 1000 * cost["miss"] * faulty / rows}),
        ("with an alarm for each row", {"missed": 0, "false_alarms": rows - faulty, "cost_per_1000": 1000 * cost["false"] * (rows - faulty) / rows}),
    ]


def calibration_text(facts: dict) -> str:
    c = facts["calibration"]
    return (f"On rows of the cross-validation a probability is off by {c['error_plain']:.4f} on average (Brier score {c['brier_plain']:.5f}), and by "
            f"{c['error_calibrated']:.4f} ({c['brier_calibrated']:.5f}) after calibration: the margin times {c['slope']:.3f} plus {c['intercept']:.3f}. The calibration "
            "is in the threshold, which lies where a calibrated probability makes an alarm and silence cost the same. It is not in the model, whose "
            "probabilities are as XGBoost gives them.")


def markdown(facts: dict) -> str:
    data, cost, other = facts["data"], facts["cost"], facts.get("other")
    lines = [
        f"# Training report: {facts['name']}",
        "",
        f"Trained by `scripts/train/train.py` with XGBoost {facts['xgboost']}: {settings_text(facts)}. A missing reading stays missing. "
        f"The model has {facts['model_bytes']:,} bytes.",
        "",
        "## Data",
        "",
        f"{data['rows']:,} rows of {data['sensors']} sensors, {data['faulty']:,} faulty ({data['faulty'] / data['rows']:.2%}), {data['missing']:.2%} of the "
        f"readings missing; SHA-256 of the table `{data['sha256']}`. The model has learned from all rows.",
        "",
        f"Cost is {cost['false']:g} for a false alarm and {cost['miss']:g} for a missed fault. {threshold_text(facts)}",
        "",
        "## Quality on unseen rows",
        "",
        unseen_text(facts),
        "",
        *FIGURES,
        _figures_row("threshold 0.5", facts["usual_threshold"]),
        _figures_row("the training's threshold", facts["unseen"]),
        "",
        "| test | rows | faulty | threshold | AUC | cost per 1,000 rows |",
        "|---|---|---|---|---|---|",
        *(f"| {i} | {t['rows']:,} | {t['faulty']:,} | {t['threshold']:g} | {t['auc']:.4f} | {t['cost_per_1000']:,.0f} |" for i, t in enumerate(facts["tests"], 1)),
        "",
    ]
    if other:
        lines += [
            "## Quality on other data",
            "",
            f"{other['rows']:,} rows, {other['faulty']:,} faulty, that have no part in the training; SHA-256 of the table `{other['sha256']}`. "
            f"AUC {other['auc']:.4f}, average precision {other['average_precision']:.4f}.",
            "",
            *FIGURES,
            _figures_row(f"threshold {other['threshold']:g}", other),
            "",
        ]
    lines += [
        "## Calibration",
        "",
        calibration_text(facts),
        "",
        "## Search",
        "",
        SEARCHED,
        "",
        "| settings | rounds | blurred cost |",
        "|---|---|---|",
        *(f"| {', '.join(f'{k} {v:g}' for k, v in t['settings'].items())} | {t['rounds']} | {t['score']:,.0f} |" for t in facts["search"]),
        "",
        "## Sensors that matter most",
        "",
        "| sensor | mean of its SHAP values, without sign |",
        "|---|---|",
        *(f"| {s['sensor']} | {s['mean']:.3f} |" for s in facts["importance"]["shap"]),
        "",
        f"{facts['importance']['used']} of the {data['sensors']} sensors are used.",
        "",
    ]
    return "\n".join(lines)
