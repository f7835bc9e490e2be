"""From samples to tables: medians, spreads, ratios, and whether the aims were met."""

import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench.plan import QUIET, SCENARIOS, Run, Scenario, Settings
from bench.proc import threads_of_one_core
from bench.targets import TARGETS

PEERS = ("node", "python-socketio")


@dataclass(frozen=True, slots=True)
class Row:
    """One server in one scenario, over all rounds; the shares are those of one core."""

    target: str
    median: float
    lowest: float
    highest: float
    per_second: float
    server_share: float
    load_share: float
    ratios: dict[str, float]


@dataclass(frozen=True, slots=True)
class Aim:
    """A figure to reach: a server's median over a peer's, or below an absolute bound if there is no peer."""

    scenario: str
    target: str
    bound: float
    peer: str | None = None


AIMS = (
    Aim("echo", "fast", 0.75, "node"),
    Aim("echo", "fast", 0.15, "python-socketio"),
    Aim("broadcast", "fast", 0.75, "node"),
    Aim("broadcast", "fast", 0.15, "python-socketio"),
    Aim("idle", "fast", 20.0),
    Aim("echo", "portable", 0.8, "python-socketio"),
    Aim("broadcast", "portable", 0.8, "python-socketio"),
)


def summarise(runs: list[Run]) -> dict[str, list[Row]]:
    """Return the rows of each scenario that was measured, in the order of the tables."""
    return {name: rows for name, scenario in SCENARIOS.items() if (rows := _rows(scenario, runs))}


def _rows(scenario: Scenario, runs: list[Run]) -> list[Row]:
    figures: dict[str, list[float]] = {}
    for run in runs:
        if run.scenario == scenario.name:
            figures.setdefault(run.target, []).append(scenario.figure(run.sample))
    medians = {target: median(values) for target, values in figures.items()}
    rows = []
    for target in TARGETS:
        if target in figures:
            samples = [run.sample for run in runs if (run.scenario, run.target) == (scenario.name, target)]
            timed = [sample for sample in samples if sample.wall]
            rows.append(
                Row(
                    target,
                    medians[target],
                    min(figures[target]),
                    max(figures[target]),
                    median([sample.count / sample.wall for sample in timed] or [0.0]),
                    median([sample.server_cpu / sample.wall for sample in timed] or [0.0]),
                    median([sample.load_cpu / sample.wall for sample in timed] or [0.0]),
                    {peer: medians[target] / medians[peer] for peer in PEERS if peer in medians},
                )
            )
    return rows


def tables(summary: dict[str, list[Row]]) -> str:
    """Return the tables for the terminal."""
    return "\n\n".join(_as_text(SCENARIOS[name], _grid(SCENARIOS[name], rows)) for name, rows in summary.items())


def markdown(summary: dict[str, list[Row]]) -> str:
    """Return the tables as Markdown, for a page of the manual."""
    return "\n".join(_as_markdown(SCENARIOS[name], _grid(SCENARIOS[name], rows)) for name, rows in summary.items())


def _grid(scenario: Scenario, rows: list[Row]) -> list[list[str]]:
    """Return the lines of a table, the head first."""
    timed = any(row.per_second for row in rows)
    head = ["", f"median {scenario.unit}", "spread"]
    head += ["per second", "server CPU", "load CPU"] if timed else []
    head += [f"/ {peer}" for peer in PEERS if any(peer in row.ratios for row in rows)]
    return [head, *(_cells(row, timed) for row in rows)]


def _as_text(scenario: Scenario, grid: list[list[str]]) -> str:
    widths = [max(len(line[column]) for line in grid) for column in range(len(grid[0]))]
    lines = [scenario.title]
    for first, *rest in grid:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  " + "  ".join([first.ljust(widths[0]), *cells]))
    return "\n".join(lines)


def _as_markdown(scenario: Scenario, grid: list[list[str]]) -> str:
    rule = ["---", *("---:" for _ in grid[0][1:])]
    lines = [f"| {' | '.join(line)} |" for line in (grid[0], rule, *grid[1:])]
    return "\n".join([f"### {scenario.title}", "", *lines, ""])


def _cells(row: Row, timed: bool) -> list[str]:
    cells = [TARGETS[row.target].title, f"{row.median:.1f}", f"{row.lowest:.1f} to {row.highest:.1f}"]
    if timed:
        cells += [f"{row.per_second:,.0f}", f"{row.server_share:.0%}", f"{row.load_share:.0%}"]
    return cells + [f"{ratio:.2f}" for ratio in row.ratios.values()]


def aims(summary: dict[str, list[Row]]) -> list[tuple[bool, str]]:
    """Return, for each aim that was measured, whether it was met, and a line that says so."""
    verdicts = []
    for aim in AIMS:
        rows = {row.target: row for row in summary.get(aim.scenario, [])}
        row = rows.get(aim.target)
        if row is None or (aim.peer is not None and aim.peer not in row.ratios):
            continue
        value = row.median if aim.peer is None else row.ratios[aim.peer]
        unit = f" {SCENARIOS[aim.scenario].unit}" if aim.peer is None else f" of {TARGETS[aim.peer].title}"
        met = value <= aim.bound
        title = TARGETS[aim.target].title
        line = f"{'met ' if met else 'MISSED'} {aim.scenario}, {title}: {value:.2f}{unit}, at most {aim.bound:.2f}"
        verdicts.append((met, line))
    return verdicts


def disturbance(runs: list[Run]) -> str | None:
    """Return a warning that names the scenarios during which other programs kept the machine busy."""
    disturbed = []
    for name in SCENARIOS:
        shares = [run.sample.disturbance for run in runs if run.scenario == name]
        if shares and median(shares) > QUIET:
            disturbed.append(f"{name} ({median(shares):.0%} of a core)")
    return (
        f"Not to be quoted, because other programs were busy meanwhile: {', '.join(disturbed)}" if disturbed else None
    )


def machine() -> dict[str, str | int]:
    """Return what the figures were measured on."""
    models = [line for line in _read("/proc/cpuinfo").splitlines() if line.startswith("model name")]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "system": f"{platform.system()} {platform.release().partition('-')[0]} {platform.machine()}",
        "processor": models[0].partition(":")[2].strip() if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "server_and_load": "two threads of one core" if threads_of_one_core() else "a core each",
    }


def as_json(runs: list[Run], summary: dict[str, list[Row]], settings: Settings) -> dict[str, Any]:
    """Return all there is to know about a run of the bench, for a file."""
    return {
        "machine": machine(),
        "settings": asdict(settings),
        "versions": {run.target: run.versions for run in runs},
        "summary": {name: [asdict(row) for row in rows] for name, rows in summary.items()},
        "aims": [{"met": met, "aim": line} for met, line in aims(summary)],
        "disturbance": disturbance(runs),
        "runs": [asdict(run) for run in runs],
    }


def _read(path: str) -> str:
    return Path(path).read_text()
