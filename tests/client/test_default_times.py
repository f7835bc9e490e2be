"""The times of client and server as they are by default, seconds and minutes: on virtual time nobody waits for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from socketeer import AckTimeout, ClientSocket, Server, Socket, TransportError
from socketeer.testing import AsgiNetwork, connect, run

UPGRADE = ["polling", "websocket"]


def now() -> float:
    return asyncio.get_running_loop().time()


def note_disconnections(io: Server) -> list[tuple[str, float]]:
    """Note why and when the server loses its clients."""
    noted: list[tuple[str, float]] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.on("disconnect", lambda reason: noted.append((reason, now())))

    return noted


@pytest.mark.parametrize("transports", [["websocket"], ["polling"]])
def test_silence_ends_a_connection_after_45_seconds_at_both_ends(transports: list[str]) -> None:
    io = Server()
    noted = note_disconnections(io)

    async def main() -> None:
        network = AsgiNetwork(io)
        async with connect(network, transports=transports, reconnection=False) as socket:
            await asyncio.sleep(24)
            network.hold()
            assert await socket.disconnected == "ping timeout"
            assert now() == pytest.approx(45, abs=0.1)  # from the last sign of life

    run(main())
    assert [reason for reason, _ in noted] == ["ping timeout"]
    assert noted[0][1] == pytest.approx(45, abs=0.1)


def test_attempts_to_connect_begin_after_a_second_and_then_every_five() -> None:
    begun: list[float] = []

    async def main(factor: float) -> None:
        network = AsgiNetwork(Server())
        network.down()
        socket = connect(network, randomization_factor=factor)
        socket.io.on("reconnect_attempt", lambda number: begun.append(now()))
        await asyncio.sleep(100)
        socket.disconnect()
        network.up()
        await asyncio.sleep(100)
        assert socket.disconnected

    run(main(0.0))
    assert begun == pytest.approx([1, 3, 7, *range(12, 100, 5)], abs=0.1)
    begun.clear()
    run(main(0.5))
    pauses = [after - before for before, after in zip([0, *begun], begun, strict=False)]
    assert all(
        least <= pause <= 1.1 * most for pause, least, most in zip(pauses, [0.5, 1, 2], [1.5, 3, 5], strict=False)
    )
    assert pauses[:3] != pytest.approx([1, 2, 4], abs=0.01)
    assert max(pauses) < 5.1


def test_a_server_that_does_not_answer_is_given_20_seconds() -> None:
    async def main() -> None:
        network = AsgiNetwork(Server())
        network.hold()
        with pytest.raises(TransportError, match="timeout"):
            async with connect(network, reconnection=False):
                pass
        assert now() == 20

    run(main())


def test_an_upgrade_that_does_not_come_leaves_polling_as_it_is() -> None:
    class Deaf(AsgiNetwork):
        async def websocket(self, *args: Any, **kwargs: Any) -> Any:
            await asyncio.sleep(3600)

    async def main() -> None:
        io = Server()
        io.event("add")(lambda socket, a, b: a + b)
        async with connect(Deaf(io), transports=UPGRADE) as socket:
            for _ in range(10):
                assert await socket.emit_with_ack("add", 1, 2) == 3
                assert socket.transport == "polling"
                await asyncio.sleep(10)

    run(main())


@pytest.mark.parametrize("away", [110, 130])
def test_a_server_remembers_who_left_for_two_minutes(away: int) -> None:
    async def main() -> None:
        io = Server(connection_state_recovery=True)
        network = AsgiNetwork(io)
        async with connect(network, randomization_factor=0) as socket:
            socket.on("missed", lambda: missed.append(now()))
            io.emit("first")
            before = socket.id
            await asyncio.sleep(1)
            network.down()
            io.emit("missed")
            await asyncio.sleep(away)
            network.up()
            await asyncio.sleep(10)
            assert socket.connected
            assert socket.recovered is (away < 120)
            assert (socket.id == before) is (away < 120)

    missed: list[float] = []
    run(main())
    assert len(missed) == (away < 120)


def test_with_retries_each_attempt_has_10_seconds() -> None:
    came: list[tuple[str, float]] = []

    async def main() -> None:
        io = Server()

        @io.event
        async def save(socket: Socket, text: str) -> str:
            came.append((text, now()))
            if len(came) < 3:
                await asyncio.sleep(1000)
            return "saved"

        async with connect(io, retries=3) as socket:
            socket.emit("save", "first")
            assert await socket.emit_with_ack("save", "second") == "saved"

    run(main())
    assert came == [("first", 0), ("first", 10), ("first", 20), ("second", 20)]


def test_without_a_timeout_an_acknowledgement_is_awaited_for_as_long_as_it_takes() -> None:
    async def main() -> None:
        io = Server()

        @io.event
        async def brew(socket: Socket) -> str:
            await asyncio.sleep(3000)
            return "tea"

        async with connect(io) as socket:
            with pytest.raises(AckTimeout):
                await socket.timeout(2999).emit_with_ack("brew")
            assert await socket.emit_with_ack("brew") == "tea"
            assert now() == 5999

    run(main(), limit=7200)


def test_a_client_that_does_not_join_is_let_go_after_45_seconds() -> None:
    async def main() -> None:
        io = Server()

        async def auth() -> dict[str, str]:
            await asyncio.sleep(44 if socket is None else 3600)
            return {}

        socket: ClientSocket | None = None
        socket = await connect(io, auth=auth)
        socket.disconnect()
        late = connect(io, auth=auth, reconnection=False)
        with pytest.raises(TransportError, match="lost"):
            await late
        assert now() == pytest.approx(44 + 45, abs=0.1)

    run(main())
