"""Trains small models with the XGBoost that is installed, and writes what that XGBoost predicts with them.

    python3 -m venv venv && venv/bin/pip install xgboost==1.7.4 numpy==1.26.4 scipy==1.11.4
    venv/bin/python generate.py

Each case stands in xgboost-<release>/<case>/: the model in every format that the release writes, rows in X.csv (nan =
missing), margin.csv, pred.csv and, where the release gives them, contribs.csv (%.9g, exact for float32). Half of the rows lie exactly on the grid on which splits fall.
The releases beside this file, with the Python and numpy that run them:

    0.90, 1.0.2, 1.2.1, 1.3.3   Python 3.8, numpy 1.19.5, scipy 1.5.4
    1.7.4                       Python 3.11, numpy 1.26.4, scipy 1.11.4
    3.0.5, 3.2.0                Python 3.11, numpy 2.2.6, scipy 1.15.3
"""

import io
import os
import pickle
import tarfile
import warnings

import numpy as np
import xgboost as xgb

HERE = os.path.dirname(os.path.abspath(__file__))
RELEASE = tuple(int(part) for part in xgb.__version__.split(".")[:2])
COLUMNS = 6

CASES = {
    "binary": {"objective": "binary:logistic"},
    "names": {"objective": "binary:logistic"},
    "weights": {"objective": "binary:logistic", "scale_pos_weight": 3, "base_score": 0.2},
    "poisson": {"objective": "count:poisson"},
    "tweedie": {"objective": "reg:tweedie", "tweedie_variance_power": 1.3},
    "hinge": {"objective": "binary:hinge"},
    "softprob": {"objective": "multi:softprob", "num_class": 3},
    "forest": {"objective": "binary:logistic", "num_parallel_tree": 2, "subsample": 0.7, "colsample_bynode": 0.7},
    "linear": {"objective": "reg:squarederror", "booster": "gblinear"},
    "linear_multi": {"objective": "multi:softprob", "num_class": 3, "booster": "gblinear"},
}
if RELEASE >= (1, 3):  # before, a dart booster drops trees when it predicts
    CASES["dart"] = {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.3, "one_drop": 1}
if RELEASE >= (1, 7):
    CASES["categorical"] = {"objective": "binary:logistic", "tree_method": "hist", "max_cat_to_onehot": 1}
if RELEASE >= (3, 0):
    CASES["vector"] = {"objective": "reg:squarederror", "tree_method": "hist", "multi_strategy": "multi_output_tree"}


def table(rows, seed):
    """Values on a grid, a few missing."""
    rng = np.random.RandomState(seed)
    x = (rng.randint(-16, 17, size=(rows, COLUMNS)) / 8.0).astype(np.float32)
    x[rng.rand(rows, COLUMNS) < 0.15] = np.nan
    return x


def target(x, case):
    z = np.nan_to_num(x)
    score = z[:, 0] - 0.7 * z[:, 1] * (z[:, 2] > 0) + np.where(np.isnan(x[:, 3]), 0.6, 0.2 * z[:, 3])
    if case in ("softprob", "linear_multi"):
        return np.digitize(score, [-0.5, 0.7])
    if case == "vector":
        return np.stack([score, z[:, 4] - score], axis=1)
    if case == "linear":
        return score
    if case in ("poisson", "tweedie"):
        return np.floor(np.exp(np.clip(score, -2, 2)))
    return (score > 0.2).astype(np.float32)


def matrix(x, case, y=None):
    options = {}
    if case == "names":
        options["feature_names"] = ["oil_temp", "speed", "vibration x", "Druck", "tension", "flow"]
    if case == "categorical":
        x = x.copy()
        x[:, 4] = np.floor(np.abs(np.nan_to_num(x[:, 4])) * 8)
        options = {"feature_types": ["q", "q", "q", "q", "c", "q"], "enable_categorical": True}
    return x, xgb.DMatrix(x, label=y, **options)


def write(path, rows):
    with open(path, "w") as f:
        for row in rows:
            f.write(",".join("nan" if np.isnan(v) else "%.9g" % v for v in np.atleast_1d(row)) + "\n")


def pack(path, name, content):
    """Writes a model.tar.gz as SageMaker's containers do, with nothing of this machine in it."""
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    with tarfile.open(path, "w:gz") as f:
        f.addfile(entry, io.BytesIO(content))


def save(booster, folder, case):
    def path(name):
        return os.path.join(folder, name)

    if case not in ("categorical", "vector") or RELEASE >= (2, 1):  # what the binary format cannot hold
        booster.save_model(path("xgboost-model"))
        if (1, 7) <= RELEASE < (3, 1) and case not in ("categorical", "vector"):
            booster.save_model(path("model.deprecated"))
    if RELEASE >= (1, 0):
        booster.save_model(path("model.json"))
    if RELEASE >= (1, 6):
        booster.save_model(path("model.ubj"))
    for protocol in (2, 4) if case == "binary" else (4,):
        with open(path("xgboost-model.pkl%d" % protocol), "wb") as f:
            pickle.dump(booster, f, protocol=protocol)
    if case == "binary":  # SageMaker pickled until 1.2-2
        name = "xgboost-model.pkl4" if RELEASE < (1, 3) else "xgboost-model"
        with open(path(name), "rb") as f:
            pack(path("model.tar.gz"), "xgboost-model", f.read())
    if case == "binary" and RELEASE < (1, 0):
        with open(path("xgboost-model"), "rb") as f:
            pack(path("plain.tar.gz"), "xgboost-model", f.read())


def main():
    warnings.simplefilter("ignore")
    for case, parameters in CASES.items():
        folder = os.path.join(HERE, "xgboost-" + xgb.__version__, case)
        os.makedirs(folder, exist_ok=True)
        x = table(300, 1)
        _, data = matrix(x, case, target(x, case))
        settings = {"max_depth": 3, "eta": 0.5, "seed": 7, "nthread": 1}
        settings.update(parameters)
        if settings.get("booster") == "gblinear":
            del settings["max_depth"]
        booster = xgb.train(settings, data, num_boost_round=3)
        save(booster, folder, case)
        rows, shown = matrix(table(24, 2), case)
        write(os.path.join(folder, "X.csv"), rows)
        write(os.path.join(folder, "margin.csv"), booster.predict(shown, output_margin=True))
        write(os.path.join(folder, "pred.csv"), booster.predict(shown))
        try:
            contributions = booster.predict(shown, pred_contribs=True)
        except xgb.core.XGBoostError as error:  # categorical splits and vector leaves, before 3.3
            print("%s: %s" % (case, str(error).split("Stack trace")[0]))
        else:
            write(os.path.join(folder, "contribs.csv"), contributions.reshape(len(rows), -1))


if __name__ == "__main__":
    main()
