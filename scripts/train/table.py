"""Reads and checks a labelled table, with Python alone: table.py DATA

The table is as train.py says. What is wrong with it is said before XGBoost is installed.
"""

import array
import gzip
import hashlib
import math
import sys
import zlib

FOLDS = 5  # of the cross-validation, which needs rows of both classes in each
DROPPED = {"ef_000", "eg_000"}  # as in the workshop
LABELS = {"neg": 0, "0": 0, "pos": 1, "1": 1}
MISSING = {"", "na", "nan"}
MAX_FLOAT32 = 3.4028234663852886e38


class Table:
    """What a data file holds: names of the sensors, values row by row, a label for each row."""

    def __init__(self, path):
        with open(path, "rb") as f:
            opener = gzip.open if f.read(2) == b"\x1f\x8b" else open
        self.digest = hashlib.sha256()  # of the text: compression may differ from one place to the next
        with opener(path, "rb") as f:
            while chunk := f.read(1 << 20):
                self.digest.update(chunk)
        with opener(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as f:
            lines = enumerate((line.strip() for line in f), start=1)
            header = self._header(lines, path)
            label = header.index("class")
            kept = [i for i, name in enumerate(header) if i != label and name not in DROPPED]
            self.names = [header[i] for i in kept]
            values, labels = array.array("f"), array.array("b")
            for number, line in lines:
                if not line:
                    continue
                fields = [unquote(field) for field in line.split(",")]
                if len(fields) != len(header):
                    fail(f"{path}: line {number}: {len(fields)} fields, the header has {len(header)}")
                if fields[label] not in LABELS:
                    fail(f"{path}: line {number}: the class is {fields[label]!r}, not neg, pos, 0 or 1")
                labels.append(LABELS[fields[label]])
                for i in kept:
                    values.append(number_of(fields[i], path, number, header[i]))
        self.labels, self.values = labels, values
        for label, word in enumerate(("neg", "pos")):
            if labels.count(label) < 2 * FOLDS:
                fail(f"{path}: fewer than {2 * FOLDS} rows of class {word}: too few to train with")

    @staticmethod
    def _header(lines, path):
        for number, line in lines:
            fields = [unquote(field) for field in line.split(",")]
            if "class" in fields:
                if len(set(fields)) != len(fields) or "" in fields or len(fields) < 2:
                    fail(f"{path}: line {number}: the header lacks a column name or has one twice")
                return fields
            if number > 200:
                break
        fail(f"{path}: no header with a column called class")


def unquote(field):
    field = field.strip()
    return field[1:-1] if len(field) > 1 and field[0] == field[-1] == '"' else field


def number_of(text, path, line, column):
    if text.lower() in MISSING:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        fail(f"{path}: line {line}: column {column}: {text!r} is not a number")
    if not abs(value) <= MAX_FLOAT32:
        fail(f"{path}: line {line}: column {column}: {text} is no finite float32")
    return value


def fail(message):
    sys.exit(f"train: {message}")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: table.py DATA")
    try:
        table = Table(sys.argv[1])
    except (OSError, EOFError, zlib.error) as error:
        fail(f"{sys.argv[1]}: {error}")
    print(f"train: {sys.argv[1]}: {len(table.labels):,} rows of {len(table.names)} sensors, {table.labels.count(1):,} of class pos")


if __name__ == "__main__":
    main()
