"""The check of docs/parity.md, and what can be said of the table without running the tests it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.parity import REPORT, ROOT, TABLE, faults, main, read_report, read_rows

GOOD = "| x | y | `tests/a/test_b.py::test_c` |"
REPORT_OF_ALL_KINDS = """<testsuites><testsuite>
<testcase classname="tests.a.test_b" name="test_c"/>
<testcase classname="tests.a.test_b" name="test_p[fast-polling-rooms]"/>
<testcase classname="tests.a.test_b" name="test_p[fast-polling-acks]"><failure/></testcase>
<testcase classname="tests.a.test_b" name="test_skipped[1]"><skipped/></testcase>
<testcase classname="tests.a.test_b" name="test_skipped[2]"/>
<testcase classname="tests.a.test_b" name="test_torn_down"><error/></testcase>
<testcase classname="tests.a.test_b" name="test_torn_down"/>
</testsuite></testsuites>"""


def check(tmp_path: Path, *rows: str) -> list[str]:
    report = tmp_path / "report.xml"
    report.write_text(REPORT_OF_ALL_KINDS)
    return list(
        faults(read_rows("\n".join(["| feature | here | shown |", "|---|---|---|", *rows])), read_report(report))
    )


@pytest.mark.parametrize(
    "row",
    [
        GOOD,
        "| x | y | `tests/a/test_b.py::test_p[*-rooms]`, `tests/a/test_b.py::test_c` |",
        "| a \\| b | y | `tests/a/test_b.py::test_c` |",
        "| x | y | Not here: browsers have no such thing |",
    ],
)
def test_a_good_row(tmp_path: Path, row: str) -> None:
    assert check(tmp_path, row) == []


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("| x | y | |", "line 4: 'x' has neither a test nor a reason"),
        ("| x | y | Not here: no |", "line 4: 'x' has neither a test nor a reason"),
        ("| x | `tests/a/test_b.py::test_c` |", "line 4: 'x' has neither a test nor a reason"),
        ("| x | y | test_c, believe me |", "line 4: 'x' has neither a test nor a reason"),
        ("| x | y | `tests/a/test_b.py::test_gone` |", "line 4: there is no test tests/a/test_b.py::test_gone"),
        ("| x | y | `tests/a/test_b.py::test_p[*-x]` |", "line 4: there is no test tests/a/test_b.py::test_p[*-x]"),
        ("| x | y | `tests/a/test_b.py::test_p` |", "line 4: tests/a/test_b.py::test_p[fast-polling-acks] failed"),
        ("| x | y | `tests/a/test_b.py::test_skipped` |", "line 4: tests/a/test_b.py::test_skipped[1] skipped"),
        ("| x | y | `tests/a/test_b.py::test_torn_down` |", "line 4: tests/a/test_b.py::test_torn_down failed"),
    ],
)
def test_a_row_that_shows_nothing(tmp_path: Path, row: str, fault: str) -> None:
    assert check(tmp_path, GOOD, row) == [fault]


def test_an_empty_table_shows_nothing(tmp_path: Path) -> None:
    assert check(tmp_path) == ["the table has no rows"]


def test_the_exit_status_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.xml"
    table = tmp_path / "table.md"
    report.write_text(REPORT_OF_ALL_KINDS)
    for name, value in (("ROOT", tmp_path), ("REPORT", report), ("TABLE", table)):
        monkeypatch.setattr(f"tests.parity.{name}", value)
    table.write_text(f"| a | b | c |\n|---|---|---|\n{GOOD}\n")
    main()
    assert capsys.readouterr().out == "1 rows, 1 tests, 0 rows with a reason instead\n"
    table.write_text(f"| a | b | c |\n|---|---|---|\n{GOOD.replace('test_c', 'test_d')}\n")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "table.md: line 3: there is no test tests/a/test_b.py::test_d" in capsys.readouterr().err


def test_the_table_names_tests_that_are_written() -> None:
    rows = read_rows(TABLE.read_text())
    assert len(rows) > 80
    for row in rows:
        assert row.tests or len(row.reason) > 10, row
        for name in row.tests:
            path, _, test = name.partition("[")[0].partition("::")
            assert re.search(rf"^(async )?def {test}\(", (ROOT / path).read_text(), re.MULTILINE), name


def test_the_report_is_where_make_test_writes_it() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert f"--junit-xml={REPORT.relative_to(ROOT)}" in makefile
    assert "-m tests.parity" in makefile
