"""The command ``python -m bench plot``: draw what the other commands have written."""

import argparse
import json
from pathlib import Path

from bench.report import charts, curves
from bench.report.results import read
from bench.targets import HERE

FILES = ("results", "growth", "soak")
"""The files that are drawn."""


def main(argv: list[str]) -> int:
    """Draw the charts of every file that is there."""
    parser = argparse.ArgumentParser(prog="python -m bench plot", description=__doc__)
    for name in FILES:
        parser.add_argument(f"--{name}", type=Path, default=HERE / f"{name}.json", help="what is drawn if it is there")
    parser.add_argument("--into", type=Path, default=HERE, help="the folder for the drawings")
    options = parser.parse_args(argv)
    drawings = draw(options.results, options.growth, options.soak)
    for name, drawing in drawings.items():
        path = options.into / f"{name}.svg"
        path.write_text(drawing)
        print(path)
    return 0 if drawings else 1


def draw(results: Path, growth: Path, soak: Path) -> dict[str, str]:
    """Return the drawings of the files that exist, by their names."""
    drawings = {}
    if results.exists():
        measured = read(results)
        drawings["costs"] = charts.costs(measured)
        if charts.timed(measured):
            drawings["latencies"] = charts.latencies(measured)
    if growth.exists():
        drawings["growth"] = curves.growth(json.loads(growth.read_text()))
    if soak.exists():
        drawings["soak"] = curves.soak(json.loads(soak.read_text()))
    return drawings
