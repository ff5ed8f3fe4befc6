"""Reads and checks a table of machines that wear out, with Python alone: lifetable.py DATA [flags]

The table is as life.py says. What is wrong with it is said before XGBoost is installed. The sensors' values are left to
`inference-engine features`, which makes the model's inputs of them.
"""

import argparse
import array
import csv
import datetime
import gzip
import hashlib
import math
import re
import zlib

from table import MISSING, SEPARATORS, add_separator, fail, fields_of, number_of, plain_name, repeated

FOLDS = 10  # of the cross-validation by machine: its models have seen nearly as many machines as the delivered one
LEAST_MACHINES = FOLDS
UNITS = ("minutes", "hours", "days", "weeks", "cycles")  # as event.LifeUnits
SECONDS = {"minutes": 60, "hours": 3600, "days": 86400, "weeks": 7 * 86400}
CMAPSS = ["unit", "cycle", "setting1", "setting2", "setting3", *(f"s{i}" for i in range(1, 22))]
THINGS, NUMBERS, TIMES = ("thing", "unit"), ("seq", "cycle"), ("ts",)
AGE = "cycle"  # a row's number that is the machine's age, too, is an input


def add_arguments(parser):
    parser.add_argument("-thing", "--thing", metavar="NAME", help="column with the machine's name (default: thing or unit)")
    parser.add_argument("-seq", "--seq", metavar="NAME", help="column with the row's number (default: seq or cycle, if there is one)")
    parser.add_argument("-ts", "--ts", metavar="NAME", help="column with the row's time (default: ts, if there is one)")
    parser.add_argument("-remaining", "--remaining", metavar="NAME",
                        help="column with the remaining life (default: remaining_UNIT, such as remaining_hours; without one each machine's last row is its failure)")
    parser.add_argument("-unit", "--unit", choices=UNITS, help="of the remaining life (default: of the column's name; cycles without one)")
    parser.add_argument("-columns", "--columns", metavar="NAMES", help="names of all columns, with commas, of a table without a header (default: those of C-MAPSS)")
    parser.add_argument("-drop", "--drop", metavar="NAMES", default="", help="columns that are no sensors, with commas between them")
    add_separator(parser)


