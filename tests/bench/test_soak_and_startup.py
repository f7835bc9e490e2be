"""The commands that take a server through its life: they run, and write down what they saw."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent.parent


def written_by(path: Path, *arguments: str, codes: tuple[int, ...] = (0,)) -> Any:
    """Run a command of the bench, and return what it wrote to ``path``."""
    command = [sys.executable, "-m", "bench", *arguments, "--json", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode in codes, done.stdout + done.stderr
    assert path.exists(), done.stdout + done.stderr
    return json.loads(path.read_text())


def test_a_soak_reads_memory_objects_and_work(tmp_path: Path) -> None:
    found = written_by(tmp_path / "soak.json", "soak", "--minutes", "0.05", codes=(0, 1))  # too short to tell
    first, last = found["readings"][0], found["readings"][-1]
    assert len(found["readings"]) >= 2
    assert min(first["memory"], last["memory"]) > 1_000_000
    assert min(first["objects"], last["objects"]) > 1000
    assert last["messages"] > first["messages"]
    assert last["cpu"] > first["cpu"]
    ElementTree.parse(tmp_path / "soak.svg")


def test_startup_measures_imports_starts_and_first_requests(tmp_path: Path) -> None:
    found = written_by(tmp_path / "startup.json", "startup", "--times", "1", "--servers", "fast")
    assert found["imports"]["fast"]["modules"] > 100
    assert len(found["costliest"]) == 10
    assert min(found["starts"]["fast"].values()) > 0


def test_crowds_of_clients_are_measured_over_each_way(tmp_path: Path) -> None:
    options = ("--clients", "10", "--rounds", "1", "--idle", "0.2", "--seconds", "0.2", "--libraries", "socketeer")
    found = written_by(tmp_path / "clients.json", "clients", *options)
    assert [*found["ways"]] == ["websocket", "polling,websocket", "polling"]
    for way in found["ways"].values():
        assert min(way["socketeer"]["connecting"], way["socketeer"]["asking"], way["socketeer"]["receiving"]) > 0
