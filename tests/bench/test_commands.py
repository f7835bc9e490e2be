"""The commands of the bench work: runs too short to quote, and what they refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import growth, runs, saturation
from bench.plan import FAMILIES, SCENARIOS, Run, Settings
from bench.runs import bounded, pairs
from bench.targets import DEFAULT_TARGETS, TARGETS, TargetError

ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS = Settings(rounds=1, seconds=1.0, warm_up=0.1, warm=False, patience=0.0, most_clients=None)


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)


def facts(path: Path) -> Any:
    """Return what a command wrote."""
    return json.loads(path.read_text())


def test_a_quick_run_measures_what_it_is_asked_for(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    choice = ("--quick", "--seconds", "0.3", "--rounds", "2", "--clients", "5", "--servers", "fast,floor")
    done = bench(*choice, "--only", "echo", "--json", str(results))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "socketeer, fast lane" in done.stdout
    order = [(run["round"], run["scenario"], run["target"]) for run in facts(results)["runs"]]
    assert order == [
        (0, "echo", "fast"),
        (0, "echo", "floor"),
        (1, "echo", "floor"),
        (1, "echo", "fast"),
    ]
    assert all(run["clients"] == 5 and run["sample"]["count"] > 0 for run in facts(results)["runs"])


def test_a_choice_without_anything_to_measure_is_refused() -> None:
    done = bench("--servers", "floor", "--only", "room", "--json", "/dev/null")
    assert done.returncode == 1
    assert "nothing to measure" in done.stderr


def test_a_run_that_fails_leaves_the_others_alone() -> None:
    broken = replace(TARGETS["floor"], command=(sys.executable, "-c", "print('no')"))
    planned = pairs([broken, TARGETS["floor"]], [SCENARIOS["echo"]], True)
    failed, run = runs.runs(planned, replace(SETTINGS, seconds=0.2, most_clients=2))
    assert isinstance(failed, TargetError)
    assert "bare picows did not start: no" in str(failed)
    assert isinstance(run, Run)
    assert run.sample.count > 0


def test_growth_writes_a_curve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "growth.json"
    options = ["--rounds", "1", "--seconds", "0.2", "--servers", "fast", "--only", "disconnect-rooms", "--most", "0"]
    assert growth.main([*options, "--json", str(written)]) == 0, capsys.readouterr().err
    (curve,) = facts(written)["series"]
    assert (curve["name"], curve["target"], curve["concerned"]) == ("disconnect-rooms", "fast", False)
    (point,) = curve["points"]
    assert point["size"] == 0
    assert 0 < point["lowest"] <= point["cost"] <= point["highest"]


def test_saturation_writes_its_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "saturation.json"
    options = ["--servers", "floor", "--seconds", "0.2", "--steps", "2x1,2x3"]
    assert saturation.main([*options, "--json", str(written)]) == 0, capsys.readouterr().err
    steps = facts(written)["steps"]
    assert [(step["clients"], step["in_flight"]) for step in steps] == [(2, 1), (2, 3)]
    assert all(step["per_second"] > 0 and step["server"] > 0 and step["load"] > 0 for step in steps)


def test_names_select_one_workload_or_a_family() -> None:
    assert not set(FAMILIES) & set(SCENARIOS) - {
        name for name, scenario in SCENARIOS.items() if scenario.family == name
    }
    done = bench("--only", "eccho", "--servers", "floor")
    assert done.returncode == 2
    assert "'eccho' is none of echo" in done.stderr


def test_servers_are_measured_in_what_they_can_do() -> None:
    chosen = [TARGETS[name] for name in DEFAULT_TARGETS]
    planned = {(scenario.name, target.name) for scenario, target in pairs(chosen, [*SCENARIOS.values()], False)}
    assert {("echo", "portable"), ("polling", "node"), ("typed", "fast"), ("echo", "floor")} <= planned
    assert not {("echo-1k", "portable"), ("typed", "node"), ("polling", "floor"), ("room", "floor")} & planned
    asked_for = pairs([TARGETS["portable"], TARGETS["floor"]], [SCENARIOS["echo-1k"], SCENARIOS["room"]], True)
    assert [(scenario.name, target.name) for scenario, target in asked_for] == [
        ("echo-1k", "portable"),
        ("echo-1k", "floor"),
        ("room", "portable"),
    ]


def test_too_few_open_files_fail_what_needs_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    heartbeats = SCENARIOS["heartbeats"]
    for limit, clients in ((30_000, 20_000), (20_000, 19_900)):
        monkeypatch.setattr(runs, "allow_open_files", lambda limit=limit: limit)
        assert bounded(heartbeats, SETTINGS).clients == clients
    assert "100 clients fewer" in capsys.readouterr().err
    monkeypatch.setattr(runs, "allow_open_files", lambda: 4096)
    with pytest.raises(TargetError, match="20,100 open files and the limit is 4,096"):
        bounded(heartbeats, SETTINGS)
