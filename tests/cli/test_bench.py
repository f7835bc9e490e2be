"""The parts of ``socketeer bench``: what it counts, how it keeps its pace, what it takes and what it writes."""

from __future__ import annotations

import asyncio
import math
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from socketeer.cli.bench.command import command
from socketeer.cli.bench.files import TooManyFiles, make_room
from socketeer.cli.bench.histogram import Histogram
from socketeer.cli.bench.pacing import Metronome
from socketeer.cli.bench.plan import Plan, Threshold, most_in_flight
from socketeer.cli.bench.report import Failure, Report, Verdict, address_of
from socketeer.cli.bench.tally import Tally
from socketeer.cli.bench.text import lines_of
from socketeer.cli.bench.units import count_text, duration_of, printable, time_text
from tests.examples.recipes import ROOT

NANOSECONDS = st.one_of(st.integers(0, 10**12), st.integers(0, 300))


# -- the histogram


def histogram_of(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(st.lists(NANOSECONDS, min_size=1), st.floats(0, 1))
def test_quantiles_are_those_of_a_sorted_list_within_half_a_percent(values: list[int], share: float) -> None:
    found = histogram_of(values).quantile(share)
    exact = sorted(values)[max(math.ceil(share * len(values)), 1) - 1]
    assert found == pytest.approx(exact / 1e9, rel=0.005)


@given(st.lists(NANOSECONDS, min_size=1))
def test_count_mean_least_and_greatest_are_exact(values: list[int]) -> None:
    histogram = histogram_of(values)
    assert histogram.count == len(values)
    assert (histogram.min, histogram.max) == (min(values) / 1e9, max(values) / 1e9)
    assert histogram.mean == pytest.approx(sum(values) / len(values) / 1e9)


@given(st.lists(NANOSECONDS, min_size=1))
def test_rows_are_few_without_gaps_and_have_every_value(values: list[int]) -> None:
    rows = histogram_of(values).rows(16)
    assert 1 <= len(rows) <= 16
    assert all(one.end == two.start for one, two in pairwise(rows))
    assert rows[0].start <= min(values) / 1e9
    assert rows[-1].end > max(values) / 1e9
    assert sum(row.count for row in rows) == len(values)


def test_values_far_from_the_others_do_not_make_the_rows_wide() -> None:
    rows = histogram_of([1, *(1_000_000 + 1000 * number for number in range(2000)), 10**11]).rows()
    assert len(rows) >= 5
    assert (rows[0].start, rows[-1].end) == (1e-9, 112)


def test_a_histogram_that_is_empty_or_was_cleared_has_no_figures() -> None:
    histogram = histogram_of([-5, 7])
    assert (histogram.min, histogram.max) == (0, 7e-9)  # a clock that went back
    histogram.clear()
    figures = (histogram.min, histogram.max, histogram.mean, histogram.quantile(0.5), histogram.rows())
    assert figures == (None, None, None, None, [])


# -- times, sizes and text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.0, "0.00 ns"),
        (2.34e-7, "234 ns"),
        (1.234e-6, "1.23 µs"),
        (0.9996e-3, "1.00 ms"),
        (0.09996, "100 ms"),
        (12.34, "12.3 s"),
        (4321.0, "4321 s"),
    ],
)
def test_times_have_three_digits(seconds: float | None, text: str) -> None:
    assert time_text(seconds) == text


def test_counts() -> None:
    assert [count_text(count) for count in (0, 7, 7.25, 99.96, 1234.5)] == ["0", "7", "7.25", "100", "1,234"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10", 10), ("0.5s", 0.5), ("50 ms", 0.05), ("7us", 7e-6), ("2m", 120), ("-1", None), ("1e3", None), ("s", None)],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert duration_of(text) == (seconds if seconds is None else pytest.approx(seconds))


def test_text_of_others_cannot_move_the_cursor_or_fill_the_screen() -> None:
    assert printable("\x1b[2J\r\u202eevil") == r"\u001b[2J\u000d\u202eevil"
    assert len(printable("x" * 1000)) == 200


# -- the pace


def test_every_event_has_its_own_time_also_when_the_loop_was_busy() -> None:
    async def run() -> list[int]:
        dues: list[int] = []
        metronome = Metronome(1000, dues.append)
        metronome.start()
        await asyncio.sleep(0.05)
        time.sleep(0.1)
        await asyncio.sleep(0.05)
        metronome.stop()
        return dues

    dues = asyncio.run(run())
    assert len(dues) >= 199
    assert dues == [dues[0] + number * 1_000_000 for number in range(len(dues))]


def test_what_may_wait_for_answers_is_bounded_in_bytes() -> None:
    assert most_in_flight(50, 64) == 100
    assert most_in_flight(50, 1 << 20) == 1
    assert most_in_flight(1, 16 << 20) == 4


# -- what went wrong


def test_kinds_of_failures_are_bounded() -> None:
    tally = Tally()
    for number in range(1000):
        tally.fail("refused", f"number {number}\n")
    assert len(tally.failures) <= 101
    assert tally.failures["refused", r"number 0\u000a"] == 1
    assert tally.errors == 1000


# -- thresholds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p99=50ms", Threshold("p99", 0.05)),
        ("p99.9 = 1s", Threshold("p99.9", 1)),
        ("mean=2", Threshold("mean", 2)),
        ("max=1m", Threshold("max", 60)),
        ("errors=0", Threshold("errors", 0)),
        ("errors=1.5%", Threshold("errors", 0.015, True)),
    ],
)
def test_thresholds(text: str, expected: Threshold) -> None:
    found = Threshold.parse(text)
    assert (found.name, found.share) == (expected.name, expected.share)
    assert found.limit == pytest.approx(expected.limit)


