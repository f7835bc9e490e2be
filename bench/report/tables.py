"""The tables of a run: on a terminal of 120 columns, and as Markdown for the manual.

The short form has a line for each workload and a column for each server; the long one a table for each workload.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from bench.plan import SCENARIOS
from bench.report.results import Results
from bench.report.summary import FEATURES, OURS, PEERS, Row, Verdict, label
from bench.targets import TARGETS

_RATE = "Thousands a second, and how much of their cores server / load used, % (†: the load was at its limit)"
_LATENCY = "Latency p50 / p99, ms"
_MEMORY = "Resident memory of the server, MB"


@dataclass(frozen=True, slots=True)
class Table:
    """Lines of cells under a title; the first line is the head, the first column names the lines."""

    title: str
    lines: list[list[str]]


def report(results: Results, *, markdown: bool = False, every_detail: bool = False) -> str:
    """Return all there is to tell about a run: the machine, the servers, the tables, the figures to reach."""
    lines = [where(results.machine)]
    lines += [f"{label(name)}: {TARGETS[name].title} ({results.versions[name]})" for name in _targets(results)]
    found = long(results) if every_detail else short(results, titles=markdown)
    found += [aims(results.verdicts, titles=markdown)] if results.verdicts else []
    form = as_markdown if markdown else as_text
    warning = results.disturbance()
    if not markdown:
        lines += ["", *(f"{name:<20}{workload(name, rows)}" for name, rows in results.rows.items())]
    return "\n\n".join(["\n".join(lines), *map(form, found), *([warning] if warning else [])])


def where(machine: dict[str, str | int]) -> str:
    """Return what a run was measured on."""
    cores = f"{machine['processor']}, {machine['cores']} cores (server and load on {machine['server_and_load']})"
    return f"{cores}, {machine['system']}, {machine['date']}"


def workload(name: str, rows: list[Row]) -> str:
    """Return the title of a workload, with the number of clients if there were fewer than the plan has."""
    scenario = SCENARIOS[name]
    fewer = min(row.clients for row in rows)
    return scenario.title if fewer == scenario.clients + scenario.others else f"{scenario.title} ({fewer:,} clients)"


def short(results: Results, *, titles: bool) -> list[Table]:
    """Return tables with a line for each workload, by its title or just its name, and a column for each server."""
    grid = _Grid(results.rows, _targets(results), titles)
    timed = [name for name in grid.rows if SCENARIOS[name].timed]
    answered = [name for name in timed if any(row.p50 is not None for row in grid.rows[name])]
    tables = [
        *_costs(grid),
        _features(grid),
        grid.table(_RATE, timed, _rate),
        grid.table(_LATENCY, answered, _latency),
        grid.table(_MEMORY, list(grid.rows), lambda row: f"{row.memory / 1e6:.0f}"),
    ]
    return [table for table in tables if len(table.lines) > 1]


def long(results: Results) -> list[Table]:
    """Return a table for each workload with all there is to a server in a line."""
    tables = []
    for name, rows in results.rows.items():
        scenario = SCENARIOS[name]
        peers = [peer for peer in PEERS if any(peer in row.ratios for row in rows)]
        head = ["", scenario.unit, "spread", "/s", "server", "load", "p50 ms", "p99 ms", "MB"]
        lines = [head + [f"/{label(peer)}" for peer in peers]]
        for row in rows:
            cells = [label(row.target), figure(row.median), f"{figure(row.lowest)} to {figure(row.highest)}"]
            cells += [f"{row.per_second:,.0f}", f"{row.server_share:.0%}", f"{row.load_share:.0%}"]
            cells += [_milliseconds(row.p50), _milliseconds(row.p99), f"{row.memory / 1e6:.0f}"]
            lines.append(cells + [f"{row.ratios[peer]:.2f}" for peer in peers])
        tables.append(Table(f"{workload(name, rows)}: {scenario.measure}", lines))
    return tables


def aims(verdicts: list[Verdict], *, titles: bool) -> Table:
    """Return the figures to reach and what became of them."""
    peers = [peer for peer in (None, *PEERS) if any(verdict.peer == peer for verdict in verdicts)]
    lines = [["", *("itself" if peer is None else f"of {label(peer)}" for peer in peers)]]
    for name, group in groupby(verdicts, lambda verdict: verdict.scenario):
        cells = {verdict.peer: _verdict(verdict) for verdict in group}
        lines.append([SCENARIOS[name].title if titles else name, *(cells.get(peer, "") for peer in peers)])
    return Table("Figures to reach, of the fast lane", lines)


def as_text(table: Table) -> str:
    """Return a table for the terminal."""
    widths = [max(len(line[column]) for line in table.lines) for column in range(len(table.lines[0]))]
    lines = [table.title]
    for first, *rest in table.lines:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([f"  {first.ljust(widths[0])}", *cells]).rstrip())
    return "\n".join(lines)


def as_markdown(table: Table) -> str:
    """Return a table for a page of the manual."""
    rule = ["---", *("---:" for _ in table.lines[0][1:])]
    lines = [f"| {' | '.join(line)} |" for line in (table.lines[0], rule, *table.lines[1:])]
    return "\n".join([f"**{table.title}**", "", *lines, ""])


def figure(value: float) -> str:
    """Return a figure with three significant digits or more."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 1000 else f"{value:,.0f}"


