"""Writes models whose contributions XGBoost gives since 3.3 alone, and what it gives: contribs.csv, output by output, the bias
last in each (%.9g). The rows are in X.csv (nan = missing).

    python3 -m venv venv && venv/bin/pip install xgboost==3.4.1 numpy scipy    # Python 3.12 or later
    venv/bin/python generate.py
"""

import os

import numpy as np
import xgboost as xgb

HERE = os.path.dirname(os.path.abspath(__file__))


def table(rows, columns, seed):
    rng = np.random.RandomState(seed)
    x = (rng.randint(-16, 17, size=(rows, columns)) / 8.0).astype(np.float32)
    x[rng.rand(rows, columns) < 0.15] = np.nan
    return x


def write(case, booster, data, x):
    folder = os.path.join(HERE, "xgboost-" + xgb.__version__, case)
    os.makedirs(folder, exist_ok=True)
    booster.save_model(os.path.join(folder, "model.ubj"))
    for name, values in ("X", x), ("margin", booster.predict(data, output_margin=True)), ("contribs", booster.predict(data, pred_contribs=True)):
        with open(os.path.join(folder, name + ".csv"), "w") as f:
            for row in values.reshape(len(x), -1):
                f.write(",".join("nan" if np.isnan(v) else "%.9g" % v for v in row) + "\n")


def main():
    base = {"max_depth": 4, "eta": 0.5, "seed": 7, "nthread": 1, "tree_method": "hist"}
    x, shown = table(400, 6, 1), table(24, 6, 2)
    z = np.nan_to_num(x)
    score = z[:, 0] - 0.7 * z[:, 1] * (z[:, 2] > 0) + np.where(np.isnan(x[:, 3]), 0.6, 0.2 * z[:, 3])

    # Two targets in each leaf.
    y = np.stack([score, z[:, 4] - score], axis=1)
    booster = xgb.train(base | {"multi_strategy": "multi_output_tree"}, xgb.DMatrix(x, label=y), 3)
    write("vector", booster, xgb.DMatrix(shown), shown)

    # Sets of categories, three classes, dart.
    def coded(x):
        x = x.copy()
        x[:, 4] = np.floor(np.abs(np.nan_to_num(x[:, 4])) * 8)
        return x, {"feature_types": ["q", "q", "q", "q", "c", "q"], "enable_categorical": True}
    cx, options = coded(x)
    label = np.digitize(score + (cx[:, 4] % 3), [0.5, 1.7])
    settings = {"objective": "multi:softprob", "num_class": 3, "max_cat_to_onehot": 1, "booster": "dart", "rate_drop": 0.4, "one_drop": 1}
    booster = xgb.train(base | settings, xgb.DMatrix(cx, label=label, **options), 3)
    cshown, options = coded(shown)
    write("categorical_dart", booster, xgb.DMatrix(cshown, **options), cshown)

    # More than eight features on a way.
    wide, wshown = table(3000, 14, 3), table(24, 14, 4)
    w = np.nan_to_num(wide)
    label = np.cumprod(w > -1.5, axis=1).sum(axis=1)
    booster = xgb.train(base | {"max_depth": 14, "max_leaves": 40, "grow_policy": "lossguide"}, xgb.DMatrix(wide, label=label), 2)
    write("deep", booster, xgb.DMatrix(wshown), wshown)

    # Nodes without cover: the covers are those of eight rows.
    booster = xgb.train(base, xgb.DMatrix(x, label=score), 3)
    few = xgb.DMatrix(x[:8], label=score[:8])
    booster = xgb.train({"process_type": "update", "updater": "refresh", "refresh_leaf": False, "nthread": 1}, few, 3, xgb_model=booster)
    write("no_cover", booster, xgb.DMatrix(shown), shown)


if __name__ == "__main__":
    main()
