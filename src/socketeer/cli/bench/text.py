"""Write the report of a load test for people: the figures, and a histogram of bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from socketeer.cli.bench.histogram import Row
from socketeer.cli.bench.report import QUANTILES, Report, Verdict
from socketeer.cli.bench.units import count_text, printable, time_text

__all__ = ["lines_of"]

_LABEL = 14
_COLUMNS = ("min", "mean", *QUANTILES, "max")
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_MOST_EVENTS = 10


def lines_of(report: Report, width: int = 80, encoding: str = "utf-8") -> Iterator[str]:
    """Yield the lines of a report, with the colours of a terminal; ``encoding`` says what the output can show."""
    yield click.style(f"{report.url}: {report.plan.describe()}", bold=True)
    yield ""
    yield from _counts(report)
    if report.connecting["count"]:
        yield ""
        yield from _times(report)
    if report.rows:
        yield ""
        yield from _bars(report.rows, width, encoding)
    for warning in report.warnings():
        yield ""
        yield click.style(f"Warning: {warning}", fg="yellow")
    if report.verdicts:
        yield ""
    for verdict in report.verdicts:
        yield _verdict(verdict)


def _verdict(verdict: Verdict) -> str:
    threshold, value = verdict
    shown = "not measured" if value is None else threshold.text(value)
    text = f"{threshold.name} {shown}, {'not above' if verdict.kept else 'above'} {threshold.text(threshold.limit)}"
    return click.style(text, fg="green" if verdict.kept else "red")


def _counts(report: Report) -> Iterator[str]:
    seconds = f"over {time_text(report.wall)}" if report.wall else "before anything was measured"
    seconds += ", when it was interrupted" * report.interrupted
    if report.plan.mode != "connect":
        yield _line("clients", _clients(report))
    if report.plan.sends:
        yield _line("sent", _rate(report.sent, report.wall))
    yield _line(report.plan.counted, f"{_rate(report.answered, report.wall)} {seconds}")
    for name, count in [*report.heard.items()][:_MOST_EVENTS]:
        yield _line("", f"{_rate(count, report.wall)} {printable(name, 40)}")
    for label, count in (("not sent", report.unsent), ("too late", report.late), ("unasked for", report.unasked)):
        if count:
            yield _line(label, count_text(count))
    for number, failure in enumerate(report.failures):
        text = f"{count_text(failure.count)} {failure.kind}{': ' * bool(failure.detail)}{failure.detail}"
        yield _line("" if number else "errors", click.style(text, fg="red"))
    if not report.failures:
        yield _line("errors", "none")
    if report.wall:
        lag = "" if report.lag is None else f", {time_text(report.lag)} late (p99)"
        yield _line("this side", f"{report.cpu:.0%} of a core{lag}")


def _clients(report: Report) -> str:
    lost = f", {count_text(report.lost)} lost" * bool(report.lost)
    transports = ", ".join(f"{count_text(count)} by {name}" for name, count in report.transports.items())
    return f"{count_text(report.connected)} of {count_text(report.plan.clients)}{lost}; {transports or 'none left'}"


def _line(label: str, text: str) -> str:
    return f"{label:<{_LABEL}}{text}"


def _rate(count: int, wall: float) -> str:
    return f"{count_text(count):>12} {count_text(count / wall if wall else 0.0):>10}/s"


def _times(report: Report) -> Iterator[str]:
    yield " " * _LABEL + "".join(f"{name:>8}" for name in _COLUMNS)
    rows = {"latency": report.latency, "connecting": report.connecting}
    if report.plan.mode == "connect" or not report.latency["count"]:
        del rows["latency"]
    for label, figures in rows.items():
        yield f"{label:<{_LABEL}}" + "".join(f"{time_text(figures.get(name)):>8}" for name in _COLUMNS)


def _bars(rows: Sequence[Row], width: int, encoding: str) -> Iterator[str]:
    """Yield a line for each row: its times, a bar, how many, and which share all rows up to it have."""
    ranges = [f"{time_text(row.start):>7} - {time_text(row.end):>7}" for row in rows]
    total, most = sum(row.count for row in rows), max(row.count for row in rows)
    digits = len(count_text(most))
    room = max(10, width - len(ranges[0]) - digits - 12)
    upto = 0
    for row, label in zip(rows, ranges, strict=True):
        upto += row.count
        bar = _bar(row.count / most, room, encoding)
        padded = click.style(f"{bar:<{room}}", fg="cyan")
        yield f"{label}  {padded} {count_text(row.count):>{digits}} {upto / total:>7.2%}"


def _bar(share: float, room: int, encoding: str) -> str:
    if not _can_show(encoding):
        return "#" * max(round(share * room), share > 0)
    eighths = max(round(share * room * 8), share > 0)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _can_show(encoding: str) -> bool:
    try:
        _EIGHTHS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
