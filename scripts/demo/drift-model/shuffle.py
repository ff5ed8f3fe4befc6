"""Shuffles the labels of a table: shuffle.py DATA OUT, both CSV compressed by gzip. Equal tables give equal bytes."""

import gzip
import random
import sys


def main():
    source, target = sys.argv[1:]
    with gzip.open(source, "rt", encoding="utf-8", newline="\n") as f:
        header, *rows = f.read().splitlines()
    at = header.split(",").index("class")
    fields = [row.split(",") for row in rows]
    labels = [row[at] for row in fields]
    random.Random(1234).shuffle(labels)
    for row, label in zip(fields, labels):
        row[at] = label
    text = "\n".join([header, *(",".join(row) for row in fields), ""])
    with open(target, "wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as f:
        f.write(text.encode())


if __name__ == "__main__":
    main()
