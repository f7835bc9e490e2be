"""The charts of what changes: memory over time, cost over size. All axes begin at zero: slopes are what they look."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log10
from typing import Any

from bench.report.charts import colour, heading
from bench.report.summary import label
from bench.report.svg import Drawing, Point

_WIDTH, _MARGIN, _TOP = 860, 24, 64
_LEFT, _BOTTOM = 52, 36


@dataclass(frozen=True, slots=True)
class Line:
    """Points to be joined, and how."""

    points: Sequence[Point]
    colour: str
    dots: bool = True
    dashes: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes with its lines."""

    title: str
    x_title: str
    y_title: str
    lines: list[Line]


def soak(facts: dict[str, Any]) -> str:
    """Return the memory and the objects of a soak over time, with the slope of the second half."""
    readings = facts["readings"]
    panels = []
    for key, title, scale in (("memory", "resident memory, MB", 1e6), ("objects", "objects, thousands", 1e3)):
        points = [(reading["seconds"] / 60, reading[key] / scale) for reading in readings]
        half = points[len(points) // 2 :]
        middle, growth = _middle(half), facts[key]["per_minute"] / scale
        ends = [(x, middle[1] + (x - middle[0]) * growth) for x in (half[0][0], half[-1][0])]
        lines = [Line(points, colour("fast"), dots=False), Line(ends, colour("python-socketio"), False, "6 4")]
        panels.append(Panel(title, "minutes", "", lines))
    note = f"Dashed: the slope of the second half, {facts['memory']['per_minute'] / 1000:+,.0f} kB a minute."
    drawing = Drawing(_WIDTH, _TOP + 250, "Memory under a mixed load", note)
    heading(drawing, f"Memory under a mixed load of {facts['minutes']:g} minutes", note)
    _side_by_side(drawing, panels, 230)
    return drawing.as_text()


def growth(facts: dict[str, Any]) -> str:
    """Return what operations cost against the size of what is not concerned, or of what is."""
    panels: dict[str, Panel] = {}
    for series in facts["series"]:
        title = f"{series['title']}{'' if series['concerned'] else ', among others'}"
        panel = Panel(title, series["grows"], f"{series['unit']} per {series['measure'].rpartition(' per ')[2]}", [])
        points = [(point["size"], point["cost"]) for point in series["points"]]
        panels.setdefault(series["name"], panel).lines.append(Line(points, colour(series["target"])))
    note = "Server CPU, medians. What an operation does not concern shall not raise its cost: then a line is level."
    drawing = Drawing(_WIDTH, _TOP + 20 + 230 * ceil(len(panels) / 2), "Cost against size", note)
    heading(drawing, "Cost against size", note)
    _legend(drawing, list(dict.fromkeys(series["target"] for series in facts["series"])))
    _side_by_side(drawing, list(panels.values()), 210)
    return drawing.as_text()


def _legend(drawing: Drawing, targets: list[str]) -> None:
    """Name the lines at the top right."""
    right = _WIDTH - _MARGIN - 8
    for number, target in enumerate(reversed(targets)):
        x = right - 90 * (number + 1)
        drawing.dot(x, 24, 4, colour(target))
        drawing.text(x + 10, 28, label(target), "soft")


def _side_by_side(drawing: Drawing, panels: list[Panel], height: int) -> None:
    """Draw two panels in a row, as many rows as it takes."""
    width = (_WIDTH - 2 * _MARGIN - 24) // 2
    for number, panel in enumerate(panels):
        row, column = divmod(number, 2)
        _panel(drawing, panel, _MARGIN + column * (width + 24), _TOP + row * (height + 20), width, height)


def _panel(drawing: Drawing, panel: Panel, left: float, top: float, width: float, height: float) -> None:
    drawing.text(left, top + 10, panel.title, "text head")
    drawing.text(left + width, top + 10, panel.y_title, "soft", "end")
    origin = left + _LEFT, top + height - _BOTTOM
    points = [point for line in panel.lines for point in line.points]
    x_step, x_end = _ticks(max(x for x, _ in points))
    y_step, y_end = _ticks(max(y for _, y in points))
    x_scale, y_scale = (width - _LEFT - 8) / x_end, (height - _BOTTOM - 26) / y_end
    for tick in range(round(y_end / y_step) + 1):
        y = origin[1] - tick * y_step * y_scale
        drawing.rule((origin[0], y), (left + width - 8, y))
        drawing.text(origin[0] - 8, y + 4, f"{tick * y_step:,g}", "soft", "end")
    for tick in range(round(x_end / x_step) + 1):
        drawing.text(origin[0] + tick * x_step * x_scale, origin[1] + 16, f"{tick * x_step:,g}", "soft", "middle")
    drawing.text(left + width - 8, origin[1] + 31, panel.x_title, "soft", "end")
    for line in panel.lines:
        places = [(origin[0] + x * x_scale, origin[1] - y * y_scale) for x, y in line.points]
        drawing.line(places, line.colour, dashes=line.dashes)
        for x, y in places if line.dots else ():
            drawing.dot(x, y, 3, line.colour)


def _ticks(largest: float) -> tuple[float, float]:
    """Return a step of 1, 2 or 5 times a power of ten, about five of which reach ``largest``, and where they end."""
    rough = largest / 5 or 1.0
    power = 10.0 ** ceil(log10(rough) - 1)
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return step, step * ceil(largest / step * 0.999) or step


def _middle(points: Sequence[Point]) -> Point:
    xs, ys = (sorted(values) for values in zip(*points, strict=True))
    return xs[len(xs) // 2], ys[len(ys) // 2]
