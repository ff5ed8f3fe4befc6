"""The training's report as one page: text, tables and charts, with nothing loaded from elsewhere."""

from __future__ import annotations

import math
from html import escape

import report
from charts import BLUE, FAINT, GREY, RED, Axis, Plot, bars, linear, percent, swarm, table_of_four

STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 1040px; padding: 24px; font: 15px/1.5 system-ui, sans-serif; color: #1f2933; background: #fff; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 32px 0 8px; } p { margin: 6px 0; max-width: 85ch; }
.facts { display: flex; flex-wrap: wrap; gap: 12px; margin: 16px 0; }
.facts div { border: 1px solid #e4e7eb; border-radius: 6px; padding: 8px 14px; } .facts b { display: block; font-size: 22px; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(420px, 1fr)); gap: 16px; }
figure { margin: 0; align-self: start; border: 1px solid #e4e7eb; border-radius: 6px; padding: 12px; } figure svg { width: 100%; height: auto; }
figcaption { font-weight: 600; } figure p { color: #52606d; font-size: 13px; margin: 0 0 6px; }
table { border-collapse: collapse; margin: 10px 0 16px; } td, th { padding: 3px 12px 3px 0; text-align: right; border-bottom: 1px solid #e4e7eb; font-variant-numeric: tabular-nums; }
td:first-child, th:first-child { text-align: left; } code { font-size: 12px; overflow-wrap: anywhere; }
"""


def page(facts: dict) -> str:
    data, cost, unseen = facts["data"], facts["cost"], facts["unseen"]
    name = escape(facts["name"])
    boxes = [
        (f"{unseen['cost_per_1000']:,.0f} ± {2 * unseen['cost_error']:,.0f}", "cost per 1,000 unseen rows"),
        (f"{unseen['found']:,} of {unseen['faulty']:,}", "unseen faults found"),
        (f"{1000 * unseen['false_alarms'] / unseen['rows']:,.1f}", "false alarms per 1,000 rows"),
        (f"{facts['threshold']:g}", "threshold of the probability"),
    ]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Training report: {name}</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body>
<h1>Training report: {name}</h1>
<p>{data['rows']:,} rows of {data['sensors']} sensors, {data['faulty']:,} faulty. A missed fault costs {cost['miss']:g}, a false alarm {cost['false']:g}.
XGBoost {escape(facts['xgboost'])}, {facts['model_bytes']:,} bytes.</p>
<div class="facts">{"".join(f"<div><b>{value}</b>{what}</div>" for value, what in boxes)}</div>
<h2>On unseen rows</h2>
<p>{escape(report.unseen_text(facts))}</p>
<p>{escape(report.threshold_text(facts))}</p>
{_compared(facts)}
<div class="charts">
{figure("Confusion", "How many unseen rows raised an alarm, each with the threshold of a training that had not seen it.", table_of_four("confusion", unseen["found"], unseen["missed"], unseen["false_alarms"], unseen["passed"]))}
{figure("Cost by threshold", "What the unseen rows cost if an alarm is raised from this calibrated probability on, with two standard errors. The dashed line is the threshold that is used: an alarm and silence cost the same there.", _cost(facts))}
{figure("Precision and recall", "How many of the alarms are right, by how many of the faults are found. The dot is the threshold that is used.", _pr(facts))}
{figure("ROC", "How many of the faults are found, by how many sound rows raise an alarm. The dot is the threshold that is used, the dashed line is guessing.", _roc(facts))}
{figure("Calibration", "What was told, and what came true. Both axes are logarithmic; on the dashed line they are the same.", _calibration(facts))}
{figure("Class balance", "Rows of both classes in the table.", bars("balance", [("sound", data["rows"] - data["faulty"], f"{data['rows'] - data['faulty']:,}"), ("faulty", data["faulty"], f"{data['faulty']:,}")]))}
</div>
<p>{escape(report.calibration_text(facts))}</p>
{_tests(facts)}
{_other(facts)}
<h2>What the model looks at</h2>
<p>{facts['importance']['used']} of the {data['sensors']} sensors are used.</p>
<div class="charts">
{figure("Importance", "Share of the gain of all splits.", bars("importance", [(g["sensor"], g["share"], f"{g['share']:.1%}") for g in facts["importance"]["gain"]]))}
{figure("SHAP summary", "Each dot is a row. Red: the sensor's value is high there; blue: low; grey: missing.", swarm("shap", facts["importance"]["shap"]) if facts["importance"]["shap"] else "")}
</div>
<h2>Search</h2>
<p>{escape(report.SEARCHED)}</p>
{_search(facts)}
<p>All settings: {escape(report.settings_text(facts))}.</p>
<p>SHA-256 of the table: <code>{data['sha256']}</code></p>
</body>
</html>
"""


def figure(title: str, says: str, chart: str) -> str:
    return f"<figure><figcaption>{escape(title)}</figcaption><p>{escape(says)}</p>{chart}</figure>"


def table(header: list[str], rows: list[list[str]]) -> str:
    line = lambda tag, cells: "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"
    return "<table>" + line("th", header) + "".join(line("td", row) for row in rows) + "</table>"


def _compared(facts: dict) -> str:
    rows = [[said, f"{f['missed']:,}", f"{f['false_alarms']:,}", f"{f['cost_per_1000']:,.0f}"] for said, f in report.compared(facts)]
    return table(["the unseen rows", "missed", "false alarms", "cost per 1,000"], rows)


def _tests(facts: dict) -> str:
    rows = [[str(i), f"{t['rows']:,}", f"{t['faulty']:,}", f"{t['missed']:,}", f"{t['false_alarms']:,}", f"{t['auc']:.4f}", f"{t['cost_per_1000']:,.0f}"]
            for i, t in enumerate(facts["tests"], 1)]
    return "<h2>Tests</h2>" + table(["test", "rows", "faulty", "missed", "false alarms", "AUC", "cost per 1,000"], rows)


def _other(facts: dict) -> str:
    if "other" not in facts:
        return ""
    o = facts["other"]
    return (f"<h2>On other data</h2><p>{o['rows']:,} rows of another table, {o['faulty']:,} faulty: {o['found']:,} faults found, {o['missed']:,} missed, "
            f"{o['false_alarms']:,} false alarms, {o['cost_per_1000']:,.0f} per 1,000 rows, AUC {o['auc']:.4f}.</p>")


def _search(facts: dict) -> str:
    tried = facts["search"]
    keys = list(tried[0]["settings"])
    return table([*keys, "rounds", "blurred cost"], [[*(f"{t['settings'][key]:g}" for key in keys), str(t["rounds"]), f"{t['score']:,.0f}"] for t in tried])


def _decades(low: float, label: str) -> Axis:
    """Probabilities from 10^low to 1, by their logarithm."""
    ticks = [(float(k), f"{10.0 ** k:g}") for k in range(int(low), 1)]
    return Axis(low, 0, label, ticks)


def _log(value: float) -> float:
    return math.log10(max(value, 1e-9))


def _cost(facts: dict) -> str:
    fair = facts["cost"]["false"] / (facts["cost"]["false"] + facts["cost"]["miss"])
    points = [(_log(p), c, e) for p, c, e in facts["curves"]["cost"]]
    most = min(points[-1][1], 5 * min(c for _, c, _ in points))  # what is above is cut off: the valley is of interest
    plot = Plot("cost", _decades(-4, "threshold (calibrated probability)"), linear(most, "cost per 1,000 rows"))
    shown = [(x, c, e) for x, c, e in points if x >= -4.2 and c <= 1.02 * plot.y.high]
    plot.band([(x, max(0, c - 2 * e), c + 2 * e) for x, c, e in shown])
    plot.line([(_log(fair), 0), (_log(fair), plot.y.high)], FAINT, dashed=True)
    plot.line([(x, c) for x, c, _ in shown])
    plot.dot(_log(fair), facts["unseen"]["cost_per_1000"], RED, note="the training's threshold")
    plot.label(_log(fair) + 0.08, plot.y.high * 0.93, f"{facts['unseen']['cost_per_1000']:,.0f} at {fair:.2g}", color=RED)
    return plot.svg()


def _pr(facts: dict) -> str:
    unseen = facts["unseen"]
    plot = Plot("pr", percent("recall: faults found"), percent("precision: alarms that are right"))
    plot.line(facts["curves"]["pr"])
    plot.dot(unseen["recall"], unseen["precision"], RED, note="the training's threshold")
    plot.label(0.03, 0.06, f"average precision {unseen['average_precision']:.3f}", color=FAINT)
    return plot.svg()


def _roc(facts: dict) -> str:
    unseen = facts["unseen"]
    plot = Plot("roc", percent("false alarms among the sound"), percent("faults found"))
    plot.line([(0, 0), (1, 1)], GREY, dashed=True)
    plot.line(facts["curves"]["roc"])
    plot.dot(unseen["false_alarms"] / max(1, unseen["false_alarms"] + unseen["passed"]), unseen["recall"], RED, note="the training's threshold")
    plot.label(0.6, 0.1, f"AUC {unseen['auc']:.4f}", color=FAINT)
    return plot.svg()


def _calibration(facts: dict) -> str:
    plot = Plot("calibration", _decades(-4, "probability that was told"), _decades(-4, "share that was faulty"))
    plot.line([(-4, -4), (0, 0)], GREY, dashed=True)
    points = [(_log(b["told"]), _log(b["true"])) for b in facts["reliability"]]
    plot.line(points)
    for (x, y), b in zip(points, facts["reliability"]):
        plot.dot(x, y, BLUE, note=f"{b['rows']} rows")
    return plot.svg()
