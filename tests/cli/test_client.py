"""What `socketeer client` reads and shows: lines, values, and what a server sends, in a shape that terminals bear."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from socketeer.cli.client.command import command
from socketeer.cli.client.happenings import (
    Answered,
    Connected,
    Disconnected,
    Failed,
    Happening,
    Note,
    Packet,
    Received,
    Refused,
    Replied,
    Retrying,
    Unanswered,
    Upgraded,
    write_line,
)
from socketeer.cli.client.lines import Emission, lines_of, quote, read_emission, read_values, read_words
from socketeer.cli.client.paint import Painter
from socketeer.cli.client.values import BadValue, safe

TIME = "12:34:56.789"
SGR = re.compile(r"\x1b\[[0-9;]*m")


def painter(*, color: bool = False, width: int = 100) -> Painter:
    return Painter(color=color, width=lambda: width, clock=lambda: datetime(2024, 1, 1, 12, 34, 56, 789_999, UTC))


# -- what is typed


@pytest.mark.parametrize(
    ("line", "event", "args"),
    [
        ("ready", "ready", ()),
        ("say hello there", "say", ("hello", "there")),
        ("say \"hello there\" 'and so on'", "say", ("hello there", "and so on")),
        (
            'all 1 -2.5 1e3 true false null {"a": [1, {}]} []',
            "all",
            (1, -2.5, 1000.0, True, False, None, {"a": [1, {}]}, []),
        ),
        ("odd 007 NaN Infinity 1x tru - it's", "odd", ("007", "NaN", "Infinity", "1x", "tru", "-", "it's")),
        ("  spaced \t out  ", "spaced", ("out",)),
        ('"chat message" hi', "chat message", ("hi",)),
        ("'chat message' hi", "chat message", ("hi",)),
        ('"/path" 1', "/path", (1,)),
        ("image base64:AAH/ base64:", "image", (b"\0\1\xff", b"")),
        ('nested {"raw": {"$base64": "AAH/"}, "$base64": 1}', "nested", ({"raw": b"\0\1\xff", "$base64": 1},)),
        ('strings "@file" "base64:AA" "1"', "strings", ("@file", "base64:AA", "1")),
        ("at @", "at", ("@",)),
    ],
)
def test_lines(line: str, event: str, args: tuple[Any, ...]) -> None:
    assert read_emission(line) == Emission(event, args)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sum? 1 2", Emission("sum", (1, 2), ack=True)),
        ('"chat message"? hi', Emission("chat message", ("hi",), ack=True)),
        ('"really?" 1', Emission("really?", (1,))),
        ("?", Emission("?")),
        ("/ack sum 1", Emission("sum", (1,), ack=True)),
        ("/volatile /ack move 1", Emission("move", (1,), ack=True, volatile=True)),
    ],
)
def test_lines_say_how_to_send(line: str, expected: Emission) -> None:
    assert read_emission(line) == expected


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "the name of an event is missing"),
        ("/ack", "the name of an event is missing"),
        ("/raw 1", "/raw is for the prompt"),
        ('a {"b" 1}', "not JSON: Expecting ':' delimiter at column 8"),
        ('a "b', "not JSON: Unterminated string"),
        ("a 'b", "quote at column 3 is not closed"),
        ('a "b"c', "a space is missing at column 6"),
        ("a [1]2", "a space is missing at column 6"),
        ("a base64:x", "not base64: x"),
        ('a {"$base64": "x"}', "not base64: x"),
        ("a [NaN]", "NaN is not JSON"),
        ("a [" + "1" * 5000 + "]", "not JSON: Exceeds the limit"),
        ("a " + "[" * 100_000, "nested too deeply"),
        ("a @/does/not/exist", "cannot read /does/not/exist: No such file"),
    ],
)
def test_wrong_lines_are_explained(line: str, problem: str) -> None:
    with pytest.raises(BadValue, match=re.escape(problem)):
        read_emission(line)


def test_lines_that_are_pasted_are_lines_but_for_json_that_goes_over_several() -> None:
    state = 'state {\n  "a": [1,\n2], "}{": "["\n}'
    assert lines_of(f"ready\n{state}\n\nsay ']' 1\nsay }} 2\nsay hello") == [
        *("ready", state, "", "say ']' 1", "say } 2", "say hello"),
    ]
    assert read_emission(state).args == ({"a": [1, 2], "}{": "["},)


def test_files(tmp_path: Path) -> None:
    (tmp_path / "a b").write_bytes(b"\x89PNG")
    assert read_values(f'@"{tmp_path}/a b" 1') == [b"\x89PNG", 1]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["chat message", "hi there", "3", '{"a": 1}', ' "x" '],
            Emission("chat message", ("hi there", 3, {"a": 1}, "x")),
        ),
        (["sum?", "1", "-2"], Emission("sum", (1, -2), ack=True)),
        (['"really?"', ""], Emission("really?", ("",))),
        (["sum? 1 2"], Emission("sum", (1, 2), ack=True)),
        (['"chat message"'], Emission("chat message")),
        (["say", "a", "it's"], Emission("say", ("a", "it's"))),
    ],
)
def test_the_words_of_a_shell(words: list[str], expected: Emission) -> None:
    assert read_words(words) == expected


@pytest.mark.parametrize("word", ["chat message", "chat message?", " a b "])
def test_a_word_that_may_be_a_name_or_a_line_is_not_guessed_at(word: str) -> None:
    with pytest.raises(BadValue, match="quote the name of the event"):
        read_words([word])


@given(st.text(min_size=1))
def test_a_name_that_is_completed_is_read_again(event: str) -> None:
    written = quote(event)
    assert written == safe(written)
    assert read_emission(written) == Emission(event)


# -- what is shown

SHOWN: list[tuple[Happening, str, dict[str, Any]]] = [
    (
        Connected("/", "abc", "polling", recovered=True),
        "● / connected as abc over polling (what was missed follows)",
        {"connect": {"id": "abc", "transport": "polling", "namespace": "/", "recovered": True}},
    ),
    (Upgraded("websocket"), "● upgraded to websocket", {"upgrade": "websocket"}),
    (
        Disconnected("/a", "transport error", "reset"),
        "● /a disconnected: transport error (reset)",
        {"disconnect": "transport error", "description": "reset"},
    ),
    (Disconnected("/a", "ping timeout"), "● /a disconnected: ping timeout", {"disconnect": "ping timeout"}),
    (
        Refused("/a", "not today", {"retry": False}),
        '● /a refused: not today {"retry": false}',
        {"connect_error": "not today", "data": {"retry": False}},
    ),
    (Refused("/a", "no"), "● /a refused: no", {"connect_error": "no", "data": None}),
    (Failed("/", "nobody there"), "● / cannot connect: nobody there", {"connect_error": "nobody there"}),
    (Retrying(2, 1.25), "● reconnecting in 1.2 s (attempt 2)", {"reconnect_attempt": 2, "seconds": 1.25}),
    (
        Received("/", "news", ("hi", 1, 2.5, None, True, [b"\0\1"], {"a": {}})),
        '← / news "hi" 1 2.5 null true [<2 bytes: 00 01>] {"a": {}}',
        {"event": "news", "args": ["hi", 1, 2.5, None, True, [{"$base64": "AAE="}], {"a": {}}]},
    ),
    (Received("/", 7, (), asks=True), "← / 7 (asks for an answer)", {"event": 7, "args": []}),
    (
        Received("/", "dates", (datetime(2024, 1, 2, tzinfo=UTC), float("nan"))),
        "← / dates 2024-01-02 00:00:00+00:00 nan",
        {"event": "dates", "args": ["2024-01-02T00:00:00+00:00", None]},
    ),
    (Replied("/", "vote", ("yes",)), '→ / vote answered "yes"', {"answer": "vote", "args": ["yes"]}),
    (Answered("/", "sum", (3,), 0.01234), "✓ / sum 3 (12.3 ms)", {"ack": "sum", "args": [3], "seconds": 0.01234}),
    (Answered("/", "sum", (), 1.5), "✓ / sum (1.50 s)", {"ack": "sum", "args": [], "seconds": 1.5}),
    (Unanswered("/", "sum", "too late"), "✗ / sum not acknowledged: too late", {"ack": "sum", "error": "too late"}),
    (
        Packet(True, "message", '2["a"]'),
        '⇢ message 2["a"]',
        {"packet": "message", "direction": "out", "data": '2["a"]'},
    ),
    (Packet(False, "ping", ""), "⇠ ping", {"packet": "ping", "direction": "in", "data": ""}),
    (
        Packet(False, "message", bytes(20)),
        f"⇠ message <20 bytes: {'00 ' * 16}…>",
        {"packet": "message", "direction": "in", "data": {"$base64": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}},
    ),
]


@pytest.mark.parametrize(("happening", "text", "fields"), SHOWN)
def test_happenings(happening: Happening, text: str, fields: dict[str, Any]) -> None:
    assert painter().paint(happening) == f"{TIME} {text}"
    assert SGR.sub("", painter(color=True).paint(happening)) == f"{TIME} {text}"
    assert json.loads(write_line(happening)) == fields


def test_notes() -> None:
    assert painter().paint(Note("a\nb")) == "a\nb"
    assert write_line(Note("a")) == '{"note":"a"}'
    assert write_line(Note("a", error=True)) == '{"error":"a"}'


def test_colours_tell_names_from_values() -> None:
    shown = painter(color=True).paint(Received("/", "news", ("hi", 1)))
    assert shown == (
        f"\x1b[90m{TIME}\x1b[0m \x1b[36m\x1b[1m←\x1b[0m \x1b[35m/\x1b[0m \x1b[36m\x1b[1mnews\x1b[0m "
        '\x1b[32m"hi"\x1b[0m \x1b[33m1\x1b[0m'
    )


def test_what_has_no_room_stands_below() -> None:
    value = {"users": [{"name": "Ada", "age": 36}, {"name": "Grace"}], "numbers": list(range(30)), "empty": []}
    assert (
        painter(width=40).paint(Received("/", "state", (value, "x")))
        == f"""\
{TIME} ← / state
      {{
        "users": [
          {{"name": "Ada", "age": 36}},
          {{"name": "Grace"}}
        ],
        "numbers": [
          0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
          10, 11, 12, 13, 14, 15, 16,
          17, 18, 19, 20, 21, 22, 23,
          24, 25, 26, 27, 28, 29
        ],
        "empty": []
      }}
      "x\""""
    )


