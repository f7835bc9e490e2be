"""The two revisions as values: what each says of the wire, and the bytes its answers are."""

from __future__ import annotations

import dataclasses
import json
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


@pytest.mark.parametrize(("namespace", "answer"), [("/", b"40"), ("/admin", b"40/admin,"), ("/né", "40/né,".encode())])
def test_the_older_answer_to_connect_is_bare(namespace: str, answer: bytes) -> None:
    assert REVISION_4.connected(namespace, "secret") == answer


@pytest.mark.parametrize(("namespace", "answer"), [("/", b'40{"sid":"x-1"}'), ("/admin", b'40/admin,{"sid":"x-1"}')])
def test_the_newer_answer_to_connect_carries_the_id(namespace: str, answer: bytes) -> None:
    assert REVISION_5.connected(namespace, "x-1") == answer


@pytest.mark.parametrize(
    ("data", "body"),
    [(None, b'"Not authorized"'), ({"code": 1}, b'{"code":1}'), ("text", b'"text"'), (0, b"0"), ("", b'""')],
)
def test_the_older_refusal_is_the_data_or_the_message(data: Any, body: bytes) -> None:
    assert REVISION_4.refused("/", "Not authorized", data) == b"44" + body
    assert REVISION_4.refused("/admin", "Not authorized", data) == b"44/admin," + body


def test_the_newer_refusal_is_an_object() -> None:
    assert REVISION_5.refused("/random", "Invalid namespace", None) == b'44/random,{"message":"Invalid namespace"}'
    refusal = REVISION_5.refused("/", "no", {"code": [1, "é"]})
    assert refusal[:2] == b"44"
    assert json.loads(refusal[2:]) == {"message": "no", "data": {"code": [1, "é"]}}
    assert json.loads(REVISION_5.refused("/", "no", 0)[2:]) == {"message": "no", "data": 0}


def test_older_clients_compute_the_id_from_that_of_the_session() -> None:
    assert REVISION_4.socket_id("engine", "/", never) == "engine"
    assert REVISION_4.socket_id("engine", "/admin", never) == "/admin#engine"


def test_the_newer_id_is_not_that_of_the_session() -> None:
    ids = iter(["one", "two"])
    assert REVISION_5.socket_id("engine", "/", lambda: next(ids)) == "one"
    assert REVISION_5.socket_id("engine", "/admin", lambda: next(ids)) == "two"
