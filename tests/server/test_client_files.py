"""The browser client's files: which there are, what their answers carry, caching and compression."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.engine.http import Response
from socketeer.server.client_files import NAMES, ClientFiles

FILES = ClientFiles()
LOCK = Path(__file__).parents[2] / "client" / "package-lock.json"

SCRIPTS = ("socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js")
ALL = (*SCRIPTS, *(f"{name}.map" for name in SCRIPTS))


def get(name: str = "socket.io.js", method: str = "GET", **headers: str) -> Response:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    response = FILES.respond(name, named, method)
    assert response is not None
    return response


def header(response: Response, name: str) -> str | None:
    values = [value.decode() for key, value in response.headers if key == name.encode()]
    assert len(values) <= 1
    return values[0] if values else None


def test_there_are_the_eight_files_of_the_pinned_version() -> None:
    assert frozenset(ALL) == NAMES
    pinned = json.loads(LOCK.read_text("utf-8"))["packages"]["node_modules/socket.io-client"]["version"]
    assert FILES.version == pinned


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_served_as_such_and_names_its_version(name: str) -> None:
    response = get(name)
    assert response.status == 200
    assert header(response, "content-type") == "application/javascript; charset=utf-8"
    assert header(response, "cache-control") == "public, max-age=0"
    assert header(response, "etag") == f'"{FILES.version}"'
    assert header(response, "vary") == "Accept-Encoding"
    assert header(response, "content-encoding") is None
    assert f"Socket.IO v{FILES.version}".encode() in response.body[:200]
    assert response.body.rstrip().endswith(f"//# sourceMappingURL={name}.map".encode())


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_source_map_is_json_of_its_script(name: str) -> None:
    response = get(name + ".map")
    assert header(response, "content-type") == "application/json; charset=utf-8"
    content = json.loads(response.body)
    assert content["version"] == 3
    assert content["mappings"]


def test_the_licence_can_be_read() -> None:
    assert "Permission is hereby granted, free of charge" in FILES.licence


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "socket.io.js/",
        "SOCKET.IO.JS",
        "VERSION",
        "LICENSE",
        "../__init__.py",
        "socket.io.js.map.map",
        "socket.io",
    ],
)
def test_no_other_name_is_answered(name: str) -> None:
    assert FILES.respond(name, {}, "GET") is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get", ""])
def test_only_get_and_head_are_answered(method: str) -> None:
    response = get(method=method)
    assert response.status == 405
    assert header(response, "allow") == "GET, HEAD"


@pytest.mark.parametrize("accept", ["", "gzip"])
def test_head_is_answered_as_get_is_so_that_the_sender_knows_the_length(accept: str) -> None:
    assert get(method="HEAD", accept_encoding=accept) == get(accept_encoding=accept)


@pytest.mark.parametrize("known", ['"{}"', 'W/"{}"', '"x", "{}"', '"x",W/"{}" , "y"', "*", " * ", '"a,b", "{}"'])
def test_a_known_version_is_not_sent_again(known: str) -> None:
    response = get(if_none_match=known.format(FILES.version))
    assert (response.status, response.body) == (304, b"")
    assert header(response, "etag") == f'"{FILES.version}"'
    assert header(response, "cache-control") == "public, max-age=0"
    assert header(response, "vary") == "Accept-Encoding"
    assert header(response, "content-type") is None


@pytest.mark.parametrize("known", ["", '""', '"x"', "{}", '"{}', '{}"', '"{}x"', '"x{}"', '"*"', 'w"{}'])
def test_another_version_is_sent(known: str) -> None:
    assert get(if_none_match=known.format(FILES.version)).status == 200


@pytest.mark.parametrize("known", ['"other"', '"{}"'])
def test_a_conditional_request_of_another_method_is_not_answered(known: str) -> None:
    assert get(method="POST", if_none_match=known.format(FILES.version)).status == 405


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("", None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate, br, zstd", "gzip"),
        ("deflate, gzip", "gzip"),
        ("deflate;q=0.9, gzip;q=0.8", "deflate"),
        ("deflate;q=0.8, gzip;q=0.9", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=0.0", None),
        ("gzip;q=0.000, deflate", "deflate"),
        ("gzip;q=0,deflate;q=0", None),
        ("gzip;q=0.001", "gzip"),
        ("gzip ; Q=1.000", "gzip"),
        ("*", "gzip"),
        ("*;q=0", None),
        ("*;q=0, deflate;q=0.1", "deflate"),
        ("*, gzip;q=0", "deflate"),
        ("identity", None),
        ("identity, gzip", "gzip"),
        ("identity;q=1, gzip;q=0.5", None),
        ("identity;q=0.5, gzip;q=1", "gzip"),
        ("identity;q=0", None),
        ("br", None),
        ("gzip;q=2", None),
        ("gzip;q=-1", None),
        ("gzip;q=nan", None),
        ("gzip;q=inf", None),
        ("gzip;q=0.1234", None),
        ("gzip;q=", None),
        ("gzip;level=9", None),
        (";q=1", None),
        (",,,gzip,,", "gzip"),
        ("gzipped", None),
    ],
)
def test_the_coding_is_the_one_the_client_likes_best(accept: str, coding: str | None) -> None:
    response = get(accept_encoding=accept)
    assert header(response, "content-encoding") == coding
    assert header(response, "vary") == "Accept-Encoding"


@pytest.mark.parametrize("name", ALL)
def test_compressed_bodies_are_the_same_file_and_smaller(name: str) -> None:
    plain = get(name).body
    zipped, deflated = get(name, accept_encoding="gzip").body, get(name, accept_encoding="deflate").body
    assert gzip.decompress(zipped) == plain
    assert zlib.decompress(deflated) == plain
    assert max(len(zipped), len(deflated)) < len(plain) / 2


@pytest.mark.parametrize("accept", ["", "gzip", "deflate"])
def test_bodies_are_made_once(accept: str) -> None:
    assert get(accept_encoding=accept).body is get(accept_encoding=accept).body


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_header_makes_it_raise(accept: str, known: str) -> None:
    assert get(accept_encoding=accept, if_none_match=known).status in (200, 304)


def test_an_installation_without_the_files_says_so(tmp_path: Path) -> None:
    response = ClientFiles(tmp_path).respond("socket.io.js", {}, "GET")
    assert response is not None
    assert response.status == 404
    assert b"without the browser client" in response.body
    assert ClientFiles(tmp_path).respond("other.js", {}, "GET") is None


def test_files_are_read_at_the_first_request_only(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("1.2.3\n")
    (tmp_path / "socket.io.js").write_bytes(b"first")
    files = ClientFiles(tmp_path)
    first = files.respond("socket.io.js", {}, "GET")
    (tmp_path / "VERSION").unlink()
    (tmp_path / "socket.io.js").unlink()
    again = files.respond("socket.io.js", {}, "GET")
    zipped = files.respond("socket.io.js", {"accept-encoding": "gzip"}, "GET")
    assert first is not None
    assert again is not None
    assert zipped is not None
    assert first == again
    assert header(first, "etag") == '"1.2.3"'
    assert gzip.decompress(zipped.body) == b"first"
