"""JSONP polling over HTTP by hand, and compressed polling bodies, over both lanes."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

import pytest

from socketeer import Socket
from tests.wire.conftest import Served
from tests.wire.peers import PendingGet, Reply

Serve = Callable[..., Served]

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TEXT = "é € 🦊 \u2028 \" ' \\ \\n \n </script>"


def called(reply: Reply, number: str = "0") -> str:
    """Give the payload of a script that calls the function of this number."""
    assert reply.status == 200, reply
    assert reply.headers["content-type"] == "text/javascript; charset=UTF-8"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "no-store"
    head, foot = f"___eio[{number}](", ");"
    assert reply.text.startswith(head)
    assert reply.text.endswith(foot)
    payload: str = json.loads(reply.text[len(head) : -len(foot)])
    return payload


def form(payload: str) -> str:
    return "d=" + quote_plus(payload.replace("\\n", "\\\\n").replace("\n", "\\n"))


@pytest.mark.parametrize("eio", [3, 4])
def test_a_session_over_jsonp(server: Served, eio: int) -> None:
    def pack(*packets: str) -> str:
        if eio == 4:
            return "\x1e".join(packets)
        return "".join(f"{len(packet.encode('utf-16-le')) // 2}:{packet}" for packet in packets)

    base = f"EIO={eio}&transport=polling&j=7x"
    opening = called(server.request("GET", base), "7")
    handshake = json.loads(opening[opening.index("{") : opening.index("}") + 1])
    target = f"{base}&sid={handshake['sid']}"
    if eio == 4:
        assert server.request("POST", target, form("40"), FORM).body == b"ok"
        assert called(server.request("GET", target), "7").startswith("40{")
    event = "42" + json.dumps(["message", TEXT], ensure_ascii=False)
    reply = server.request("POST", target, form(pack(event, event)), FORM)
    assert (reply.status, reply.headers["content-type"], reply.body) == (200, "text/html", b"ok")
    answers = called(server.request("GET", target), "7").split("\x1e" if eio == 4 else '"]')
    assert TEXT in json.loads(answers[0][answers[0].index("[") :] + ("" if eio == 4 else '"]'))
    waiting = PendingGet(server.port, f"/socket.io/?{target}")
    server.request("POST", target, form(pack("41")), FORM)
    server.request("POST", target, form(pack("1")), FORM)
    assert called(waiting.finish(), "7") in ("6", "1:6")


def test_errors_of_jsonp_are_those_of_polling(server: Served) -> None:
    for query, code in (("transport=polling&EIO=9&j=0", 5), ("transport=polling&EIO=4&j=0&sid=x", 1)):
        reply = server.request("GET", query)
        assert reply.status == 400
        assert reply.headers["content-type"] == "application/json"
        assert reply.json()["code"] == code


def test_a_form_is_measured_as_it_comes(serve: Serve) -> None:
    server = serve(max_http_buffer_size=100)

    def post(body: Any) -> int:
        sid = json.loads(called(server.request("GET", "EIO=4&transport=polling&j=0"))[1:])["sid"]
        target = f"EIO=4&transport=polling&j=0&sid={sid}"
        status = server.request("POST", target, body, FORM).status
        assert server.request("POST", target, form("6"), FORM).status == (200 if status == 200 else 400)
        return status

    assert post("d=6" + "a" * 97) == 200
    assert post("d=6" + "a" * 98) == 413
    assert post("d=6" + "%61" * 32 + "a") == 200  # three bytes for each that is left of them
    assert post("d=6" + "%61" * 32 + "aa") == 413
    assert post([b"d=6", b"%61" * 33]) == 413


# Compression


def body_of(server: Served, size: int, encoding: str | None, query: str = "") -> Reply:
    """Have the server send an event of at least ``size`` bytes; nothing was compressed on the way to it."""
    polling = server.polling(query=query)
    polling.send("40")
    polling.get()
    polling.send(f'42["message","{"x" * size}"]')
    return server.request(
        "GET", polling.target.partition("?")[2], headers={} if encoding is None else {"Accept-Encoding": encoding}
    )


OVERHEAD = len('42["message-back",""]')


def test_bodies_are_compressed_from_the_threshold_on(serve: Serve) -> None:
    server = serve()
    reply = body_of(server, 1024 - OVERHEAD, "gzip, deflate, br")
    assert reply.headers["content-encoding"] == "gzip"
    assert reply.headers["vary"] == "Accept-Encoding"
    assert int(reply.headers["content-length"]) == len(reply.body) < 100
    assert gzip.decompress(reply.body) == b'42["message-back","%b"]' % (b"x" * (1024 - OVERHEAD))
    reply = body_of(server, 1023 - OVERHEAD, "gzip, deflate, br")
    assert {"content-encoding", "vary"}.isdisjoint(reply.headers)
    assert len(reply.body) == 1023
    reply = body_of(server, 100_000, "deflate")  # of a size that is compressed in a thread
    assert reply.headers["content-encoding"] == "deflate"
    assert zlib.decompress(reply.body) == b'42["message-back","%b"]' % (b"x" * 100_000)
    for encoding in (None, "identity", "br", "gzip;q=0", "," * 2000 + "gzip"):
        reply = body_of(server, 2000, encoding)
        assert "content-encoding" not in reply.headers
        assert reply.headers["vary"] == "Accept-Encoding"
        assert len(reply.body) == 2000 + OVERHEAD


@pytest.mark.parametrize("compression", [False, {"threshold": 50, "level": 1}])
def test_compression_is_an_option(serve: Serve, compression: Any) -> None:
    server = serve(http_compression=compression)
    small, large = body_of(server, 60, "gzip"), body_of(server, 5000, "gzip")
    for reply in (small, large):
        assert ("content-encoding" in reply.headers, "vary" in reply.headers) == (bool(compression),) * 2


def test_scripts_are_compressed_too(serve: Serve) -> None:
    server = serve(http_compression={"threshold": 50})
    reply = server.request("GET", "EIO=4&transport=polling&j=1", headers={"Accept-Encoding": "gzip"})
    assert reply.headers["content-encoding"] == "gzip"
    assert gzip.decompress(reply.body).startswith(b'___eio[1]("0{')


@pytest.mark.parametrize("how", ["a message of the connection", "an event of a socket", "a broadcast"])
def test_a_message_may_ask_not_to_be_compressed(serve: Serve, how: str) -> None:
    server = serve()

    @server.io.event("large")
    def large(socket: Socket, compress: bool) -> None:
        if how == "an event of a socket":
            socket.compress(compress).emit("x" * 2000)
        elif how == "a broadcast":
            server.io.compress(compress).emit("x" * 2000)
        else:
            socket.conn.send("x" * 2000, compress=compress)

    for compressed in (True, False):
        polling = server.polling()
        polling.join()
        polling.send(f'42["large",{json.dumps(compressed)}]')
        reply = server.request("GET", polling.target.partition("?")[2], headers={"Accept-Encoding": "gzip"})
        assert ("content-encoding" in reply.headers) == compressed
        assert (len(reply.body) >= 2000) != compressed