@pytest.mark.parametrize("text", ["p99", "p100=1", "p=1", "min=1", "mean=fast", "errors=5ms", "errors=-1", "=1"])
def test_improper_thresholds(text: str) -> None:
    with pytest.raises(ValueError, match="no threshold"):
        Threshold.parse(text)


def test_a_figure_may_be_as_high_as_its_threshold_and_has_to_be_there() -> None:
    threshold = Threshold("p99", 0.05)
    assert [Verdict(threshold, value).kept for value in (0.05, 0.0501, None)] == [True, False, False]


# -- the report

PLAN = Plan(
    mode="ack",
    event="echo",
    payload=("x",),
    payload_bytes=1,
    echo=None,
    clients=50,
    connect_rate=100,
    warmup=1,
    duration=10,
    timeout=5,
    rate=1000,
    inflight=100,
)


def report_with(**fields: Any) -> Report:
    """Return the report of a run in which all went well, but for ``fields``."""
    times = histogram_of([1_000_000 * number for number in range(1, 1001)])
    figures = dict.fromkeys(("count", "min", "mean", "p50", "p75", "p90", "p99", "p99.9", "max"), 0.001)
    known: dict[str, Any] = {
        "url": "http://localhost:3000/",
        "plan": PLAN,
        "interrupted": False,
        "connected": 50,
        "lost": 0,
        "transports": {"websocket": 50},
        "wall": 10.0,
        "sent": 10_000,
        "answered": 10_000,
        "unsent": 0,
        "late": 0,
        "unasked": 0,
        "failures": [],
        "latency": figures,
        "connecting": figures,
        "rows": times.rows(),
        "heard": {},
        "cpu": 0.2,
        "lag": 0.001,
        "verdicts": [],
    }
    return Report(**{**known, **fields})


def text_of(report: Report, width: int = 80, encoding: str = "utf-8") -> str:
    return click.unstyle("\n".join(lines_of(report, width, encoding)))


def test_a_report_fits_the_terminal_and_shows_a_bar_for_each_row() -> None:
    report = report_with()
    text = text_of(report)
    _, *lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    bars = [line for line in lines if line.endswith("%")]
    assert [any(each in bar for each in "█▉▊▋▌▍▎▏") for bar in bars] == [row.count > 0 for row in report.rows]
    assert bars[-1].endswith(" 100.00%")
    assert "Warning" not in text
    text_of(report, encoding="ascii").replace("µ", "u").encode("ascii")


def test_what_a_server_says_is_shown_escaped() -> None:
    tally = Tally()
    tally.hear("\x1b]0;evil\x07")
    tally.fail("refused", "\x1b[31mno")
    failures = [Failure(kind, detail, count) for (kind, detail), count in tally.failures.items()]
    text = text_of(report_with(heard=dict(tally.heard), failures=failures))
    assert "\x1b" not in text
    assert r"1 refused: \u001b[31mno" in text


@pytest.mark.parametrize(
    ("fields", "warning"),
    [
        ({"cpu": 0.97}, "97% of a core"),
        ({"lag": 0.05}, "50.0 ms late"),
        ({"sent": 9000}, "900 events a second were sent, not 1,000"),
        ({"unasked": 3}, "3 events"),
    ],
)
def test_doubtful_figures_are_said_to_be(fields: dict[str, Any], warning: str) -> None:
    (found,) = report_with(**fields).warnings()
    assert warning in found


def test_the_event_that_a_short_test_ends_before_is_not_missed() -> None:
    assert not [*report_with(wall=0.5, sent=494).warnings()]


def test_a_report_names_no_secrets() -> None:
    assert address_of("https://user:password@example.com:1/admin?token=secret#x") == "https://example.com:1/admin"


# -- the options


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["http://127.0.0.1:9", *arguments])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--payload", "{"], "--payload is no JSON"),
        (["--payload", "1", "--size", "5"], "give one or the other"),
        (["--mode", "ack", "--echo", "x"], "--echo means nothing with --mode ack"),
        (["--mode", "connect", "--rate", "5"], "--rate means nothing with --mode connect"),
        (["--mode", "listen", "--binary"], "--binary means nothing with --mode listen"),
        (["--mode", "listen", "--fail-above", "p99=1s"], "measures no times"),
        (["--fail-above", "p99"], "no threshold"),
        (["--duration", "0"], "must be more than 0"),
        (["--duration", "soon"], "is no time"),
        (["--size", "1.5"], "is no size"),
        (["--size", "1000m"], "is no size"),
        (["--rate", "nan"], "is no number"),
        (["--rate", "inf"], "is no number"),
        (["--json", "/nowhere/report.json"], "cannot write /nowhere/report.json"),
        (["--auth", "1"], "is no JSON object"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_done(arguments: list[str], message: str) -> None:
    result = bench(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_more_clients_than_open_files_is_a_clear_error() -> None:
    resource = pytest.importorskip("resource", reason="this system has no such limit")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard in (-1, resource.RLIM_INFINITY):
        pytest.skip("this system sets no limit of open files")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pytest.raises(TooManyFiles, match=r"open files, and .* are allowed"):
        make_room(hard, 3)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def test_a_report_that_is_not_written_leaves_the_last_one(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("{}")
    result = bench("--json", str(path), "--timeout", "1")
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith("Error: http://127.0.0.1:9: cannot connect")
    assert path.read_text() == "{}"


def test_the_manual_names_every_option_and_every_key_of_the_report() -> None:
    page = (ROOT / "docs" / "command-line.md").read_text().partition("\n## bench\n")[2]
    options = [option for each in command.params for option in each.opts if option.startswith("--")]
    assert [option for option in options if f"`{option}" not in page] == []
    assert [key for key in report_with().as_json() if key != "socketeer" and f"`{key}`" not in page] == []