class Lives:
    """What a table holds besides the sensors' values: the machine and the remaining life of each row, NaN if it is not known."""

    def __init__(self, path, args):
        self.path = path
        with open(path, "rb") as f:
            self.opener = gzip.open if f.read(2) == b"\x1f\x8b" else open
        self.digest = hashlib.sha256()  # of the text: compression may differ from one place to the next
        with self.opener(path, "rb") as f:
            while chunk := f.read(1 << 20):
                self.digest.update(chunk)
        with self.opener(path, "rt", encoding="utf-8-sig", newline="") as f:
            lines = ((number, line.strip(" \r\n")) for number, line in enumerate(f, start=1))
            lines = (item for item in lines if item[1].strip())
            self._begin(lines, args)
            self._roles(args)
            self._rows(lines)
        if len(self.things) < LEAST_MACHINES:
            fail(f"{path}: {len(self.things)} machines, need {LEAST_MACHINES}: too few to calibrate with")

    def _begin(self, lines, args):
        """Finds the columns' names, and by what values are separated."""
        number, line = next(lines, (0, ""))
        if not number:
            fail(f"{self.path}: it is empty")
        self.first = []  # a first line that is no header
        self.separator = SEPARATORS.get(args.separator, args.separator)
        words = not any(map(is_number, re.split(r"[,;\s]+", line)))
        if args.columns:
            self.names, self.headless = [name.strip() for name in args.columns.split(",")], not words
        elif words:
            self.names, self.headless = None, False
        elif len(line.split()) == len(CMAPSS):
            self.names, self.headless, self.separator = CMAPSS, True, " "
        else:
            fail(f"{self.path}: line 1 is no header, and has not the {len(CMAPSS)} columns of C-MAPSS; name the columns with -columns")
        if not self.separator:
            self.separator = max((",", ";", "\t", " ") if self.headless else (",", ";", "\t"), key=lambda character: len(split(line, character)))
        if self.names is None:
            self.names = [name.strip() for name in split(line, self.separator)]
        if self.headless:
            self.first = [(number, line)]
        twice = repeated(filter(None, self.names))
        if twice:
            fail(f"{self.path}: the column name {twice!r} comes twice")

    def _column(self, given, flag, defaults):
        if given and given not in self.names:
            listed = ", ".join(self.names[:8])
            fail(f"{self.path}: there is no column {given!r}, which -{flag} names; there are {listed}{', …' if len(self.names) > 8 else ''}")
        return given or next((name for name in defaults if name in self.names), None)

    def _roles(self, args):
        """Finds what the columns are for."""
        self.thing = self._column(args.thing, "thing", THINGS)
        if not self.thing:
            fail(f"{self.path}: no column {' or '.join(THINGS)}; name the one with the machine's name with -thing")
        self.seq = self._column(args.seq, "seq", NUMBERS)
        self.ts = self._column(args.ts, "ts", TIMES)
        labels = [name for name in self.names if re.fullmatch(r"remaining(_\w+)?", name)]
        if len(labels) > 1 and not args.remaining:
            fail(f"{self.path}: columns {labels[0]!r} and {labels[1]!r}: name the one with the remaining life with -remaining")
        self.remaining = self._column(args.remaining, "remaining", labels)
        self.unit = args.unit
        if not self.unit and self.remaining:
            self.unit = next((unit for unit in UNITS if self.remaining.endswith("_" + unit)), None)
            if not self.unit:
                fail(f"{self.path}: the unit of {self.remaining!r} is not known: name it with -unit")
        self.unit = self.unit or "cycles"
        if not self.remaining and self.unit != "cycles" and not self.ts:
            fail(f"{self.path}: -unit {self.unit} needs a column with the remaining life (-remaining) or with times (-ts)")
        dropped = {name.strip() for name in args.drop.split(",") if name.strip()}
        for name in sorted(dropped):
            self._column(name, "drop", ())
        none = {"", self.thing, self.ts, self.seq, *labels, self.remaining, *dropped} - {AGE}
        self.sensors = [name for name in self.names if name not in none and AGE not in dropped & {name}]
        if not self.sensors:
            fail(f"{self.path}: no column is a sensor")
        twice = repeated(map(plain_name, self.sensors))
        if twice:
            fail(f"{self.path}: two columns would be called {twice!r} in the model")

    def _rows(self, lines):
        place = {name: i for i, name in enumerate(self.names)}
        numbers = {}  # of machines, by name
        self.machine, self.life, clock = array.array("i"), array.array("d"), array.array("d")
        before = {}
        for number, line in (*self.first, *lines) if self.first else lines:
            fields = split(line, self.separator)
            if len(fields) == len(self.names) + 1 and not fields[-1]:
                fields.pop()
            if len(fields) != len(self.names):
                fail(f"{self.path}: line {number}: {len(fields)} columns, need {len(self.names)}")
            name = fields[place[self.thing]]
            if not name:
                fail(f"{self.path}: line {number}: column {self.thing}: the machine has no name")
            machine = numbers.setdefault(name, len(numbers))
            self.machine.append(machine)
            if self.remaining:
                self.life.append(self._life(fields[place[self.remaining]], number))
                continue
            if self.unit == "cycles":
                at = number_of(fields[place[self.seq]], self.path, number, self.seq) if self.seq else before.get(machine, 0.0) + 1
            else:
                at = self._time(fields[place[self.ts]], number)
            if not at > before.get(machine, -math.inf):
                fail(f"{self.path}: line {number}: the row is not after the one before it of machine {name!r}")
            before[machine] = at
            clock.append(at)
        self.things = list(numbers)
        if not self.remaining:  # run to failure
            self.life = array.array("d", (round((before[machine] - at) / SECONDS.get(self.unit, 1), 6) for machine, at in zip(self.machine, clock)))
        self._check_machines()

    def _check_machines(self):
        rows, known = [0] * len(self.things), [0] * len(self.things)
        for machine, life in zip(self.machine, self.life):
            rows[machine] += 1
            known[machine] += life == life
        for name, n, lives in zip(self.things, rows, known):
            if n < 2:
                fail(f"{self.path}: machine {name!r} has one row: too few")
            if not lives:
                fail(f"{self.path}: machine {name!r} has no row with its remaining life: it did not fail; leave it out")

    def _life(self, text, number):
        if text.lower() in MISSING:
            return math.nan
        life = number_of(text, self.path, number, self.remaining)
        if life < 0:
            fail(f"{self.path}: line {number}: column {self.remaining}: {text} is below 0")
        return life

    def _time(self, text, number):
        try:
            return float(text) / (1000 if abs(float(text)) >= 1e11 else 1)
        except ValueError:
            pass
        try:
            time = datetime.datetime.fromisoformat(text)
        except ValueError:
            fail(f"{self.path}: line {number}: column {self.ts}: {text!r} is no time, such as 2006-01-02T15:04:05Z, and no number of seconds")
        return time.replace(tzinfo=time.tzinfo or datetime.timezone.utc).timestamp()

    def flags(self):
        """What `inference-engine features` has to know of the table."""
        flags = ["-thing", self.thing, "-separator", self.separator, f"-header={'false' if self.headless else 'true'}"]
        if self.headless:
            flags += ["-columns", ",".join(self.names)]
        if self.seq:
            flags += ["-seq", self.seq]
        if self.ts:
            flags += ["-ts", self.ts]
        return flags


def is_number(text):
    try:
        float(text.strip('"'))
        return True
    except ValueError:
        return False


def split(line, separator):
    return line.split() if separator == " " else fields_of(line, separator)


def read(path, args):
    try:
        return Lives(path, args)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        fail(f"{path}: {error}")


def main():
    parser = argparse.ArgumentParser(description="Checks a table of machines that wear out.")
    parser.add_argument("data", metavar="DATA")
    add_arguments(parser)
    args, _ = parser.parse_known_args()
    lives = read(args.data, args)
    print(f"train: {args.data}: {len(lives.machine):,} rows of {len(lives.things):,} machines, {len(lives.sensors)} sensors, remaining life in {lives.unit}")


if __name__ == "__main__":
    main()
