"""One line on a terminal that says how far the work is; nothing where there is none."""

from __future__ import annotations

import sys


class Progress:
    def __init__(self, parts: int, things: str = "models"):
        self.parts, self.things, self.done, self.shown = parts, things, 0, sys.stderr.isatty()

    def say(self, text: str) -> None:
        if self.shown and self.parts:
            filled = min(20, 20 * self.done // self.parts)
            print(f"\r\033[K[{'#' * filled}{'.' * (20 - filled)}] {self.done:,} of {self.parts:,} {self.things}, {text}", end="", file=sys.stderr, flush=True)

    def step(self, count: int = 1) -> None:
        self.done += count

    def close(self) -> None:
        if self.shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
