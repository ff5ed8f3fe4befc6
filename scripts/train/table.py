"""Reads and checks a labelled table, with Python alone: table.py DATA [-label NAME] [-separator CHARACTER] [-drop NAMES]

The table is as train.py says. What is wrong with it is said before XGBoost is installed.
"""

import argparse
import array
import codecs
import contextlib
import csv
import gzip
import hashlib
import itertools
import math
import sys
import zlib

FOLDS = 5  # of the cross-validation, which needs rows of both classes in each
DROPPED = {"ef_000", "eg_000"}  # as in the workshop
LABELS = {"neg": 0, "0": 0, "0.0": 0, "false": 0, "pos": 1, "1": 1, "1.0": 1, "true": 1}
# What pandas takes for a missing value, and a question mark.
MISSING = {"", "?", "na", "n/a", "#n/a", "#n/a n/a", "#na", "<na>", "nan", "-nan", "+nan", "null", "none", "-1.#ind", "1.#ind", "-1.#qnan", "1.#qnan"}
MAX_FLOAT32 = 3.4028234663852886e38
SEPARATORS = {"tab": "\t", "\\t": "\t"}
HEADER_WITHIN = 200  # lines


def add_arguments(parser):
    parser.add_argument("-label", "--label", metavar="NAME", default="class", help="column with the label (default: class)")
    add_separator(parser)
    parser.add_argument("-drop", "--drop", metavar="NAMES", default="", help="columns that are no sensors, with commas between them")
    parser.add_argument("-by", "--by", metavar="NAME", help="column with the machine's name, which is no sensor")


def add_costs(parser):
    for flag, of, usual in (("cost-miss", "a missed fault", 500), ("cost-false", "a false alarm", 10)):
        parser.add_argument(f"-{flag}", f"--{flag}", metavar="COST", type=positive, default=usual, help=f"what {of} costs (default: {usual})")


def positive(text):
    value = float(text)
    if not 0 < value < 1e9:
        raise ValueError
    return value


def add_separator(parser):
    parser.add_argument("-separator", "--separator", metavar="CHARACTER", help="between values: , ; or tab (default: found from line 1)")


def repeated(names):
    """The first name that comes a second time, or None."""
    seen = set()
    return next((name for name in names if name in seen or seen.add(name)), None)


def opener_of(path):
    with open(path, "rb") as f:
        return gzip.open if f.read(2) == b"\x1f\x8b" else open


