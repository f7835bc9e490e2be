"""The two revisions as values: what each says of the wire, and the bytes its answers are."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from socketeer.protocol.engine_v3 import ENGINE_V3
from socketeer.protocol.engine_v4 import ENGINE_V4
from socketeer.protocol.revisions import REVISION_4, REVISION_5, REVISIONS, Revision


def never() -> str:
    raise AssertionError("this revision does not draw ids")


def test_a_revision_is_chosen_by_the_exact_text_of_its_parameter() -> None:
    assert REVISIONS == {"2": REVISION_4, "3": REVISION_4, "4": REVISION_5}


@pytest.mark.parametrize("revision", REVISIONS.values(), ids=REVISIONS)
def test_the_numbers_agree(revision: Revision) -> None:
    assert REVISIONS[str(revision.engine)] is revision
    assert revision.codec.number == revision.engine
    assert revision.socket == revision.engine + 1


def test_each_has_its_codec() -> None:
    assert (REVISION_4.codec, REVISION_5.codec) == (ENGINE_V3, ENGINE_V4)


def test_the_older_revision() -> None:
    assert not REVISION_4.server_pings
    assert REVISION_4.implicit_root
    assert not REVISION_4.strict_namespaces
    assert REVISION_4.query_in_namespace


def test_the_newer_revision() -> None:
    assert REVISION_5.server_pings
    assert not REVISION_5.implicit_root
    assert REVISION_5.strict_namespaces
    assert not REVISION_5.query_in_namespace


def test_a_revision_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        REVISION_4.engine = 4  # type: ignore[misc]


def test_the_older_answer_to_connect_is_bare() -> None:
    assert REVISION_4.connected("secret", "pid") is None


def test_the_newer_answer_to_connect_carries_the_id_and_what_recovers_it() -> None:
    assert REVISION_5.connected("x-1", None) == {"sid": "x-1"}
    assert REVISION_5.connected("x-1", "p") == {"sid": "x-1", "pid": "p"}


@pytest.mark.parametrize(
    ("data", "payload"), [(None, "Not authorized"), ({"code": 1}, {"code": 1}), ("text", "text"), (0, 0), ("", "")]
)
def test_the_older_refusal_is_the_data_or_the_message(data: Any, payload: Any) -> None:
    assert REVISION_4.refused("Not authorized", data) == payload


def test_the_newer_refusal_is_an_object() -> None:
    assert REVISION_5.refused("Invalid namespace", None) == {"message": "Invalid namespace"}
    assert REVISION_5.refused("no", {"code": [1]}) == {"message": "no", "data": {"code": [1]}}
    assert REVISION_5.refused("no", 0) == {"message": "no", "data": 0}


def test_older_clients_compute_the_id_from_that_of_the_session() -> None:
    assert REVISION_4.socket_id("engine", "/", never) == "engine"
    assert REVISION_4.socket_id("engine", "/admin", never) == "/admin#engine"


def test_the_newer_id_is_not_that_of_the_session() -> None:
    ids = iter(["one", "two"])
    assert REVISION_5.socket_id("engine", "/", lambda: next(ids)) == "one"
    assert REVISION_5.socket_id("engine", "/admin", lambda: next(ids)) == "two"
