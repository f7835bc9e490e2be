"""What a server answers over HTTP beside the protocol: the browser client's files and CORS headers, on both lanes."""

from __future__ import annotations

import gzip
import http.client
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from socketeer import Cors, Server
from socketeer.server.client_files import NAMES
from tests.support.serving import LANES, Running, serving

FRIEND = "https://friend.example"
STRANGER = "https://stranger.example"
POLL = "/socket.io/?EIO=4&transport=polling"


class Answer(NamedTuple):
    """Hold a response; several headers of one name are joined."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(port: int, method: str, target: str, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, target, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        merged: dict[str, str] = {}
        for name, value in response.getheaders():
            name = name.lower()
            merged[name] = f"{merged[name]}, {value}" if name in merged else value
        return Answer(response.status, merged, response.read())
    finally:
        connection.close()


def upgrade(port: int, origin: str) -> dict[str, str]:
    """Open a session on a WebSocket; give the headers of the 101."""
    url = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
    with connect(url, origin=Origin(origin), proxy=None, open_timeout=5) as websocket:
        assert str(websocket.recv(timeout=20)).startswith('0{"sid":')
        assert websocket.response is not None
        return {name.lower(): value for name, value in websocket.response.headers.raw_items()}


@pytest.fixture(scope="module", params=LANES)
def closed(request: pytest.FixtureRequest) -> Iterator[Running]:
    with serving(Server(), request.param) as running:
        yield running


@pytest.fixture(scope="module", params=LANES)
def open_to_friend(request: pytest.FixtureRequest) -> Iterator[Running]:
    with serving(Server(cors=Cors(FRIEND, credentials=True, max_age=60)), request.param) as running:
        yield running


def test_the_eight_files_are_served(closed: Running) -> None:
    for name in sorted(NAMES):
        answer = ask(closed.port, "GET", f"/socket.io/{name}", accept_encoding="gzip")
        assert answer.status == 200
        assert answer.headers["content-encoding"] == "gzip"
        assert int(answer.headers["content-length"]) == len(answer.body)
        assert len(gzip.decompress(answer.body)) > 10_000


def test_a_file_that_is_known_is_not_sent_again(closed: Running) -> None:
    first = ask(closed.port, "GET", "/socket.io/socket.io.js")
    again = ask(closed.port, "GET", "/socket.io/socket.io.js", if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_head_tells_the_length_that_get_has(closed: Running) -> None:
    whole, head = (ask(closed.port, method, "/socket.io/socket.io.min.js") for method in ("GET", "HEAD"))
    assert head.status == 200
    assert head.body == b""
    assert head.headers["content-length"] == whole.headers["content-length"] == str(len(whole.body))


def test_a_server_that_serves_no_client_treats_its_name_as_any_other(lane: str) -> None:
    with serving(Server(serve_client=False), lane) as running:
        assert ask(running.port, "GET", "/socket.io/socket.io.js").status == 400


def test_without_the_option_no_answer_has_a_cors_header(closed: Running) -> None:
    own = f"http://127.0.0.1:{closed.port}"
    for origin in (own, FRIEND):
        for method, target in (("GET", POLL), ("OPTIONS", POLL), ("GET", "/socket.io/socket.io.js")):
            answer = ask(closed.port, method, target, origin=origin)
            assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert not [name for name in upgrade(closed.port, own) if name.startswith("access-control-")]


def test_an_allowed_origin_is_told_so_in_every_answer(open_to_friend: Running) -> None:
    port = open_to_friend.port
    answers = [ask(port, "GET", target, origin=FRIEND) for target in (POLL, POLL + "&sid=x", "/socket.io/socket.io.js")]
    assert [answer.status for answer in answers] == [200, 400, 200]
    for headers in (*(answer.headers for answer in answers), upgrade(port, FRIEND)):
        assert headers["access-control-allow-origin"] == FRIEND
        assert headers["access-control-allow-credentials"] == "true"
        assert "Origin" in headers["vary"]


def test_a_preflight_of_an_allowed_origin_is_granted(open_to_friend: Running) -> None:
    answer = ask(
        open_to_friend.port,
        "OPTIONS",
        POLL,
        origin=FRIEND,
        access_control_request_method="POST",
        access_control_request_headers="x-token",
    )
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == FRIEND
    assert answer.headers["access-control-allow-methods"] == "GET,POST"
    assert answer.headers["access-control-allow-headers"] == "x-token"
    assert answer.headers["access-control-max-age"] == "60"


def test_another_origin_is_refused_on_every_way_in(open_to_friend: Running) -> None:
    port = open_to_friend.port
    answer = ask(port, "GET", POLL, origin=STRANGER)
    assert answer.status == 403
    assert b"add" in answer.body
    assert STRANGER.encode() in answer.body
    assert "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-origin" not in ask(port, "OPTIONS", POLL, origin=STRANGER).headers
    with pytest.raises(InvalidStatus) as refused:
        upgrade(port, STRANGER)
    assert refused.value.response.status_code == 403


def test_the_own_origin_needs_no_option_where_others_are_named(open_to_friend: Running) -> None:
    own = f"http://127.0.0.1:{open_to_friend.port}"
    assert ask(open_to_friend.port, "GET", POLL, origin=own).status == 200
    upgrade(open_to_friend.port, own)


def test_a_page_behind_a_tls_proxy_is_of_the_own_origin(closed: Running) -> None:
    assert ask(closed.port, "GET", POLL, origin="https://chat.example", host="chat.example").status == 200
    assert ask(closed.port, "GET", POLL, origin="https://chat.example", host="other.example").status == 403