def _targets(results: Results) -> list[str]:
    return [target for target in TARGETS if target in results.versions]


def shares(per_second: float, server: float, load: float) -> str:
    """Return a rate in thousands, and what the server and the load used of their cores, in percent."""
    return f"{figure(per_second / 1000)} {server * 100:.0f}/{load * 100:.0f}"


def _by_measure(rows: dict[str, list[Row]]) -> Iterator[tuple[str, list[str]]]:
    """Return the names of scenarios that share a unit, under what they measure."""

    def title(name: str) -> str:
        scenario = SCENARIOS[name]
        return f"{scenario.measure[0].upper()}{scenario.measure[1:]}, {scenario.unit}"

    titles = {title(name): None for name in rows}
    return ((wanted, [name for name in rows if title(name) == wanted]) for wanted in titles)


@dataclass(frozen=True, slots=True)
class _Grid:
    """What all tables of a run with a column for each server have in common."""

    rows: dict[str, list[Row]]
    targets: list[str]
    titles: bool

    def table(self, title: str, names: Iterable[str], cell: Callable[[Row], str]) -> Table:
        """Return a table with a line for each of the workloads."""
        lines = [["", *map(label, self.targets)]]
        for name in names:
            cells = {row.target: cell(row) for row in self.rows[name]}
            lines.append([self.name(name), *(cells.get(target, "") for target in self.targets)])
        return Table(title, lines)

    def name(self, name: str) -> str:
        """Return what a line is called."""
        return workload(name, self.rows[name]) if self.titles else name


def _costs(grid: _Grid) -> list[Table]:
    """Return medians with their spread, and our ratios to the peers: in a table of their own where titles take room."""
    ratios = _ratios(grid)
    tables = []
    for title, names in _by_measure(grid.rows):
        table = grid.table(title, names, _cost)
        if not grid.titles:
            for line, name in zip(table.lines, ["", *names], strict=True):
                line += ratios[name]
        tables.append(table)
    if grid.titles and ratios[""]:
        lines = [[grid.name(name) if name else "", *cells] for name, cells in ratios.items()]
        tables.append(Table("The figures of the fast lane over those of its peers", lines))
    return tables


def _ratios(grid: _Grid) -> dict[str, list[str]]:
    """Return the cells of each workload, under its name, and those of the head, under none."""
    peers = [peer for peer in PEERS if peer in grid.targets and OURS in grid.targets]
    cells = {"": [f"/{label(peer)}" for peer in peers]}
    for name, rows in grid.rows.items():
        found = next((row.ratios for row in rows if row.target == OURS), {})
        cells[name] = [f"{found[peer]:.2f}" if peer in found else "" for peer in peers]
    return cells


def _features(grid: _Grid) -> Table:
    """Return what features cost: the figures with them over those without."""
    table = Table("The same with a feature, of what it is without", [["", *map(label, grid.targets)]])
    for name, plain in FEATURES.items():
        with_it, without = ({row.target: row.median for row in grid.rows.get(key, [])} for key in (name, plain))
        ratios = {target: with_it[target] / without[target] for target in with_it if without.get(target)}
        if ratios:
            cells = (f"{ratios[target]:.2f}" if target in ratios else "" for target in grid.targets)
            table.lines.append([grid.name(name), *cells])
    return table


def _cost(row: Row) -> str:
    """Return the median, and how far off the farthest round was, if there is more than one."""
    off = max(row.highest - row.median, row.median - row.lowest)
    return f"{figure(row.median)}±{off / row.median:.0%}" if off and row.median else figure(row.median)


def _rate(row: Row) -> str:
    return shares(row.per_second, row.server_share, row.load_share) + ("†" if row.limited_by_load else "")


def _latency(row: Row) -> str:
    return f"{_milliseconds(row.p50)} / {_milliseconds(row.p99)}"


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else figure(seconds * 1000)


def _verdict(verdict: Verdict) -> str:
    relation = "≤" if verdict.equal else "<"
    unit = f" {SCENARIOS[verdict.scenario].unit}" if verdict.peer is None else ""
    return f"{verdict.value:.2f}{unit} {relation} {verdict.bound:g}: {'met' if verdict.met else 'MISSED'}"
