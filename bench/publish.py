"""The command ``python -m bench publish``: put what the other commands have written into the manual.

The page has blocks between ``<!-- bench:name -->`` and ``<!-- /bench:name -->``, which are made here and never by hand.
A block whose file is missing stays as it is.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from bench import clients as crowds
from bench import plot, saturation, soak, startup
from bench.report.results import Results, read
from bench.report.summary import OURS, label
from bench.report.tables import Table, aims, as_markdown, figure, shares, short, where
from bench.targets import HERE, TARGETS

PAGE = HERE.parent / "docs" / "performance.md"
_BLOCK = re.compile(r"(<!-- bench:(\w+) -->\n).*?(<!-- /bench:\2 -->)", re.DOTALL)


def main(argv: list[str]) -> int:
    """Fill the blocks of the page, and draw its charts."""
    parser = argparse.ArgumentParser(prog="python -m bench publish", description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE, help="the page with the blocks")
    parser.add_argument("--folder", type=Path, default=HERE, help="where the other commands have written their files")
    options = parser.parse_args(argv)
    text = options.page.read_text()
    found = blocks(options.folder)
    options.page.write_text(fill(text, found))
    images = options.page.parent / "images"
    images.mkdir(exist_ok=True)
    for name, drawing in plot.draw(*(options.folder / f"{name}.json" for name in plot.FILES)).items():
        (images / f"{name}.svg").write_text(drawing)
    print(f"published: {', '.join(found) or 'nothing, for there is no file'}")
    return 0 if found else 1


def fill(text: str, found: dict[str, str]) -> str:
    """Return the page with the blocks that were found in their places.

    Raises ``ValueError`` if the page has no place for one of them.
    """
    places = {place[1] for place in _BLOCK.findall(text)}
    if missing := sorted(set(found) - places):
        raise ValueError(f"the page has no place for {', '.join(missing)}")
    return _BLOCK.sub(
        lambda place: f"{place[1]}\n{found[place[2]]}\n\n{place[3]}" if place[2] in found else place[0], text
    )


def blocks(folder: Path) -> dict[str, str]:
    """Return the blocks of all files that exist."""
    found = {}
    if (path := folder / "results.json").exists():
        results = read(path)
        found["run"] = _run(results)
        found["aims"] = as_markdown(aims(results.verdicts, titles=True))
        found["figures"] = "\n".join(map(as_markdown, short(results, titles=True)))
    makers = {"saturation": _saturation, "growth": _growth, "soak": _soak, "startup": _startup, "clients": _clients}
    for name, make in makers.items():
        if (path := folder / f"{name}.json").exists():
            found[name] = make(json.loads(path.read_text()))
    return {name: block.strip("\n") for name, block in found.items()}


def _run(results: Results) -> str:
    """Return by which command and where the figures came to be, and what ran there."""
    command = re.sub(r" --json[ =]\S+", "", results.command)
    lines = [f"    {command}", "", f"Measured on {where(results.machine)}.", ""]
    lines += [f"- *{label(name)}*: {TARGETS[name].title} ({versions})" for name, versions in results.versions.items()]
    warning = results.disturbance()
    return "\n".join(lines + (["", f"{warning}."] if warning else []))


def _saturation(facts: dict[str, Any]) -> str:
    steps = {(step["target"], step["clients"], step["in_flight"]): step for step in facts["steps"]}
    targets = list(dict.fromkeys(target for target, _, _ in steps))
    loads = list(dict.fromkeys((clients, in_flight) for _, clients, in_flight in steps))
    lines = [["clients", "in flight", *map(label, targets)]]
    for clients, in_flight in loads:
        found = [steps.get((target, clients, in_flight)) for target in targets]
        cells = [shares(step["per_second"], step["server"], step["load"]) if step else "" for step in found]
        lines.append([str(clients), str(in_flight), *cells])
    table = as_markdown(Table("Thousands a second, and how much of their cores server / load used, %", lines))
    found_out = []
    for target in targets:
        of_one = [saturation.Step(**step) for key, step in steps.items() if key[0] == target]
        found_out.append(f"- *{label(target)}*: {saturation.verdict(of_one)}")
    return "\n".join([table, *found_out])


def _growth(facts: dict[str, Any]) -> str:
    lines = [["", "against", "from", "to", "cost at first", "cost at last"]]
    for series in facts["series"]:
        first, last = series["points"][0], series["points"][-1]
        if series["target"] == OURS:
            costs = [f"{figure(point['cost'])} {series['unit']}" for point in (first, last)]
            lines.append([series["title"], series["grows"], f"{first['size']:,}", f"{last['size']:,}", *costs])
    return as_markdown(Table(f"Costs of the fast lane against size, on {where(facts['machine'])}", lines))


def _soak(facts: dict[str, Any]) -> str:
    return "\n\n".join([f"The load: {facts['load']}.", " ".join(soak.sentences(facts))])


def _clients(facts: dict[str, Any]) -> str:
    return "\n".join([f"Measured on {where(facts['machine'])}.\n", *map(as_markdown, crowds.tables(facts))])


def _startup(facts: dict[str, Any]) -> str:
    return "\n".join(map(as_markdown, startup.tables(facts)))