class Reader:
    """Reads a data file row by row. by names a column of the machines, others more columns that are no sensors, only the sensors that are
    wanted, words the numbers of a column's words."""

    def __init__(self, path, label="class", separator=None, drop="", only=None, by=None, others=(), words=None):
        self.path, self.opener = path, opener_of(path)
        self.digest = hashlib.sha256()  # of the text: compression may differ from one place to the next
        self.encoding = self._encoding(path)
        self.words = words or {}
        with self._lines() as lines:
            self.header, self.place, self.separator = self._header(lines, path, label, SEPARATORS.get(separator, separator))
            self.first = next(lines, (math.inf, ""))[0]
        for name in filter(None, (by, *others)):
            if name not in self.header:
                fail(f"{path}: there is no column {name!r}, which {'-by' if name == by else '-time'} names")
        self.machine, aside = self.header.index(by) if by else None, [self.header.index(name) for name in others]
        self.kept = self._kept(self.header, (self.place, self.machine, *aside), path, drop) if only is None else \
            [i for i, name in enumerate(self.header) if i not in (self.place, self.machine, *aside) and plain_name(name) in only]
        self.names = [plain_name(self.header[i]) for i in self.kept]
        twice = repeated(self.names)
        if twice:
            fail(f"{path}: the header has the column name {twice!r} twice")

    @contextlib.contextmanager
    def _lines(self):
        with self.opener(self.path, "rt", encoding=self.encoding, newline="") as f:
            yield enumerate((line.strip(" \r\n\0") for line in f), start=1)

    def rows(self):
        """Yields line number, label, numbers of the sensors, and all fields."""
        header, place, path = self.header, self.place, self.path
        with self._lines() as lines:
            for number, line in lines:
                if number < self.first or not line.strip():
                    continue
                fields = fields_of(line, self.separator)
                if len(fields) == len(header) + 1 and not fields[-1]:  # a separator at the end
                    fields.pop()
                if len(fields) != len(header):
                    fail(f"{path}: line {number}: {len(fields)} fields, the header has {len(header)}")
                word = fields[place].lower()
                if word not in LABELS:
                    fail(f"{path}: line {number}: the {header[place]} is {fields[place]!r}, not neg, pos, 0 or 1 (true and false, too); "
                         "name the column with the label with -label")
                yield number, LABELS[word], [self._number(fields[i], number, header[i]) for i in self.kept], fields

    def _number(self, text, line, column):
        words = self.words.get(column)
        if words is None or text.lower() in MISSING:
            return number_of(text, self.path, line, column)
        if text not in words:
            fail(f"{self.path}: line {line}: column {column}: {text!r} is none of {', '.join(words)}")
        return float(words[text])

    def _encoding(self, path):
        """Hashes the file; what is no UTF-8 is Latin-1, as older spreadsheets write it."""
        decoder, encoding = codecs.getincrementaldecoder("utf-8")(), "utf-8-sig"
        with self.opener(path, "rb") as f:
            for first in itertools.count():
                chunk = f.read(1 << 20)
                if first == 0 and chunk[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                    encoding = "utf-16"
                self.digest.update(chunk)
                if encoding == "utf-8-sig":
                    try:
                        decoder.decode(chunk, final=not chunk)
                    except UnicodeDecodeError:
                        encoding = "latin-1"
                if not chunk:
                    return encoding

    @staticmethod
    def _header(lines, path, label, separator):
        """Returns the header's fields, the label's place in it, and the separator that it has."""
        first = None
        for number, line in itertools.islice(lines, HEADER_WITHIN):
            for candidate in [separator] if separator else [",", ";", "\t"]:
                fields = fields_of(line, candidate)
                first = first or (fields if len(fields) > 1 else None)
                places = [i for i, field in enumerate(fields) if field == label] or \
                    [i for i, field in enumerate(fields) if field.lower() == label.lower()]
                if len(places) == 1 and len(fields) > 1:
                    twice = repeated(filter(None, fields))
                    if twice:
                        fail(f"{path}: line {number}: the header has the column name {twice!r} twice")
                    return fields, places[0], candidate
                if len(places) > 1:
                    fail(f"{path}: line {number}: the header has {len(places)} columns called {label}")
        columns = f"; the first line with several has {', '.join(map(repr, first[:8]))}" if first else ""
        fail(f"{path}: no header with a column called {label}{columns}; name the column with the label with -label, "
             "and what is between values, if it is none of , ; and tab, with -separator")

    @staticmethod
    def _kept(header, others, path, drop):
        dropped = {name.strip() for name in drop.split(",") if name.strip()}
        if unknown := dropped - set(header):
            fail(f"{path}: there is no column {sorted(unknown)[0]!r} to drop")
        if "" in header:
            say(f"{path}: column {header.index('') + 1} has no name, as an index, and is left out")
        kept = [i for i, name in enumerate(header) if i not in others and name and name not in DROPPED | dropped]
        if not kept:
            fail(f"{path}: the header has no column besides {' and '.join(header[i] for i in others if i is not None)}")
        for i in kept:
            if plain_name(header[i]) != header[i]:
                say(f"{path}: column {header[i]!r} is {plain_name(header[i])!r} in the model, and so it is in readings: XGBoost allows no [, ] and <")
        return kept


class Table:
    """What a data file holds: names of the sensors, values row by row, a label for each row."""

    def __init__(self, path, label="class", separator=None, drop="", only=None, least=2 * FOLDS, by=None):
        """least is how many rows there must be of each class; the rest is as Reader has it."""
        reader = Reader(path, label, separator, drop, only, by)
        self.digest, self.names, self.separator = reader.digest, reader.names, reader.separator
        self.labels, self.values = array.array("b"), array.array("f")
        self.machines, known = array.array("l"), {}  # the number of each row's machine; without by each row is one
        for _, label_of_row, values, fields in reader.rows():
            self.labels.append(label_of_row)
            self.values.extend(values)
            self.machines.append(known.setdefault(fields[reader.machine], len(known)) if by else len(self.machines))
        for kind, word in enumerate(("neg", "pos")):
            if self.labels.count(kind) < least:
                fail(f"{path}: fewer than {least} rows of class {word}: too few" + (" to train with" if only is None else ""))


def fields_of(line, separator):
    return [field.strip() for field in next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])]


def plain_name(name):
    return name.translate(str.maketrans("[]<", "()_"))


def number_of(text, path, line, column):
    word = text.lower()
    if word in MISSING:
        return math.nan
    if word in ("true", "false"):
        return float(word == "true")
    try:
        value = float(text)
    except ValueError:
        comma = ": it has a decimal comma; write a point" if text.count(",") == 1 else ""
        fail(f"{path}: line {line}: column {column}: {text!r} is not a number{comma}; a column that is no sensor is left out with -drop")
    if not abs(value) <= MAX_FLOAT32:
        fail(f"{path}: line {line}: column {column}: {text} is no finite float32")
    return value


def write(path, text):
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        f.write(text)


program = "train"  # as messages name it


def say(message):
    print(f"{program}: {message}", file=sys.stderr)


def fail(message):
    sys.exit(f"{program}: {message}")


@contextlib.contextmanager
def readable(path):
    """Says what is wrong with a file that cannot be read, rather than where in Python it was found."""
    try:
        yield
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        fail(f"{getattr(error, 'filename', None) or path}: {getattr(error, 'strerror', None) or error}")


def main():
    parser = argparse.ArgumentParser(description="Checks a labelled table.")
    parser.add_argument("data", metavar="DATA")
    add_arguments(parser)
    args, _ = parser.parse_known_args()  # the others are train.py's
    with readable(args.data):
        table = Table(args.data, args.label, args.separator, args.drop, by=args.by)
    print(f"train: {args.data}: {len(table.labels):,} rows of {len(table.names)} sensors, {table.labels.count(1):,} of class pos")


if __name__ == "__main__":
    main()
