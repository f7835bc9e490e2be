"""Servers that break the rules, or are none: the client says clearly what is wrong, and neither hangs nor crashes."""

from __future__ import annotations

import asyncio
import functools
import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from socketeer import ConnectionRefused, TransportError
from tests.client.scripted import Talk, accepting, handshake, listening, read_request, response, scripted
from tests.client.servers import Peer, eventually, in_loop

EITHER = pytest.mark.parametrize("transport", ["polling", "websocket"])


async def fails(peer: Peer, transport: str, match: str, **options: Any) -> TransportError:
    """Connect in vain, and give the reason."""
    with pytest.raises(TransportError, match=match) as failure:
        await peer.connect("", transport, **{"reconnection": False, "timeout": 5, **options})
    return failure.value


# No handshake

FIELDS: dict[str, Any] = {"sid": "a", "upgrades": [], "pingInterval": 25000, "pingTimeout": 20000}
WRONG: dict[str, list[Any]] = {
    "sid": [1, None, "", [], "\ud800"],
    "upgrades": ["websocket", None, {}],
    "pingInterval": ["1", None, [], -1, 0, 10**400, float("nan"), float("inf")],
    "pingTimeout": ["1", None, -1, float("nan")],
}
NO_HANDSHAKES = [
    *("hello", "<html>", "1", "2", "40", "0", "0null", "0[]", "0{}", "0{", '0"sid"', "0" + "[" * 100_000, "\ud800"),
    *(
        f"0{json.dumps({key: FIELDS[key] for key in FIELDS if key != left_out})}"
        for left_out in FIELDS.keys() - {"upgrades"}
    ),
    *(handshake(**{name: value}) for name, values in WRONG.items() for value in values),
]


@EITHER
@in_loop
async def test_no_handshake(transport: str) -> None:
    texts = iter(NO_HANDSHAKES)

    async def script(talk: Talk) -> None:
        talk.send(next(texts))
        await talk.receive()

    async with scripted(script) as peer:
        for _ in NO_HANDSHAKES:
            failure = await fails(peer, transport, "no handshake of Engine.IO")
            assert len(str(failure)) < 500


@in_loop
async def test_a_handshake_that_is_binary() -> None:
    async def script(talk: Talk) -> None:
        if talk.websocket is None:
            talk.respond(response(handshake(), "200 OK", "Content-Type: application/octet-stream"))
        else:
            talk.send(b"\0abc")
        await talk.receive()

    async with scripted(script) as peer:
        await fails(peer, "polling", "no handshake of Engine.IO 4 .*binary")
        await fails(peer, "websocket", "binary")


@in_loop
async def test_a_handshake_with_a_huge_or_odd_id(ours: Peer) -> None:
    for sid in ("x" * 100_000, "a b&c=d#?/\r\n", "é\U0001f600"):

        async def script(talk: Talk, sid: str = sid) -> None:
            await talk.join(sid=sid, maxPayload="much", upgrades=["websocket", "carrier pigeon", 1])
            await talk.receive()

        async with scripted(script) as peer, peer.connect("", "websocket") as socket:
            assert socket.io.engine is not None
            assert socket.io.engine.id == sid


@in_loop
async def test_a_server_of_another_revision(farm: Any) -> None:
    old = farm.peer("node 2")
    await fails(old, "polling", r"eio=3", eio=4)
    await fails(old, "websocket", r"eio=3", eio=4)
    errors: list[Exception] = []
    socket = old.connect("", "websocket", eio=4)
    socket.on("connect_error", errors.append)
    await eventually(lambda: len(errors) >= 2)
    socket.disconnect()
    await socket.io.wait_closed()
    assert "eio=3" in str(errors[0])


# No HTTP, or not the right one


