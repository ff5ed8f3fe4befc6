"""Charts as inline SVG, drawn by hand: text that needs nothing else, with equal bytes for equal data."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 14, 46
INK, FAINT, GRID = "#1f2933", "#52606d", "#e4e7eb"
BLUE, RED, GREY = "#1f6fb2", "#c8402f", "#9aa5b1"


def number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def text(x: float, y: float, what: str, anchor: str = "start", color: str = INK, size: int = 12, more: str = "") -> str:
    return f'<text x="{number(x)}" y="{number(y)}" text-anchor="{anchor}" fill="{color}" font-size="{size}"{more}>{escape(what)}</text>'


def svg(name: str, body: list[str], width: int = WIDTH, height: int = HEIGHT) -> str:
    return (f'<svg id="{name}" role="img" aria-label="{name}" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" '
            f'font-family="system-ui, sans-serif">{"".join(body)}</svg>')


def rect(x: float, y: float, width: float, height: float, color: str, more: str = "") -> str:
    return f'<rect x="{number(x)}" y="{number(y)}" width="{number(max(0, width))}" height="{number(max(0, height))}" fill="{color}"{more}/>'


@dataclass
class Axis:
    """Where values lie, between low and high; ticks are values with their labels."""

    low: float
    high: float
    label: str
    ticks: list[tuple[float, str]] = field(default_factory=list)

    def share(self, value: float) -> float:
        return (min(max(value, self.low), self.high) - self.low) / (self.high - self.low or 1)


def percent(label: str) -> Axis:
    return Axis(0, 1, label, [(k / 5, f"{20 * k}%") for k in range(6)])


def linear(high: float, label: str) -> Axis:
    """From 0 to a round number above high."""
    step = 10 ** (len(str(int(max(high, 1)))) - 1)
    step = next(s for s in (step / 5, step / 2, step, 2 * step, 5 * step) if high / s <= 6)
    count = int(-(-max(high, step) // step))
    return Axis(0, count * step, label, [(k * step, f"{k * step:,.0f}" if step >= 1 else f"{k * step:.2g}") for k in range(count + 1)])


class Plot:
    """A frame with two axes, and what is drawn into it."""

    def __init__(self, name: str, x: Axis, y: Axis):
        self.name, self.x, self.y = name, x, y
        self.body: list[str] = []
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        for value, label in y.ticks:
            at = self.down(value)
            self.body.append(f'<line x1="{LEFT}" x2="{right}" y1="{number(at)}" y2="{number(at)}" stroke="{GRID}"/>')
            self.body.append(text(LEFT - 6, at + 4, label, "end", FAINT, 11))
        for value, label in x.ticks:
            at = self.across(value)
            self.body.append(f'<line x1="{number(at)}" x2="{number(at)}" y1="{bottom}" y2="{bottom + 4}" stroke="{FAINT}"/>')
            self.body.append(text(at, bottom + 17, label, "middle", FAINT, 11))
        self.body.append(f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="{FAINT}"/>')
        self.body.append(text((LEFT + right) / 2, HEIGHT - 8, x.label, "middle"))
        self.body.append(text(14, (TOP + bottom) / 2, y.label, "middle", more=f' transform="rotate(-90 14 {number((TOP + bottom) / 2)})"'))

    def across(self, value: float) -> float:
        return LEFT + self.x.share(value) * (WIDTH - RIGHT - LEFT)

    def down(self, value: float) -> float:
        return HEIGHT - BOTTOM - self.y.share(value) * (HEIGHT - BOTTOM - TOP)

    def line(self, points, color: str = BLUE, dashed: bool = False) -> None:
        path = "L".join(f"{number(self.across(x))} {number(self.down(y))}" for x, y in points)
        dash = ' stroke-dasharray="4 4"' if dashed else ""
        self.body.append(f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="{1 if dashed else 2}"{dash}/>')

    def band(self, points, color: str = BLUE) -> None:
        """Shades what is between low and high of (x, low, high)."""
        edge = [(x, high) for x, _, high in points] + [(x, low) for x, low, _ in reversed(points)]
        path = "L".join(f"{number(self.across(x))} {number(self.down(y))}" for x, y in edge)
        self.body.append(f'<path d="M{path}Z" fill="{color}" fill-opacity="0.15"/>')

    def dot(self, x: float, y: float, color: str = BLUE, size: float = 4, note: str = "") -> None:
        self.body.append(f'<circle cx="{number(self.across(x))}" cy="{number(self.down(y))}" r="{size}" fill="{color}"><title>{escape(note)}</title></circle>')

    def label(self, x: float, y: float, what: str, anchor: str = "start", color: str = INK) -> None:
        self.body.append(text(self.across(x), self.down(y), what, anchor, color))

    def svg(self) -> str:
        return svg(self.name, self.body)


NAMES = 170  # room for the names of bars


def bars(name: str, values: list[tuple[str, float, str]], color: str = BLUE) -> str:
    """Bars that lie, each with its name and what it says."""
    step = 22
    most = max((value for _, value, _ in values), default=1) or 1
    room = WIDTH - NAMES - 60
    body = []
    for i, (label, value, said) in enumerate(values):
        body.append(text(NAMES - 8, i * step + 16, short(label), "end"))
        body.append(rect(NAMES, i * step + 4, room * value / most, step - 7, color))
        body.append(text(NAMES + room * value / most + 5, i * step + 16, said, color=FAINT, size=11))
    return svg(name, body, height=max(step, step * len(values) + 6))


def short(name: str, most: int = 22) -> str:
    return name if len(name) <= most else name[:most - 1] + "…"


def swarm(name: str, sensors: list[dict]) -> str:
    """SHAP summary: a row of dots for each sensor, where they move the margin, colored by the sensor's value."""
    step, top = 26, 8
    low = min(point[0] for sensor in sensors for point in sensor["points"])
    high = max(point[0] for sensor in sensors for point in sensor["points"])
    axis = Axis(min(low, 0), max(high, 0), "")
    across = lambda value: NAMES + 8 + axis.share(value) * (WIDTH - NAMES - 24)
    bottom = top + step * len(sensors)
    body = [f'<line x1="{number(across(0))}" x2="{number(across(0))}" y1="{top}" y2="{bottom}" stroke="{GREY}"/>']
    for i, sensor in enumerate(sensors):
        middle = top + i * step + step / 2
        body.append(text(NAMES - 8, middle + 4, short(sensor["sensor"]), "end"))
        taken: dict[int, int] = {}
        for moved, value in sensor["points"]:
            place = int(across(moved) / 3)
            k = taken[place] = taken.get(place, -1) + 1
            offset = (1 if k % 2 else -1) * min((k + 1) // 2, 5) * 2
            body.append(f'<circle cx="{number(across(moved))}" cy="{number(middle + offset)}" r="1.7" fill="{shade(value)}"/>')
    for value in (axis.low, 0, axis.high):
        body.append(text(across(value), bottom + 14, f"{value:.1f}", "middle", FAINT, 11))
    body.append(text((NAMES + WIDTH) / 2, bottom + 32, "← to sound · margin · to faulty →", "middle"))
    return svg(name, body, height=bottom + 40)


def shade(value: float) -> str:
    """Blue for low values, red for high ones, grey for missing ones."""
    if value < 0:
        return GREY
    mixed = [round(a + (b - a) * value) for a, b in zip((31, 111, 178), (200, 64, 47))]
    return "#" + "".join(f"{part:02x}" for part in mixed)


def table_of_four(name: str, found: int, missed: int, alarms: int, passed: int) -> str:
    """The confusion matrix; each row is shaded by its own shares."""
    body = []
    left, top, wide, tall = 120, 44, 160, 96
    for i, said in enumerate(("alarm", "no alarm")):
        body.append(text(left + wide * (i + 0.5), top - 12, said, "middle"))
    for j, (said, row) in enumerate((("faulty", (found, missed)), ("sound", (alarms, passed)))):
        body.append(text(left - 10, top + tall * (j + 0.5) + 4, said, "end"))
        for i, count in enumerate(row):
            share = count / max(1, sum(row))
            right = i == j
            body.append(rect(left + i * wide, top + j * tall, wide - 4, tall - 4, BLUE if right else RED, f' fill-opacity="{0.12 + 0.6 * share:.3f}"'))
            body.append(text(left + wide * (i + 0.5) - 2, top + tall * (j + 0.5), f"{count:,}", "middle", size=22))
            body.append(text(left + wide * (i + 0.5) - 2, top + tall * (j + 0.5) + 20, f"{share:.1%} of the {said}", "middle", size=12))
    return svg(name, body, height=top + 2 * tall + 10)
