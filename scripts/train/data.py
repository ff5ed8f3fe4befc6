"""Splits a labelled table into training, validation and test: data.py DATA OUT [-validation 0.15] [-test 0.15] [-seed N] [-by NAME | -time NAME] [-label NAME] [-separator CHARACTER] [-drop NAMES]

DATA is a table as train.py takes it, such as UCI's "APS Failure at Scania Trucks" with its preamble, or UCI's AI4I 2020, which
is known by its header: its five kinds of failure are left out, as they give away the label, and Type is 0 (L), 1 (M) or 2 (H).
OUT gets for each of train, validation and test

  train.csv           with a header, the column class (neg or pos) first; na is a missing value
  train.zero.libsvm   label and place:value, places from 0; what is missing is left out
  train.one.libsvm    the same with places from 1
  split.json          what is in them: rows, faulty ones, names of the sensors in their order, hash of DATA's text

Each part has the same share of faulty rows. With -by all rows of a machine are in one part. With -time the parts follow each other
in time; the rows must be in its order. Rows are read one after the other, and memory does not grow with them. Equal data and seeds
give equal bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import itertools
import json
import math
import os
import random

import table
from progress import Progress
from table import fail, say

PARTS = ("train", "validation", "test")
DECK = 20  # places that are dealt in random order, so that shares are exact to one of them
SEED = 1234
AI4I_LABEL, AI4I_DROPPED = "Machine failure", ("UDI", "Product ID", "TWF", "HDF", "PWF", "OSF", "RNF")
AI4I_WORDS = {"Type": {"L": 0, "M": 1, "H": 2}}
EVERY = 500  # rows between two looks at the progress


class Dealer:
    """Deals rows to the parts: of any so many of a class each part gets its share, in random order."""

    def __init__(self, shares: list[float], seed: int):
        counts = [round(DECK * share) for share in shares]
        self.full = [part for part, count in enumerate(counts) for _ in range(count)]
        self.random = {kind: random.Random(f"{seed} {kind}") for kind in (0, 1)}
        self.decks: dict[int, list[int]] = {0: [], 1: []}

    def part(self, label: int, fields: list[str]) -> int:
        if not self.decks[label]:
            self.decks[label] = self.full[:]
            self.random[label].shuffle(self.decks[label])
        return self.decks[label].pop()


class ByMachine:
    """Takes memory for the machines, not for their rows. Machines that ever fail are shared out by themselves."""

    def __init__(self, shares: list[float], seed: int, reader: table.Reader):
        self.place = reader.machine
        ever: dict[str, int] = {}
        for _, label, _, fields in reader.rows():
            ever[fields[self.place]] = max(label, ever.get(fields[self.place], 0))
        self.parts: dict[str, int] = {}
        for kind in (0, 1):
            names = sorted(name for name in ever if ever[name] == kind)
            random.Random(f"{seed} {kind}").shuffle(names)
            limits = [round(len(names) * sum(shares[:i + 1])) for i in range(2)]
            self.parts |= {name: sum(i >= limit for limit in limits) for i, name in enumerate(names)}

    def part(self, label: int, fields: list[str]) -> int:
        return self.parts[fields[self.place]]


class ByTime:
    """The first rows are for training, the last for the test; rows of one time are in one part."""

    def __init__(self, shares: list[float], reader: table.Reader, name: str):
        self.place = reader.header.index(name)
        count, last = 0, None
        for number, _, _, fields in reader.rows():
            now = time_of(fields[self.place], reader.path, number, name)
            if last is not None and now < last:
                fail(f"{reader.path}: line {number}: column {name}: {fields[self.place]!r} is before the row above: sort the table by {name}")
            last, count = now, count + 1
        self.limits = [round(count * sum(shares[:i + 1])) for i in range(2)]
        self.done, self.now, self.at = 0, "", 0

    def part(self, label: int, fields: list[str]) -> int:
        if fields[self.place] != self.now:
            self.now, self.at = fields[self.place], sum(self.done >= limit for limit in self.limits)
        self.done += 1
        return self.at


def time_of(text: str, path: str, line: int, column: str) -> float:
    with contextlib.suppress(ValueError):
        return float(text)
    with contextlib.suppress(ValueError):
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)).timestamp()
    fail(f"{path}: line {line}: column {column}: {text!r} is no time: write seconds or 2006-01-02T15:04:05Z")


def is_ai4i(path: str) -> bool:
    with table.opener_of(path)(path, "rt", encoding="latin-1") as f:
        header = table.fields_of(next(f, ""), ",")
    return {AI4I_LABEL, *AI4I_DROPPED[2:]} <= set(header)


def reader_of(args) -> table.Reader:
    aside = [args.time] if args.time else []
    if args.label == "class" and is_ai4i(args.data):
        say("the table is AI4I 2020: left out are " + ", ".join(AI4I_DROPPED) + "; Type is 0 (L), 1 (M) or 2 (H)")
        own = [name.strip() for name in args.drop.split(",") if name.strip()]
        drop = ",".join(dict.fromkeys([*AI4I_DROPPED, *own]))
        return table.Reader(args.data, AI4I_LABEL, args.separator, drop, by=args.by, others=aside, words=AI4I_WORDS)
    return table.Reader(args.data, args.label, args.separator, args.drop, by=args.by, others=aside)


class Output:
    """The files of one part. They get their names when all is written."""

    def __init__(self, folder: str, part: str, names: list[str], files: contextlib.ExitStack):
        self.rows = self.faulty = 0
        paths = [os.path.join(folder, part + end) for end in (".csv", ".zero.libsvm", ".one.libsvm")]
        self.paths = {path + ".part": path for path in paths}
        self.csv, self.zero, self.one = (files.enter_context(open(path, "w", encoding="utf-8", newline="\n")) for path in self.paths)
        self.csv.write(",".join(["class", *map(quoted, names)]) + "\n")

    def write(self, label: int, values: list[float]) -> None:
        self.rows, self.faulty = self.rows + 1, self.faulty + label
        words = ["na" if math.isnan(value) else shortest(value) for value in values]
        self.csv.write(",".join(["pos" if label else "neg", *words]) + "\n")
        for file, base in ((self.zero, 0), (self.one, 1)):
            file.write(" ".join([str(label), *(f"{i}:{word}" for i, word in enumerate(words, base) if word != "na")]) + "\n")

    def finish(self) -> None:
        for written, path in self.paths.items():
            os.replace(written, path)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if set(name) & set(',"\n') else name


def shortest(value: float) -> str:
    """A whole number as one, others so that float32 keeps them."""
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.9g}"


def split(args, shares: list[float]) -> dict:
    reader = reader_of(args)
    chooser = ByMachine(shares, args.seed, reader) if args.by else ByTime(shares, reader, args.time) if args.time else Dealer(shares, args.seed)
    os.makedirs(args.out, exist_ok=True)
    progress = Progress(total_of(reader) if Progress(1).shown else 0, "rows")
    outputs: list[Output] = []
    try:
        with contextlib.ExitStack() as files:
            outputs = [Output(args.out, part, reader.names, files) for part in PARTS]
            for _, label, values, fields in reader.rows():
                outputs[chooser.part(label, fields)].write(label, values)
                progress.step()
                if progress.done % EVERY == 0:
                    progress.say("splitting")
        check(args, outputs)
        for output in outputs:
            output.finish()
    finally:
        progress.close()
        for path in itertools.chain.from_iterable(output.paths for output in outputs):
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)
    return {"table_sha256": reader.digest.hexdigest(), "seed": args.seed, "by": args.by or args.time, "sensors": reader.names,
            "parts": {part: {"rows": o.rows, "faulty": o.faulty} for part, o in zip(PARTS, outputs)}}


def total_of(reader: table.Reader) -> int:
    with reader.opener(reader.path, "rb") as f:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: f.read(1 << 20), b""))


def check(args, outputs: list[Output]) -> None:
    for part, output in zip(PARTS, outputs):
        if output.faulty == 0 or output.faulty == output.rows:
            fail(f"{args.data}: the part {part} would have {output.rows} rows, {output.faulty} of them faulty: too few of one class")


def main():
    parser = argparse.ArgumentParser(description="Splits a labelled table into training, validation and test.")
    parser.add_argument("data", metavar="DATA", help="labelled CSV table, .gz if compressed")
    parser.add_argument("out", metavar="OUT", help="folder for the parts")
    table.add_arguments(parser)
    for part in PARTS[1:]:
        parser.add_argument(f"-{part}", f"--{part}", metavar="SHARE", type=float, default=0.15, help=f"of the rows for {part} (default: 0.15)")
    parser.add_argument("-seed", "--seed", metavar="N", type=int, default=SEED, help=f"of the random order (default: {SEED})")
    parser.add_argument("-time", "--time", metavar="NAME", help="column with the time of a row: the parts follow each other")
    args = parser.parse_args()
    table.program = "data"
    if args.by and args.time:
        parser.error("-by and -time: one of them")
    if not (0.05 <= args.validation and 0.05 <= args.test and args.validation + args.test <= 0.9):
        parser.error("-validation and -test: 0.05 or more each, 0.9 at most together")
    if any(abs(DECK * share - round(DECK * share)) > 1e-9 for share in (args.validation, args.test)):
        parser.error(f"-validation and -test: in steps of {1 / DECK:g}")
    with table.readable(args.data):
        result = split(args, [1 - args.validation - args.test, args.validation, args.test])
        table.write(os.path.join(args.out, "split.json"), json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    for part, counts in result["parts"].items():
        print(f"{part}: {counts['rows']:,} rows, {counts['faulty']:,} faulty")


if __name__ == "__main__":
    main()
