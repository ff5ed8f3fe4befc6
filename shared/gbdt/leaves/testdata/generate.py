"""Trains the LightGBM models beside this file and writes what that LightGBM predicts with them.

    python3 -m venv ../../../../.cache/lightgbm
    ../../../../.cache/lightgbm/bin/pip install lightgbm==4.7.0 numpy==1.26.4 scipy==1.11.4
    ../../../../.cache/lightgbm/bin/python generate.py

Models stand in <release>-<case>/: model.txt, margin.csv (raw_score=True) and pred.csv, with a row for each of X.csv, in
%.17g. 2.2.3 writes version=v2 of the format (as 2.0.12 and 2.1.2 do, made in the same way from random rows), 2.3.1 and 3.3.5 write v3, 4.7.0 writes v4.
"""

import os

import lightgbm as lgb
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
COMMON = {"num_leaves": 6, "min_data_in_leaf": 5, "learning_rate": 0.3, "verbose": -1, "num_threads": 1, "seed": 3}


def training_rows(n, columns=4):
    """Values on a grid, so that rows of the other grid can fall exactly between two; the last columns are often 0 or missing."""
    rng = np.random.RandomState(5)
    x = rng.randint(-8, 9, size=(n, columns)) / 4.0
    x[rng.rand(n) < 0.4, 2] = 0.0
    x[rng.rand(n) < 0.3, 3] = np.nan
    return x


def test_rows():
    rng = np.random.RandomState(6)
    x = rng.randint(-18, 19, size=(40, 4)) / 8.0
    x[::3, 2] = 0.0
    x[1::4, 3] = np.nan
    x[5], x[6], x[7, 0] = np.nan, 0.0, np.nan
    return x


def signal(x):
    return x[:, 0] - 0.5 * x[:, 1] * (x[:, 2] > 0) + np.where(np.isnan(x[:, 3]), 0.7, 0.3 * np.nan_to_num(x[:, 3]))


def write(name, rows):
    with open(name, "w") as f:
        for row in rows:
            f.write(",".join("nan" if np.isnan(v) else "%.17g" % v for v in np.atleast_1d(row)) + "\n")


def case(name, y, rounds=5, data=None, fobj=None, **params):
    x = training_rows(len(y))
    train = lgb.Dataset(x, y, **(data or {}))
    params = dict(COMMON, **params)
    if fobj is None:
        booster = lgb.train(params, train, rounds)
    else:
        booster = lgb.train(dict(params, objective=fobj), train, rounds)
    folder = os.path.join(HERE, lgb.__version__ + "-" + name)
    os.makedirs(folder, exist_ok=True)
    booster.save_model(os.path.join(folder, "model.txt"))
    booster = lgb.Booster(model_file=os.path.join(folder, "model.txt"))
    x = test_rows()
    write(os.path.join(folder, "margin.csv"), booster.predict(x, raw_score=True))
    write(os.path.join(folder, "pred.csv"), booster.predict(x))


def squared_error(margin, train):
    return margin - train.get_label(), np.ones_like(margin)


def main():
    x = training_rows(400)
    s = signal(x)
    noise = np.random.RandomState(7).normal(size=400)
    fault = (s + noise > 0.5).astype(float)
    classes = np.digitize(s + noise, [-1, 1]).astype(float)
    count = np.floor(np.exp(0.4 * s))
    write(os.path.join(HERE, "X.csv"), test_rows())

    case("binary", fault, objective="binary", data={"feature_name": ["pressure", "flow", "load", "speed"]})
    case("multiclass", classes, rounds=3, objective="multiclass", num_class=3)
    if lgb.__version__ < "4":
        return
    case("zero_missing", s, objective="regression", zero_as_missing=True)
    case("no_missing", s, objective="regression", use_missing=False)
    case("categorical", fault, objective="binary", data={"categorical_feature": [2]})
    case("linear", s, objective="regression", linear_tree=True)
    case("rf", fault, objective="binary", boosting="rf", bagging_freq=1, bagging_fraction=0.6)
    case("sigmoid", fault, objective="binary", sigmoid=2.5, is_unbalance=True)
    case("ova", classes, rounds=3, objective="multiclassova", num_class=3, sigmoid=0.7)
    case("dart", s, rounds=12, objective="regression_l1", boosting="dart", drop_rate=0.5)
    case("sqrt", np.abs(s), objective="regression", reg_sqrt=True)
    case("poisson", count, objective="poisson")
    case("tweedie", count, objective="tweedie")
    case("gamma", count + 0.1, objective="gamma")
    case("xentropy", 1 / (1 + np.exp(-s)), objective="cross_entropy")
    case("xentlambda", 1 / (1 + np.exp(-s)), objective="cross_entropy_lambda")
    case("rank", np.clip(count, 0, 4), objective="lambdarank", data={"group": [20] * 20})
    case("custom", s, fobj=squared_error)
    case("constant", fault, objective="binary", min_data_in_leaf=300)
    case("monotone", s, objective="huber", monotone_constraints=[1, -1, 0, 0])


main()