@EITHER
@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "failed: .*(HTTP|closed)"),
        (b"\0\xff\xfe" * 100, "failed: "),
        (b"", "failed: "),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "failed: "),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n0{", "failed: |refused: HTTP 200"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "failed: |refused: HTTP 200"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", "failed: |refused: HTTP 200"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"x" * 200_000 + b"\r\n\r\n", "failed: "),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "refused: HTTP 301"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\nno \xff\xfe here", "refused: HTTP 404 no"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "refused: HTTP 500"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "HTTP 204|no handshake"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "HTTP 101|failed: "),
    ],
    ids=lambda value: value[:40].decode("latin-1") if isinstance(value, bytes) else "",
)
@in_loop
async def test_no_server_of_this_protocol(transport: str, answer: bytes, match: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with listening(serve) as peer:
        failure = await fails(peer, transport, match)
        if "HTTP 404" in str(failure):
            assert (failure.status, failure.body[:3]) == (404, "no ")


@EITHER
@in_loop
async def test_an_endless_answer(transport: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n0")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with listening(serve) as peer:
        await fails(peer, transport, "max_http_buffer_size|failed|HTTP 200", max_http_buffer_size=200_000, timeout=2)


@in_loop
async def test_an_answer_without_an_end(ours: Peer) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0{")
        await reader.read()

    async with listening(serve) as peer:
        await fails(peer, "polling", "^timeout$", timeout=0.1)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda answer: answer.replace(b"Accept: ", b"Accept: x"), "failed: .*accept"),
        (lambda answer: answer.replace(b"Sec-WebSocket-Accept", b"X"), "failed: .*accept"),
        (lambda answer: answer[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", "not offered"),
    ],
    ids=["a wrong key", "no key", "compression that was not offered"],
)
@in_loop
async def test_a_websocket_that_was_not_asked_for(change: Callable[[bytes], bytes], match: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(change(accepting(await read_request(reader))))
        await reader.read()

    async with listening(serve) as peer:
        await fails(peer, "websocket", match)


@pytest.mark.parametrize("answer", ["nonsense=1", "server_max_window_bits=99", "permessage-x", "; ;"])
@in_loop
async def test_compression_that_makes_no_sense(answer: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        writer.write(accepting(request, f"Sec-WebSocket-Extensions: permessage-deflate; {answer}"))
        await reader.read()

    async with listening(serve) as peer:
        await fails(peer, "websocket", "not offered", per_message_deflate=True)


# Packets that break the rules

BAD_PACKETS: list[Any] = [
    *("9", "x", "é", "3", "b!!", "b=", "4", "4x", "49", "42", "42[", "42{}", "42[]", "42null", '42"a"'),
    *("42[null]", "42[true]", "42[[]]", "421", "42-1[]", "42/x", '42["connect"]', '42["disconnect",1]'),
    *('42["connect_error"]', '42["newListener"]', "43[]", "43", "431{}", "4399999999999999999[]"),
    *("40null", "40[]", "41[]", '41{"a":1}', "451-", '4511-["a"]', '45999999-["a"]'),
    *('451-["connect",{"_placeholder":true,"num":0}]', "45", "45x-[]", "46-[]", "44" + "[" * 100_000),
    ('451-["a",{"_placeholder":true,"num":0}]', '42["b"]'),
    ('451-["a",{"_placeholder":true,"num":1}]', b"1"),
    ('451-["a",{"_placeholder":true,"num":-1}]', b"1"),
    ('451-["a",{"_placeholder":true,"num":true}]', b"1"),
    ('451-["a",{"_placeholder":true,"num":"0"}]', b"1"),
    ('452-["a",{"_placeholder":true,"num":0}]', b"1", '42["b"]'),
    b"an attachment that belongs to nothing",
]


@EITHER
@in_loop
async def test_packets_that_break_the_rules(transport: str) -> None:
    packets = iter(BAD_PACKETS)

    async def script(talk: Talk) -> None:
        await talk.join()
        bad = next(packets, None)
        if bad is not None:
            talk.send(*(bad if isinstance(bad, tuple) else (bad,)))
        await talk.receive()

    async with scripted(script) as peer:
        socket = peer.connect("", transport, reconnection_delay=0)
        told: list[Any] = []
        socket.on("disconnect", lambda *args: told.append(args))
        async with socket:
            for number, bad in enumerate(BAD_PACKETS):
                await eventually(functools.partial(lambda count: len(told) > count, number), repr(bad)[:100])
                reason, description = told[number]
                assert (reason, bool(description)) == ("parse error", True), (bad, told[number])
            await socket


@EITHER
@in_loop
async def test_packets_that_are_odd_but_harmless(transport: str) -> None:
    odd = [
        "6",
        "5",
        "0",
        '42/other,["a"]',
        "43/other,1[]",
        "41/other,",
        '40/other,{"sid":"x"}',
        '44/other,{"message":1}',
    ]
    odd += ['40{"sid":"another"}', "4312345[1]", '42["a",{"_placeholder":true,"num":7}]', '450-["empty"]']
    odd += ["42[1.5]", '42["b"] ', '40{"sid":1}', "40"]
    odd += ['42["__proto__",{"__proto__":1}]', "2"]

    async def script(talk: Talk) -> None:
        await talk.join()
        for packet in odd:
            talk.send(packet)
        talk.send('420["the end"]')
        while await talk.receive() != '430["fine"]':
            pass
        await talk.receive()

    async with scripted(script) as peer:
        socket = peer.connect("", transport)
        ended = asyncio.Event()
        heard: list[Any] = []
        socket.on_any(lambda event, *args: heard.append(event))

        @socket.on("the end")
        def end() -> str:
            ended.set()
            return "fine"

        async with socket:
            await ended.wait()
            assert (socket.connected, socket.id) == (True, "the-id")
            assert heard == ["a", "empty", 1.5, "b", "__proto__", "the end"]


@EITHER
@pytest.mark.parametrize(
    ("payload", "message", "data"),
    [
        ('{"message":"no","data":{"a":[1]}}', "no", {"a": [1]}),
        ('{"message":7}', "Connection refused", None),
        ("{}", "Connection refused", None),
        ('"just text"', "just text", None),
        ("[1]", "Connection refused", [1]),
        ("", "Connection refused", None),
    ],
)
@in_loop
async def test_refusals_of_any_kind(transport: str, payload: str, message: str, data: Any) -> None:
    async def script(talk: Talk) -> None:
        talk.send(handshake())
        assert await talk.receive() == "40"
        talk.send(f"44{payload}")
        await talk.receive()

    async with scripted(script) as peer:
        with pytest.raises(ConnectionRefused) as refused:
            await peer.connect("", transport)
        assert (refused.value.message, refused.value.data) == (message, data)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b"\x81\x02\xff\xfe", "UTF-8"),
        (b"\xc1\x01a", ""),
        (b"\x83\x00", ""),
        (b"\x81\x85\0\0\0\0hello", ""),
        (b"\x80\x01a", ""),
        (b"\x01\x01a\x81\x01b", ""),
        (b"\x89\x7e\x01\x00" + b"x" * 256, ""),
        (b"\x81\xff" + b"\xff" * 8, ""),
        (b"garbage" * 100, ""),
    ],
    ids=[
        "no UTF-8",
        "a reserved bit",
        "no opcode",
        "masked",
        "continues nothing",
        "no end",
        "a long ping",
        "huge",
        "garbage",
    ],
)
@in_loop
async def test_frames_that_break_the_rules_of_websocket(frame: bytes, words: str) -> None:
    async def script(talk: Talk) -> None:
        await talk.join()
        assert talk.websocket is not None
        await asyncio.sleep(0.02)
        talk.websocket.write(frame)
        await talk.receive()

    async with scripted(script) as peer:
        socket = peer.connect("", "websocket", reconnection_attempts=1)
        told: list[Any] = []
        socket.once("disconnect", lambda *args: told.append(args))
        async with socket:
            await eventually(lambda: told)
            assert told[0][0] in ("transport error", "transport close", "parse error")
            assert words in str(told[0][1])


@pytest.mark.parametrize(
    ("answer", "reason", "match"),
    [
        (response('{"code":1,"message":"Session ID unknown"}', "400 Bad Request"), "transport error", "400.*unknown"),
        (response("", "302 Found", "Location: http://127.0.0.1:1/"), "transport error", r"302 \(to http:"),
        (response("", "204 No Content"), "transport error", "204"),
        (None, "transport error", "GET failed"),
        (response(""), "parse error", "empty"),
        (response(b'42["a"]\xff\xfe'), "parse error", "JSON"),
        (response(b"\1\2\xff4x", "200 OK", "Content-Type: application/octet-stream"), "parse error", "binary"),
        (response("x" * 3000), "transport error", "max_http_buffer_size"),
    ],
    ids=["400", "302", "204", "cut", "empty", "no UTF-8", "binary", "too much"],
)
@in_loop
async def test_polls_that_go_wrong(answer: bytes | None, reason: str, match: str) -> None:
    talks: list[Talk] = []

    async def script(talk: Talk) -> None:
        talks.append(talk)
        await talk.join()
        await talk.receive()
        talk.respond(answer)
        await asyncio.sleep(5)

    async with scripted(script) as peer:
        async with peer.connect("", "polling", reconnection=False, max_http_buffer_size=2000) as socket:
            told: list[Any] = []
            socket.on("disconnect", lambda *args: told.append(args))
            socket.emit("go")
            assert await socket.disconnected == reason
            assert re.search(match, told[0][1]), told
        await asyncio.sleep(0.02)
        assert talks[0].gets == 3, "a GET was sent again: what the first one fetched is lost"


# Silence


@EITHER
@in_loop
async def test_silence_after_the_handshake(transport: str) -> None:
    async def script(talk: Talk) -> None:
        talk.send(handshake(pingInterval=40, pingTimeout=40))
        await asyncio.sleep(5)

    async with scripted(script) as peer:
        await fails(peer, transport, "connection was lost: ping timeout", close_timeout=0.1)
        errors: list[Exception] = []
        socket = peer.connect("", transport, close_timeout=0.1)
        socket.on("connect_error", errors.append)
        await eventually(lambda: len(errors) >= 2)
        socket.disconnect()
        assert {str(error) for error in errors} == {"the connection was lost: ping timeout"}


@EITHER
@in_loop
async def test_silence_of_a_connected_server(transport: str) -> None:
    async def script(talk: Talk) -> None:
        await talk.join(pingInterval=300, pingTimeout=100)
        for _ in range(3):
            await asyncio.sleep(0.05)
            talk.send("2")
            assert await talk.receive() == "3"
        await asyncio.sleep(5)

    async with scripted(script) as peer, peer.connect("", transport, reconnection=False) as socket:
        pings: list[int] = []
        socket.io.on("ping", lambda: pings.append(1))
        assert await socket.disconnected == "ping timeout"
        assert len(pings) == 3


@in_loop
async def test_posts_without_an_answer() -> None:
    async def script(talk: Talk) -> None:
        await talk.join(pingInterval=300, pingTimeout=300)
        talk.deaf = True
        await talk.receive()
        await asyncio.sleep(5)

    async with scripted(script) as peer:
        async with peer.connect("", "polling", reconnection=False) as socket:
            socket.emit("a")
            assert await socket.disconnected == "ping timeout"
        async with peer.connect("", "polling", request_timeout=0.3, reconnection=False) as socket:
            socket.emit("a")
            assert await socket.disconnected == "transport error"


@EITHER
@in_loop
async def test_leaving_a_server_that_does_not_listen(transport: str) -> None:
    async def script(talk: Talk) -> None:
        await talk.join()
        talk.deaf = True
        await asyncio.sleep(5)

    async with scripted(script) as peer:
        async with asyncio.timeout(4):
            async with peer.connect("", transport, close_timeout=0.1) as socket:
                pass
        assert socket.io.ready_state == "closed"


@in_loop
async def test_a_probe_without_an_answer() -> None:
    async def script(talk: Talk) -> None:
        await talk.join(upgrades=["websocket"])
        probe = await talk.probes.get()
        assert await probe.receive() == "2probe"
        while (packet := await talk.receive()) != '42["over"]':
            assert isinstance(packet, str)
            talk.send(packet)
        talk.send('42["fine"]')

    async with scripted(script) as peer, peer.connect("", upgrade_timeout=0.1, close_timeout=0.1) as socket:
        socket.emit("echo")
        assert await socket.receive(5) == ("echo", [])
        await asyncio.sleep(0.15)
        assert socket.transport == "polling"
        socket.emit("over")
        assert await socket.receive(5) == ("fine", [])


@pytest.mark.parametrize("answer", ["3", "3prob", "hello", b"3probe", None], ids=repr)
@in_loop
async def test_a_probe_with_a_wrong_answer(answer: str | bytes | None) -> None:
    async def script(talk: Talk) -> None:
        await talk.join(upgrades=["websocket"])
        probe = await talk.probes.get()
        assert await probe.receive() == "2probe"
        if answer is None:
            probe.write(b"\x88\x00")
        else:
            probe.send(answer)
        assert await talk.receive() == '42["over"]'
        talk.send('42["fine"]')

    async with scripted(script) as peer, peer.connect("", close_timeout=0.1) as socket:
        await asyncio.sleep(0.05)
        socket.emit("over")
        assert await socket.receive(5) == ("fine", [])
        assert socket.transport == "polling"


@in_loop
async def test_a_websocket_that_is_offered_and_refused(caplog: pytest.LogCaptureFixture) -> None:
    async def script(talk: Talk) -> None:
        await talk.join(upgrades=["websocket"])
        assert await talk.receive() == '42["go"]'
        talk.send('42["fine"]')
        await talk.receive()

    def headers() -> dict[str, str]:
        raise LookupError("no token")

    async with scripted(script, refusal=response("no", "403 Forbidden")) as peer:
        for special in (None, {"websocket": {"extra_headers": headers}}):
            async with peer.connect("", close_timeout=0.1, force_new=True, transport_options=special) as socket:
                await asyncio.sleep(0.05)
                socket.emit("go")
                assert await socket.receive(5) == ("fine", [])
                assert socket.transport == "polling"
    assert "an upgrade failed" in caplog.text
    assert "no token" in caplog.text


# The client's own faults


@EITHER
@in_loop
async def test_what_is_emitted_while_the_program_was_stopped_is_not_lost(transport: str) -> None:
    received: list[list[str | bytes]] = []

    async def script(talk: Talk) -> None:
        received.append([])
        await talk.join(pingInterval=100 if len(received) == 1 else 25000, pingTimeout=100)
        if len(received) == 1:
            await asyncio.sleep(0.25)  # with the client, which runs in this thread, too
            talk.send("2")
        while True:
            received[-1].append(await talk.receive())

    async with scripted(script) as peer, peer.connect("", transport, reconnection_delay=0) as socket:
        await asyncio.sleep(0.02)
        time.sleep(0.3)
        socket.emit("a")
        socket.volatile.emit("dropped")
        socket.emit("b")
        assert await socket.disconnected == "ping timeout"
        await socket
        socket.emit("c")
        await eventually(lambda: received[-1][-1:] == ['42["c"]'])
        assert received[1:] == [['42["a"]', '42["b"]', '42["c"]']]
        assert not [packet for packet in received[0] if '"a"' in str(packet)]


@in_loop
async def test_posts_are_no_larger_than_the_server_takes() -> None:
    posts: list[bytes] = []

    async def script(talk: Talk) -> None:
        await talk.join(maxPayload=100)
        talk.posts.clear()
        while await talk.receive() != '42["end"]':
            pass
        posts.extend(talk.posts)
        talk.send('42["fine"]')

    async with scripted(script) as peer, peer.connect("", "polling", close_timeout=0.1) as socket:
        for number in range(30):
            socket.emit("a", number, "x" * 20)
        socket.emit("b", "y" * 200)  # which it gets by itself
        socket.emit("c", b"z" * 60, b"z" * 60)
        socket.emit("end")
        assert await socket.receive(5) == ("fine", [])
    sizes = sorted(map(len, posts))
    assert sizes[-1] == len('42["b",""]') + 200
    assert sizes[-2] <= 100
    assert len(posts) < 30
