"""Show how a load test goes, on standard error: a bar in a terminal, else a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import click

from socketeer.cli.bench.load import Status
from socketeer.cli.bench.units import count_text, time_text

__all__ = ["progress"]

_STEP = 0.1
_LEAST_PAUSE = 1.0


@contextmanager
def progress() -> Iterator[Callable[[Status], None]]:
    """Give the function to call several times a second while the test runs."""
    if not sys.stderr.isatty():
        yield _Lines().show
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
    except ImportError:  # it comes with the extra "cli"
        yield _Lines().show
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[figures]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("connecting", total=None, figures="")

        def show(status: Status) -> None:
            total = None if status.share is None else 1.0
            bar.update(
                task, description=status.phase, total=total, completed=status.share or 0.0, figures=_figures(status)
            )
            bar.refresh()

        yield show


class _Lines:
    """Write a line for each phase, and for each tenth of it but not more often than each second."""

    def __init__(self) -> None:
        self._phase = ""
        self._next_share = 0.0
        self._next_time = 0.0

    def show(self, status: Status) -> None:
        share = status.share or 0.0
        if status.phase != self._phase:
            self._phase, self._next_share, self._next_time = status.phase, 0.0, 0.0
        if share < self._next_share or monotonic() < self._next_time:
            return
        self._next_share, self._next_time = share + _STEP, monotonic() + _LEAST_PAUSE
        done = "" if status.share is None else f" {min(share, 1.0):.0%}"
        figures = _figures(status)
        click.echo(f"{status.phase}{done}{': ' if figures else ''}{figures}", err=True)


def _figures(status: Status) -> str:
    parts = []
    if status.answered:
        parts.append(f"{count_text(status.answered)} {status.counted}")
    if status.p50 is not None:
        parts.append(f"p50 {time_text(status.p50)}, p99 {time_text(status.p99)}")
    if status.errors:
        parts.append(f"{count_text(status.errors)} error{'s' * (status.errors != 1)}")
    return ", ".join(parts)
