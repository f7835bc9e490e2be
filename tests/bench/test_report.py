"""What is made of samples: medians, ratios, verdicts, tables that fit, charts that are true to scale, a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import cargo, publish
from bench.load.meter import Sample
from bench.plan import SCENARIOS, Run
from bench.report import charts, curves, tables
from bench.report.results import Results, machine, read
from bench.report.summary import AIMS, FEATURES, PEERS
from bench.soak import slope
from bench.targets import TARGETS

SVG = "{http://www.w3.org/2000/svg}"
COSTS = {"fast": (10e-6, 12e-6, 11e-6), "node": (20e-6, 22e-6, 44e-6), "floor": (8e-6, 8e-6, 9e-6)}


def run(number: int, scenario: str, target: str, cost: float, clients: int | None = None) -> Run:
    """Return a run in which a message cost the server so many seconds."""
    sample = Sample(100_000, 2.0, cost * 100_000, 1.0, 0.0, 0.001, 0.0025, 50_000_000, growth=cost * 1e9)
    return Run(number, scenario, target, f"{target} 1.0", clients or SCENARIOS[scenario].clients, sample)


def results(scenarios: tuple[str, ...] = ("echo", "idle")) -> Results:
    """Return three rounds with known costs."""
    runs = [
        run(number, scenario, target, cost)
        for scenario in scenarios
        for target, costs in COSTS.items()
        for number, cost in enumerate(costs)
    ]
    return Results("python -m bench", machine(), {"rounds": 3}, runs)


def test_a_row_has_the_median_the_spread_and_the_ratios() -> None:
    row = results().rows["echo"][0]
    assert (row.target, row.median, row.lowest, row.highest) == ("fast", *map(pytest.approx, (11.0, 10.0, 12.0)))
    assert row.ratios == {"node": pytest.approx(0.5), "floor": pytest.approx(11 / 8)}
    assert (row.per_second, row.load_share) == (50_000, 0.5)
    assert row.server_share == pytest.approx(0.55)
    assert (row.p50, row.p99, row.memory) == (0.001, 0.0025, 50_000_000)


def test_a_bound_is_met_or_missed() -> None:
    verdicts = {(verdict.scenario, verdict.peer): verdict.met for verdict in results().verdicts}
    assert verdicts == {
        ("echo", "node"): True,  # half of it, as it may be
        ("echo", "floor"): False,  # 1.375
        ("idle", None): True,  # 11 kB
        ("idle", "node"): True,
    }
    equal = [run(0, "idle", target, 15e-6) for target in ("fast", "node")]
    assert [verdict.met for verdict in replace(results(), runs=equal).verdicts] == [True, False]  # has to be below


def test_aims_and_features_name_what_is_measured() -> None:
    assert {aim.scenario for aim in AIMS} | set(FEATURES) | set(FEATURES.values()) <= set(SCENARIOS)
    assert {peer for aim in AIMS for peer in aim.peers} <= set(PEERS) <= set(TARGETS)
    assert set(charts.SHOWN) | set(charts.TIMED) <= set(SCENARIOS)
    assert {aim.scenario for aim in AIMS} <= set(charts.SHOWN)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    results().write(tmp_path / "new" / "results.json")
    assert read(tmp_path / "new" / "results.json") == results()


def test_the_tables_of_everything_fit_on_a_terminal() -> None:
    targets = [target for target in TARGETS if target != "python-socketio-default"]
    runs = [
        run(number, scenario, target, 1234.5e-6 * (1 + number / 7))
        for scenario in SCENARIOS
        for target in targets
        for number in range(3)
    ]
    everything = replace(results(), runs=runs)
    found = [*tables.short(everything, titles=False), *tables.long(everything)]
    for table in [*found, tables.aims(everything.verdicts, titles=False)]:
        for line in tables.as_text(table).splitlines():
            assert len(line) <= 120, line


def test_a_table_tells_of_fewer_clients_and_of_a_load_at_its_limit() -> None:
    few = run(0, "broadcast", "fast", 10e-6, clients=30)
    limited = replace(few, sample=replace(few.sample, server_cpu=1.0, load_cpu=1.99))
    found = tables.report(replace(results(), runs=[limited]), markdown=True)
    assert "| Broadcast to 500 (30 clients) | 50.0 50/100† |" in found


def test_a_bar_is_as_long_as_its_figure() -> None:
    root = ElementTree.fromstring(charts.costs(results(("echo",))))
    widths = [float(bar.attrib["width"]) for bar in root.iter(f"{SVG}rect") if "fill" in bar.attrib]
    assert [width / widths[0] for width in widths] == pytest.approx([1.0, 22 / 11, 8 / 11], rel=0.01)


def test_a_line_of_growth_begins_at_zero() -> None:
    points = [{"size": size, "cost": 10.0 + size / 100} for size in (0, 500, 1000)]
    series = {"name": "x", "title": "X", "grows": "others", "concerned": False, "unit": "µs"}
    facts = {"series": [series | {"measure": "server CPU per message", "target": "fast", "points": points}]}
    root = ElementTree.fromstring(curves.growth(facts))
    (line,) = root.iter(f"{SVG}polyline")
    (_, y1), (_, y2), (_, y3) = (map(float, place.split(",")) for place in line.attrib["points"].split())
    floor = max(float(rule.attrib["y1"]) for rule in root.iter(f"{SVG}line"))
    assert (floor - y3) / (floor - y1) == pytest.approx(2.0, rel=0.01)
    assert y1 - y2 == pytest.approx(y2 - y3, abs=0.2)


def test_drawings_ask_for_nothing_else() -> None:
    for drawing in (charts.costs(results()), charts.latencies(results())):
        assert not [part for part in ("<script", "href", "url(", "@import") if part in drawing]


def test_the_manual_has_a_place_for_every_block(tmp_path: Path) -> None:
    page = publish.PAGE.read_text()
    names = ("run", "aims", "figures", "saturation", "growth", "soak", "startup", "clients")
    filled = publish.fill(page, {name: f"new {name}" for name in names})
    assert [name for name in names if f"<!-- bench:{name} -->\n\nnew {name}\n\n<!-- /bench:{name} -->" in filled] == [
        *names
    ]
    assert publish.fill(page, {}) == page
    with pytest.raises(ValueError, match="no place for other"):
        publish.fill(page, {"other": ""})


def test_publish_puts_a_run_into_the_page(tmp_path: Path) -> None:
    replace(results(), command="python -m bench --json somewhere.json --quick").write(tmp_path / "results.json")
    page = tmp_path / "docs" / "performance.md"
    page.parent.mkdir()
    page.write_text(publish.PAGE.read_text())
    assert publish.main(["--page", str(page), "--folder", str(tmp_path)]) == 0
    assert "    python -m bench --quick\n" in page.read_text()
    assert "| Echo, 64 B | 11.0±9% | 22.0±100% | 8.00±12% |" in page.read_text()
    assert ElementTree.parse(page.parent / "images" / "costs.svg").getroot().tag == f"{SVG}svg"


def test_the_slope_of_a_line_is_not_moved_by_outliers() -> None:
    points = [(float(second), 1000.0 + 2 * second) for second in range(30)]
    points[7] = (7.0, 1e9)
    found = slope(points)
    assert found.per_minute == pytest.approx(120.0)
    assert found.low <= found.per_minute <= found.high


def test_the_rust_lock_file_gets_its_sources_back() -> None:
    pinned = (cargo.RUST / "Cargo.lock").read_text()
    assert "source = " not in pinned
    source = 'source = "registry+somewhere"'
    restored = cargo.with_sources(pinned, f"{source}\n{source}\n")
    assert restored.count(source) == pinned.count("checksum = ") > 50
    assert cargo.without_sources(restored) == pinned
    with pytest.raises(ValueError, match="not 2"):
        cargo.with_sources(pinned, f'{source}\nsource = "registry+elsewhere"\n')
