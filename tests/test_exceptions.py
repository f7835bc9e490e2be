"""The error tree: one root, whose fault an error is, and what each carries."""

from __future__ import annotations

import inspect
import re

import pytest

from socketeer import exceptions
from socketeer.exceptions import (
    AckTimeout,
    ConnectionRefused,
    Disconnected,
    PacketError,
    SocketeerError,
    TransportError,
    UsageError,
)
from socketeer.handling.handlers import BadArguments


def test_the_tree() -> None:
    parents = {
        SocketeerError: Exception,
        UsageError: SocketeerError,
        PacketError: SocketeerError,
        ConnectionRefused: SocketeerError,
        TransportError: SocketeerError,
        AckTimeout: SocketeerError,
        Disconnected: SocketeerError,
    }
    assert {error: error.__mro__[1] for error in parents} == parents
    assert issubclass(AckTimeout, TimeoutError)
    assert {error.__name__ for error in parents} == set(exceptions.__all__)


def test_the_tree_that_is_drawn_is_the_one_there_is() -> None:
    drawn = re.findall(r"^(│?\s*[├└]──\s)?([A-Z]\w+)(?:\s{2,}|$)", exceptions.__doc__ or "", re.MULTILINE)
    assert {name for _, name in drawn} == set(exceptions.__all__)
    for branch, name in drawn:
        depth = len(branch) // 4
        of_the_tree = [base for base in getattr(exceptions, name).__mro__ if issubclass(base, SocketeerError)]
        assert len(of_the_tree) - 1 == depth, name


def test_errors_of_other_floors_belong_to_the_tree() -> None:
    assert issubclass(BadArguments, SocketeerError)


@pytest.mark.parametrize("name", exceptions.__all__)
def test_each_says_what_it_is_and_shadows_no_builtin(name: str) -> None:
    assert inspect.getdoc(getattr(exceptions, name))
    assert name not in dir(__builtins__)


def test_a_refusal_carries_its_data() -> None:
    refusal = ConnectionRefused("not you", {"retry": False})
    assert (str(refusal), refusal.message, refusal.data) == ("not you", "not you", {"retry": False})
    assert (ConnectionRefused().message, ConnectionRefused().data) == ("Connection refused", None)


def test_a_timeout_carries_the_answers_that_came() -> None:
    assert AckTimeout("too late", [1, 2]).responses == [1, 2]
    assert (str(AckTimeout()), AckTimeout().responses) == ("operation has timed out", [])
    answers: list[int] = []
    assert AckTimeout("too late", answers).responses is answers
    assert AckTimeout().responses is not AckTimeout().responses
