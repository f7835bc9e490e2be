"""Random traffic: whatever comes, the server answers its other clients, logs no error, and forgets its sessions."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.wire.conftest import Served
from tests.wire.peers import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Closed, PollingPeer, eventually, frame

Serve = Callable[..., Served]

PIECES = [
    *[
        "0",
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
        "7",
        "40",
        "41",
        "42",
        "43",
        "44",
        "45",
        "46",
        "451-",
        "450-",
        "461-0",
        "2probe",
    ],
    *[
        "/",
        "/custom",
        "/custom,",
        "?a=b",
        ",",
        "-",
        ":",
        "[",
        "]",
        "{",
        "}",
        '"',
        "null",
        "1",
        "9" * 20,
        " ",
        "\x1e",
        "\\",
    ],
    *[
        '["message"]',
        '["message",1]',
        '["message-with-ack",{}]',
        '{"_placeholder":true,"num":0}',
        '{"token":1}',
        "b",
        "b4",
    ],
    *["AQID", "AA==", "é", "😀", "\x00", "\\ud800", "6:", "2:4", '["message",{"_placeholder":true,"num":0}]'],
]
WELL_FORMED = [
    *["40", "41", "40/custom,", "41/custom,", '42["message",1]', '421["message-with-ack"]', '42/custom,["message"]'],
    *['451-["message",{"_placeholder":true,"num":0}]', "431[]", "3", "6", "5"],
]


def packet(chance: random.Random) -> str:
    if chance.random() < 0.6:
        return chance.choice(WELL_FORMED)
    return "".join(chance.choices(PIECES, k=chance.randint(0, 5)))


def random_frame(chance: random.Random) -> bytes:
    roll = chance.random()
    if roll < 0.7:
        return frame(TEXT, packet(chance).encode())
    if roll < 0.85:
        return frame(BINARY, chance.randbytes(chance.randint(0, 300)))
    if roll < 0.9:
        return chance.randbytes(chance.randint(1, 40))
    opcode = chance.choice([CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG, 3, 11])
    content = packet(chance).encode() if chance.random() < 0.5 else chance.randbytes(chance.randint(0, 130))
    return frame(
        opcode, content, fin=chance.random() < 0.7, rsv=chance.choice([0, 0, 0, 1, 4]), mask=chance.random() < 0.9
    )


def fuzz_websocket(server: Served, chance: random.Random, eio: int) -> None:
    peer = server.websocket(f"EIO={eio}&transport=websocket")
    if chance.random() < 0.7:
        peer.send("40")
    for _ in range(chance.randint(1, 25)):
        peer.raw(random_frame(chance))
    if chance.random() < 0.5:
        peer.raw(frame(CLOSE, b"\x03\xe8"))
    peer.close(reset=chance.random() < 0.3)  # a reply is not waited for: the last frame may be still unfinished


def fuzz_polling(server: Served, chance: random.Random, eio: int) -> None:
    peer = PollingPeer(server.port, eio, chance.choice(["", "&b64=1"]) if eio == 3 else "")
    if chance.random() < 0.7:
        peer.post(peer.payload("40"))
    for _ in range(chance.randint(1, 10)):
        binary = chance.random() < 0.1
        if chance.random() < 0.2:
            body = chance.randbytes(chance.randint(0, 100))
        elif chance.random() < 0.5:
            body = "".join(chance.choices(PIECES, k=8)).encode()
        else:
            body = peer.payload(*[packet(chance) for _ in range(chance.randint(1, 5))]).encode()
        reply = peer.post(body, "application/octet-stream" if binary else "text/plain")
        assert reply.status in (200, 400)
    peer.post(peer.payload("1"))
    assert peer.is_dead()


def fuzz_upgrade(server: Served, chance: random.Random, eio: int) -> None:
    polling = PollingPeer(server.port, eio)
    polling.post(polling.payload("40"))
    peer = server.knock(polling)
    for step in ("2probe", "5"):
        peer.send(step) if chance.random() < 0.8 else peer.raw(random_frame(chance))
        if chance.random() < 0.3:
            polling.post(polling.payload(packet(chance)))
    for _ in range(chance.randint(0, 8)):
        peer.raw(random_frame(chance))
    peer.close(reset=chance.random() < 0.5)
    polling.post(polling.payload("1"))


@pytest.mark.parametrize("seed", range(8))
def test_random_traffic(serve: Serve, seed: int) -> None:
    chance = random.Random(seed)
    server = serve()
    witness = server.joined()
    for _ in range(100):
        kind = chance.choice([fuzz_websocket, fuzz_websocket, fuzz_polling, fuzz_upgrade])
        try:
            kind(server, chance, chance.choice([3, 4]))
        except Closed:
            continue  # the server was the first to close
    witness.echo("alive")
    eventually(lambda: server.running.call(lambda: server.io.engine.clients_count) == 1)
