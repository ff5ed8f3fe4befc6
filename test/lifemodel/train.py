"""Trains the tiny life model of this folder with XGBoost 3.0.5: python3 train.py"""

import numpy as np
import xgboost as xgb

NAMES = ["temp", "temp_mean_4", "wear_slope_4"]
rng = np.random.default_rng(1)
worn = rng.uniform(0, 1, 400)
temp = 60 + 30 * worn + rng.normal(0, 2, 400)
table = np.stack([temp, temp, worn * 0.5 + rng.normal(0, 0.05, 400)], 1).astype(np.float32)
table[rng.random(table.shape) < 0.05] = np.nan
booster = xgb.train(
    {"objective": "reg:quantileerror", "quantile_alpha": [0.05, 0.5, 0.95], "max_depth": 2, "eta": 0.5, "nthread": 1, "seed": 1},
    xgb.DMatrix(table, np.minimum(100, 120 * (1 - worn)), feature_names=NAMES),
    6,
)
booster.save_model("model.ubj")
rows = np.array([[60, 61, 0], [75, 74, 0.2], [90, 88, 0.5], [np.nan, np.nan, 0.4], [np.nan] * 3], dtype=np.float32)
margins = booster.predict(xgb.DMatrix(rows, feature_names=NAMES), output_margin=True)
with open("golden.csv", "w") as out:
    print(",".join(["margin-0", "margin-1", "margin-2"] + NAMES), file=out)
    for line in np.hstack([margins, rows]):
        print(",".join("" if np.isnan(x) else repr(float(x)) for x in line), file=out)
