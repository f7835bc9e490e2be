"""Times, sizes and counts as people write and read them, and text of others made safe for a terminal."""

from __future__ import annotations

import re

import click

from socketeer.cli.client.values import safe

__all__ = ["count_text", "duration_of", "printable", "time_text", "to_duration", "to_rate", "to_size"]

_NUMBER = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-zµ]*)", re.IGNORECASE)
_SECONDS = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "m": 60.0, "min": 60.0, "h": 3600.0}
_BYTES = {"": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "m": 1 << 20, "mb": 1 << 20}
_MOST_SECONDS, _MOST_BYTES, _MOST_RATE = 86_400, 64 << 20, 1e6
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def _amount(text: str, units: dict[str, float] | dict[str, int]) -> float | None:
    match = _NUMBER.fullmatch(text.strip())
    unit = units.get(match[2].lower()) if match else None
    return None if match is None or unit is None else float(match[1]) * unit


def duration_of(text: str) -> float | None:
    """Return the seconds that ``10``, ``50ms`` or ``2m`` stand for, or ``None`` for anything else."""
    return _amount(text, _SECONDS)


def to_duration(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
    """Convert an option of the command line that is a time."""
    seconds = None if text is None else duration_of(text)
    if text is not None and (seconds is None or seconds > _MOST_SECONDS):
        raise click.BadParameter(f"{text!r} is no time of up to a day, as in 10, 500ms or 2m", ctx, param)
    return seconds


def to_size(ctx: click.Context, param: click.Parameter, text: str | None) -> int | None:
    """Convert an option of the command line that is a number of bytes."""
    size = None if text is None else _amount(text, _BYTES)
    if text is not None and (size is None or size > _MOST_BYTES or size != int(size)):
        raise click.BadParameter(f"{text!r} is no size of up to 64m bytes, as in 64, 16k or 1m", ctx, param)
    return None if size is None else int(size)


def to_rate(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
    """Convert an option of the command line that is a number of things a second."""
    if text is None:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= _MOST_RATE:  # nor is it what is no number at all
        raise click.BadParameter(f"{text!r} is no number above 0 and up to a million", ctx, param)
    return rate


def time_text(seconds: float | None) -> str:
    """Write a time with three digits and a unit that suits it."""
    if seconds is None:
        return "-"
    for unit, name in _UNITS:
        amount = _three_digits(seconds / unit)
        if float(amount) >= 1 or name == "ns":
            return f"{amount} {name}"
    raise AssertionError("the last unit takes what is left")


def _three_digits(amount: float) -> str:
    for decimals in (2, 1):
        text = f"{amount:.{decimals}f}"
        if len(text) <= 4:
            return text
    return f"{amount:.0f}"


def count_text(count: float) -> str:
    """Write a count or a rate: whole from a hundred on, with thousands marked."""
    if count >= 100 or count == int(count):
        return f"{count:,.0f}"
    return f"{count:.3g}"


def printable(text: str, most: int = 200) -> str:
    """Return text that came from elsewhere with its control characters escaped, cut where it is long."""
    shown = safe(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
