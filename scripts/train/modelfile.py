"""Reads models as the suite stores them: a .ubj or .json, SageMaker's model.tar.gz, or the folder of a training or package."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile

import numpy as np
import xgboost as xgb
from table import fail

DEFAULT_THRESHOLD = 0.5  # as the device has it
MAX_BYTES = 512 << 20  # of what an archive has
SAGEMAKER = "xgboost-model"
FOLD = re.compile(SAGEMAKER + r"-(\d+)")
PROBABILITY = ("binary:logistic", "reg:logistic")


class Model:
    """A model that gives the probability of a fault; one of a k-fold training is the mean of its models."""

    def __init__(self, path: str):
        self.path = path
        name, files = files_of(path)
        self.sha256 = hashlib.sha256(files[0]).hexdigest()
        self.boosters = [booster_of(f"{path}: {name}", data) for data in files]
        first = self.boosters[0]
        self.names: list[str] | None = first.feature_names
        self.features = first.num_features()
        self.threshold = self._threshold(first)
        self.name = first.attr("edgepdm.name")

    def _threshold(self, booster: xgb.Booster) -> float:
        """That of the model's manifest, or else of its attributes."""
        text = booster.attr("edgepdm.threshold") or DEFAULT_THRESHOLD
        manifest = os.path.join(self.path, "manifest.json")
        if os.path.isfile(manifest):
            try:
                with open(manifest, encoding="utf-8") as f:
                    said = json.load(f)
                if said["model"]["sha256"] == self.sha256:
                    text = said["threshold"]
            except (ValueError, KeyError, TypeError) as error:
                fail(f"{manifest}: it is no manifest: {error!r}")
        try:
            threshold = float(text)
        except ValueError:
            threshold = 0
        if not 0 < threshold <= 1:
            fail(f"{self.path}: its threshold is {text!r}, not a probability above 0")
        return threshold

    def columns(self, names: list[str], table: str) -> list[int]:
        """Where the model's features are among the table's columns."""
        if self.names is None:
            if len(names) != self.features:
                fail(f"{table}: {len(names)} columns besides the class; {self.path} has {self.features} features, without names")
            return list(range(len(names)))
        place = {name: i for i, name in enumerate(names)}
        for name in self.names:
            if name not in place:
                fail(f"{table}: there is no column {name!r}, which {self.path} needs")
        return [place[name] for name in self.names]

    def probability(self, values: np.ndarray) -> np.ndarray:
        data = xgb.DMatrix(values, feature_names=self.names, nthread=1)
        if len(self.boosters) == 1:
            return self.boosters[0].predict(data)
        return np.mean([booster.predict(data) for booster in self.boosters], axis=0, dtype=np.float32)


def files_of(path: str) -> tuple[str, list[bytes]]:
    """The model files at a path, and the name of the first."""
    if os.path.isdir(path):
        for name in ("model.ubj", "model.json", "model.tar.gz", SAGEMAKER):
            if os.path.isfile(os.path.join(path, name)):
                path = os.path.join(path, name)
                break
        else:
            fail(f"{path}: the folder has no model.ubj, model.json or model.tar.gz")
    try:
        with open(path, "rb") as f:
            data = f.read(MAX_BYTES)
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    if data[:2] != b"\x1f\x8b":
        return os.path.basename(path), [data]
    try:
        return members_of(path, data)
    except (OSError, EOFError, tarfile.TarError) as error:
        fail(f"{path}: the archive cannot be read: {error}")


def members_of(path: str, data: bytes) -> tuple[str, list[bytes]]:
    """Reads what is in an archive into memory; its paths are names, and nothing is unpacked to disk."""
    found: dict[str, bytes] = {}
    total = 0
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for member in archive:
            name = os.path.basename(member.name)
            if not member.isfile() or not (name in (SAGEMAKER, "model.ubj", "model.json") or FOLD.fullmatch(name)):
                continue
            total += member.size
            if total > MAX_BYTES:
                fail(f"{path}: its models have more than {MAX_BYTES >> 20} MiB")
            found.setdefault(name, archive.extractfile(member).read())
    for name in (SAGEMAKER, "model.ubj", "model.json"):
        if name in found:
            return name, [found[name]]
    if not found:
        fail(f"{path}: the archive has no {SAGEMAKER}, model.ubj or model.json")
    folds = sorted(found, key=lambda name: int(FOLD.fullmatch(name)[1]))
    return folds[0], [found[name] for name in folds]


def booster_of(what: str, data: bytes) -> xgb.Booster:
    if data[:1] == b"\x80":
        fail(f"{what} is a pickle, which is never executed: save the model with Booster.save_model as .ubj")
    booster = xgb.Booster()
    try:
        booster.load_model(bytearray(data))
        objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
    except (xgb.core.XGBoostError, ValueError, KeyError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()] or ["?"]
        fail(f"{what} is no model that XGBoost {xgb.__version__} reads: {lines[0][:200]}")
    if objective not in PROBABILITY:
        fail(f"{what} has the objective {objective}: it gives no probability of a fault")
    return booster
