"""Check docs/parity.md: each row names tests that exist and passed, or says why the feature is not here.

Run as ``python -m tests.parity``. The results are read from the report that ``make test`` writes; without one the tests
that are named run now.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

__all__ = ["REPORT", "TABLE", "Row", "faults", "read_report", "read_rows"]

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs" / "parity.md"
REPORT = ROOT / "build" / "tests.xml"
REASON = "Not here: "
_NAME = re.compile(r"`(tests/[\w/]+\.py::test_\w+(?:\[[^`]+\])?)`")

Outcomes = Mapping[str, str]
"""What became of each case: ``passed``, ``skipped`` or ``failed``, by its node id."""


class Row(NamedTuple):
    """Hold one row of the table."""

    line: int
    feature: str
    tests: tuple[str, ...]
    reason: str


def read_rows(text: str) -> list[Row]:
    """Read the rows of every table of three columns, without their heads."""
    rows = []
    head = True
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("|"):
            head = True
        elif head:
            head = False
        elif not re.fullmatch(r"[|\s:-]+", line):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            shown = cells[2] if len(cells) == 3 else ""
            reason = shown.partition(REASON)[2]
            rows.append(Row(number, cells[0], tuple(_NAME.findall(shown)), reason))
    return rows


def read_report(path: Path) -> dict[str, str]:
    """Read a JUnit report."""
    outcomes: dict[str, str] = {}
    for case in ElementTree.parse(path).iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        node = f"{(case.get('classname') or '').replace('.', '/')}.py::{case.get('name')}"
        if outcomes.get(node) != "failed":  # an error of the teardown is a second entry
            outcomes[node] = outcome
    return outcomes


def cases(name: str, outcomes: Outcomes) -> list[str]:
    """Give the cases that a name stands for: all of a test, or those whose parameters fit the pattern in brackets."""
    test, _, pattern = name.partition("[")
    found = []
    for node in outcomes:
        base, _, parameters = node.partition("[")
        if base == test and (not pattern or fnmatchcase(parameters, pattern.replace("[", "[[]"))):
            found.append(node)
    return found


def faults(rows: Sequence[Row], outcomes: Outcomes) -> Iterator[str]:
    """Give what is wrong with the table."""
    if not rows:
        yield "the table has no rows"
    for row in rows:
        if not row.tests and len(row.reason) < 10:
            yield f"line {row.line}: {row.feature!r} has neither a test nor a reason"
        for name in row.tests:
            found = cases(name, outcomes)
            if not found:
                yield f"line {row.line}: there is no test {name}"
            for node in found:
                if outcomes[node] != "passed":
                    yield f"line {row.line}: {node} {outcomes[node]}"


def run(rows: Sequence[Row]) -> dict[str, str]:
    """Run the tests that are named."""
    tests = sorted({name.partition("[")[0] for row in rows for name in row.tests})
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "tests.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", f"--junit-xml={report}"]
        subprocess.run([*command, *tests], cwd=ROOT, check=False)
        return read_report(report)


def main() -> None:
    """Print what is wrong, and say so by the exit status."""
    rows = read_rows(TABLE.read_text())
    found = list(faults(rows, read_report(REPORT) if REPORT.exists() else run(rows)))
    for fault in found:
        print(f"{TABLE.relative_to(ROOT)}: {fault}", file=sys.stderr)
    if found:
        sys.exit(1)
    tests = {name for row in rows for name in row.tests}
    print(f"{len(rows)} rows, {len(tests)} tests, {sum(not row.tests for row in rows)} rows with a reason instead")


if __name__ == "__main__":
    main()