def test_wide_characters_take_two_columns() -> None:
    shown = painter(width=40).paint(Received("/", "words", (["漢字"] * 5 + ["e\u0301"],)))
    assert shown.split("\n")[2:-1] == ['        "漢字", "漢字", "漢字", "漢字",', '        "漢字", "e\u0301"']


def nest(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    ["x" * 1_000_000, list(range(100_000)), {str(n): [n] * 99 for n in range(9999)}, bytes(1_000_000), nest(950)],
)
def test_what_is_large_is_cut_for_people(value: Any) -> None:
    shown = painter().paint(Received("/", "large", (value,)))
    assert len(shown) < 10_000
    assert "more" in shown or "…" in shown


def test_json_is_complete_or_says_that_it_is_not() -> None:
    assert json.loads(write_line(Received("/", "large", ("x" * 100_000,))))["args"] == ["x" * 100_000]
    assert json.loads(write_line(Received("/", "deep", (nest(100_000),)))) == {
        "event": "deep",
        "args": None,
        "error": "nested too deeply",
    }


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers() | st.binary(), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.text(), st.lists(VALUES, max_size=3))
def test_nothing_from_a_server_acts_upon_the_terminal(text: str, values: list[Any]) -> None:
    happenings: list[Happening] = [
        Connected("/", text, "polling"),
        Disconnected("/", text, text),
        Refused("/", text, values),
        Failed("/", text),
        Received("/", text, tuple(values)),
        Answered("/", text, tuple(values), 1),
        Unanswered("/", text, text),
        Packet(False, "message", text),
    ]
    for happening in happenings:
        for line in SGR.sub("", painter(color=True).paint(happening)).split("\n"):
            assert line.replace("\u200d", "").isprintable()
        as_json = write_line(happening)
        assert as_json.replace("\u200d", "").isprintable()
        json.loads(as_json)


def test_what_a_terminal_would_act_upon_is_visible() -> None:
    assert safe("\x1b[2Jé\u202e\x7f\x9b👍🏽\U000e0041\ud800\n") == (
        "\\u001b[2Jé\\u202e\\u007f\\u009b👍🏽\\udb40\\udc41\\ud800\\u000a"
    )


# -- how it is called


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "Missing argument 'URL'"),
        (["http://127.0.0.1:1", "--emit"], "--emit needs the name of an event"),
        (["http://127.0.0.1:1", "--wait", "--json"], "--wait needs the name of an event"),
        (["http://127.0.0.1:1", "--emit", "a", "{"], "Invalid value for '--emit': not JSON"),
        (["http://127.0.0.1:1", "--answer", "{"], "Invalid value for '--answer': not JSON"),
        (["http://127.0.0.1:1", "--timeout", "0"], "Invalid value for '--timeout'"),
        (["http://127.0.0.1:1", "--emmit", "a"], "No such option"),
    ],
)
def test_wrong_calls_are_explained(arguments: list[str], problem: str) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert problem in result.output
