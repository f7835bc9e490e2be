"""The charts of a run: what a message costs on each server, and how long it takes."""

from math import ceil, floor, log10

from bench.plan import SCENARIOS
from bench.report.results import Results
from bench.report.summary import Row, label
from bench.report.svg import Drawing
from bench.report.tables import figure, workload

SHOWN = ("echo", "ack", "echo-64k-binary", "broadcast", "polling", "connect", "idle", "heartbeats")
"""The workloads of the chart of costs, where they were measured."""

TIMED = ("latency-1k", "latency-5k", "echo", "stream", "ack", "broadcast", "polling")
"""The workloads of the chart of latencies, where they were measured."""

COMPARED = ("fast", "node", "python-socketio", "socketioxide")
"""The servers of the chart of latencies, where they were measured."""

_COLOURS = {
    "fast": "#4f6bed",
    "portable": "#9aa8f4",
    "node": "#3f9b4b",
    "python-socketio": "#e08a1e",
    "python-socketio-default": "#f0b56c",
    "socketioxide": "#c4553f",
    "floor": "#8d8d93",
}
_WIDTH, _MARGIN, _LINE = 860, 24, 18
_TOP = 64
_PANEL, _LABEL, _BAR = 398, 72, 190
_AXIS = 310


def costs(results: Results) -> str:
    """Return the medians as bars: one panel for each workload, each with a scale of its own that begins at zero."""
    panels = [(name, results.rows[name]) for name in SHOWN if name in results.rows]
    pairs = [panels[start : start + 2] for start in range(0, len(panels), 2)]
    heights = [58 + _LINE * max(len(rows) for _, rows in pair) for pair in pairs]
    note = "Bars: medians; thin lines: lowest to highest round. Each panel has a scale of its own. Less is better."
    drawing = Drawing(_WIDTH, _TOP + sum(heights) + 8, "What a message costs the server", note)
    heading(drawing, "What it costs the server", note)
    top = _TOP
    for pair, height in zip(pairs, heights, strict=True):
        for column, (name, rows) in enumerate(pair):
            _bars(drawing, _MARGIN + column * (_PANEL + 16), top, name, rows)
        top += height
    return drawing.as_text()


def latencies(results: Results) -> str:
    """Return the median and the 99th percentile of what is ``timed``, on an axis that is logarithmic."""
    shown = timed(results)
    found = [value for rows in shown.values() for row in rows for value in (row.p50, row.p99) if value]
    low, high = floor(log10(min(found))), ceil(log10(max(found)))
    height = _TOP + 20 + sum(12 + 16 * len(rows) for rows in shown.values()) + 16
    note = "Dot: median. Ring: 99th percentile. The scale is logarithmic; left is better."
    drawing = Drawing(_WIDTH, height, "How long a message takes", note)
    heading(drawing, "How long it takes to come back", note)
    scale = (_WIDTH - _MARGIN - 60 - _AXIS) / (high - low)
    for power in range(low, high + 1):
        x = _AXIS + (power - low) * scale
        drawing.rule((x, _TOP + 14), (x, height - 14))
        drawing.text(x, _TOP + 8, f"{10.0 ** (power + 3):g} ms", "soft", "middle")
    top = _TOP + 34
    for name, rows in shown.items():
        drawing.text(_MARGIN, top, workload(name, rows), "text head")
        for row in rows:
            assert row.p50 is not None
            assert row.p99 is not None
            start, end = (_AXIS + (log10(value) - low) * scale for value in (row.p50, row.p99))
            _span(drawing, top - 4, start, end, row)
            top += 16
        top += 12
    return drawing.as_text()


def timed(results: Results) -> dict[str, list[Row]]:
    """Return the rows of the chart of latencies."""
    shown = {
        name: [row for row in results.rows[name] if row.target in COMPARED and row.p50 and row.p99]
        for name in TIMED
        if name in results.rows
    }
    return {name: rows for name, rows in shown.items() if rows}


def colour(target: str) -> str:
    """Return the colour of a server, which is the same in every chart."""
    return _COLOURS[target]


def heading(drawing: Drawing, title: str, note: str) -> None:
    """Write the title of a drawing and a line below it."""
    drawing.text(_MARGIN, 28, title, "text title")
    drawing.text(_MARGIN, 46, note, "soft")


def _bars(drawing: Drawing, left: float, top: float, name: str, rows: list[Row]) -> None:
    scenario = SCENARIOS[name]
    drawing.text(left, top + 14, workload(name, rows), "text head")
    drawing.text(left, top + 29, f"{scenario.measure}, {scenario.unit}", "soft")
    scale = _BAR / max(row.highest for row in rows)
    for number, row in enumerate(rows):
        y = top + 36 + number * _LINE
        start = left + _LABEL
        drawing.text(start - 8, y + 11, label(row.target), "text", "end")
        drawing.bar(start, y + 1, row.median * scale, _LINE - 6, colour(row.target))
        drawing.rule((start + row.lowest * scale, y + 7), (start + row.highest * scale, y + 7), "range")
        ratio = f" ({row.ratios['node']:.2f} of Node's)" if "node" in row.ratios and row.target != "node" else ""
        drawing.text(start + row.highest * scale + 6, y + 11, f"{figure(row.median)}{ratio}", "soft")


def _span(drawing: Drawing, y: float, start: float, end: float, row: Row) -> None:
    drawing.text(_AXIS - 12, y + 4, label(row.target), "soft", "end")
    drawing.line(((start, y), (end, y)), colour(row.target))
    drawing.dot(start, y, 4, colour(row.target))
    drawing.dot(end, y, 4, colour(row.target), filled=False)
    assert row.p50 is not None
    assert row.p99 is not None
    drawing.text(end + 10, y + 4, f"{figure(row.p50 * 1000)} / {figure(row.p99 * 1000)}", "soft")
