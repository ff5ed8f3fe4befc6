package modelcli

// goldenScript is the Python program that has XGBoost give the margins: the model is its argument, the rows come as CSV on
// standard input.
const goldenScript = `"""Writes the margins that XGBoost gives rows: the model is the argument, the rows come as CSV on standard input."""

import io
import pickle
import sys
import tarfile

try:
    import numpy as np
    import xgboost as xgb
except ImportError as error:
    sys.exit("python: %s" % error)


def files(path):
    """The model in a file, or those of an archive as SageMaker's containers write it."""
    with open(path, "rb") as f:
        data = f.read()
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            found = {m.name.split("/")[-1]: archive.extractfile(m).read() for m in archive if m.isfile()}
    except tarfile.ReadError:
        return [data]
    folds = [found["xgboost-model-%d" % k] for k in range(len(found)) if "xgboost-model-%d" % k in found]
    if "xgboost-model" in found:
        return [found["xgboost-model"]]
    if folds:
        return folds
    models = [content for name, content in found.items() if name.endswith((".json", ".ubj", ".pkl"))]
    if len(models) != 1:
        sys.exit("the archive has no file xgboost-model: give the model itself")
    return models


def load(data):
    """The booster, what stands for a missing value, and whether its rounds end at the best iteration."""
    try:
        model = pickle.loads(data)
    except Exception:
        booster = xgb.Booster()
        booster.load_model(bytearray(data))
        return booster, np.nan, booster.attr("scikit_learn") is not None
    if isinstance(model, xgb.Booster):
        return model, np.nan, getattr(model, "best_ntree_limit", 0) > 0
    return model.get_booster(), getattr(model, "missing", np.nan), True


def margins(data, rows):
    booster, missing, cut = load(data)
    matrix = xgb.DMatrix(rows, missing=np.nan if missing is None else missing, feature_names=booster.feature_names,
                         feature_types=booster.feature_types)
    best = booster.attr("best_iteration")
    rounds = (0, int(best) + 1) if cut and best is not None else (0, 0)
    return booster.predict(matrix, output_margin=True, iteration_range=rounds)


values = np.loadtxt(sys.stdin, delimiter=",", dtype=np.float64, ndmin=2).astype(np.float32)
for margin in np.hstack([margins(data, values).reshape(len(values), -1) for data in files(sys.argv[1])]):
    print(",".join("%.9g" % m for m in margin))
`
