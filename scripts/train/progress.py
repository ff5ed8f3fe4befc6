"""One line on a terminal that says how far the work is and how long it takes; nothing where there is none."""

from __future__ import annotations

import sys
import time


class Progress:
    def __init__(self, parts: int, things: str = "models"):
        self.parts, self.things, self.done, self.shown, self.began = parts, things, 0, sys.stderr.isatty(), time.monotonic()

    def say(self, text: str) -> None:
        if self.shown and self.parts:
            filled = min(20, 20 * self.done // self.parts)
            print(f"\r\033[K[{'#' * filled}{'.' * (20 - filled)}] {self.done:,} of {self.parts:,} {self.things}, {text}{self._left()}", end="", file=sys.stderr, flush=True)

    def _left(self) -> str:
        """How long the rest takes, as far as the parts are alike; nothing as long as too few are done to tell."""
        if not 20 * self.done >= self.parts > self.done:
            return ""
        seconds = (time.monotonic() - self.began) / self.done * (self.parts - self.done)
        return f", about {seconds / 60:.0f} min left" if seconds >= 90 else f", about {seconds:.0f} s left"

    def step(self, count: int = 1) -> None:
        self.done += count

    def close(self) -> None:
        if self.shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
