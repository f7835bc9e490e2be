"""The client without a prompt: carries out steps in their order, prints what happens, and ends with a code."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import sys
import threading
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, TypeVar

import click

from socketeer.cli.client.happenings import Connected, Disconnected, Failed, Happening, Note, Received, Refused
from socketeer.cli.client.lines import Emission, read_emission
from socketeer.cli.client.screen import Screen, logging_to
from socketeer.cli.client.session import Session, Settings, end_by_sigterm
from socketeer.cli.client.values import BadValue
from socketeer.cli.connecting import Target
from socketeer.exceptions import AckTimeout, SocketeerError

__all__ = ["Exit", "Listen", "ReadInput", "Step", "Wait", "carry_out"]

T = TypeVar("T")

_CHUNK = 65_536
_MAX_KEPT = 100_000
_MAX_UNSENT = 1_000_000
"""The bytes that may wait to be sent before more input is taken."""
_UNSENT_PAUSE = 0.01
_GOODBYE = 2.0


class Exit(IntEnum):
    """Number the ways in which the command ends."""

    DONE = 0
    NOT_CONNECTED = 1
    USAGE = 2
    TIMEOUT = 3


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for events: of that name, or of any."""

    event: str | None
    count: int = 1


@dataclass(frozen=True, slots=True)
class ReadInput:
    """Send the events that come as lines of standard input; with ``ack``, wait for the answer of each."""

    ack: bool = False


@dataclass(frozen=True, slots=True)
class Listen:
    """Go on until the user has enough."""


Step = Emission | Wait | ReadInput | Listen


async def carry_out(steps: Sequence[Step], target: Target, settings: Settings, screen: Screen) -> Exit:
    """Connect, take the steps one after the other, and disconnect.

    Each of these may take ``settings.timeout``, but for listening and for lines that do not come.
    """
    script = _Script(steps, target, settings, screen)
    end_by_sigterm()
    with logging_to(screen):
        try:
            return await script.run()
        finally:
            await script.close()


class _Stop(Exception):
    """End the script; the text is for the user."""

    def __init__(self, code: Exit, text: str = "") -> None:
        super().__init__(text)
        self.code = code


class _Script:
    """Take steps."""

    def __init__(self, steps: Sequence[Step], target: Target, settings: Settings, screen: Screen) -> None:
        loop = asyncio.get_running_loop()
        self._steps = steps
        self._timeout = settings.timeout
        self._screen = screen
        self._keeps_events = any(isinstance(step, Wait) for step in steps)
        self._received: deque[str] = deque(maxlen=_MAX_KEPT)
        self._news = asyncio.Event()
        self._over: asyncio.Future[Exit] = loop.create_future()
        self._was_connected = self._cannot_write = False
        self._session = Session(target, self._show, settings)

    async def run(self) -> Exit:
        """Connect, and take every step."""
        try:
            await self._connected()
            for step in self._steps:
                await self._take(step)
        except _Stop as stop:
            if str(stop):
                self._screen.show(Note(str(stop), error=True))
            return stop.code
        return Exit.NOT_CONNECTED if self._cannot_write else Exit.DONE

    async def close(self) -> None:
        """Disconnect, behind what was sent."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await self._session.close()

    async def _take(self, step: Step) -> None:
        match step:
            case Emission():
                await self._emit(step)
            case Wait():
                await self._wait(step)
            case ReadInput():
                await self._read(ack=step.ack)
            case Listen():
                await self._unless_over(asyncio.get_running_loop().create_future())

    # -- the steps

    async def _connected(self) -> None:
        socket = self._session.current.socket
        if not socket.connected:
            await self._within("connecting", self._until(lambda: socket.connected))

    async def _emit(self, emission: Emission) -> None:
        await self._connected()
        try:
            outcome = self._session.emit(emission)
        except (SocketeerError, TypeError, ValueError) as error:
            raise _Stop(Exit.USAGE, str(error)) from error
        failure = outcome.result() if outcome.done() else await self._unless_over(outcome)
        if failure is not None:
            raise _Stop(Exit.TIMEOUT if isinstance(failure, AckTimeout) else Exit.NOT_CONNECTED)

    async def _wait(self, wait: Wait) -> None:
        """Look at the events since the last one that was waited for, then at those to come."""
        missing = wait.count

        def came() -> bool:
            nonlocal missing
            while missing and self._received:
                missing -= wait.event in (None, self._received.popleft())
            return not missing

        await self._within(f"waiting for {wait.event or 'events'}", self._until(came))

    async def _read(self, *, ack: bool) -> None:
        before = 0
        async with aclosing(_chunks_of_input()) as chunks:
            while (lines := await self._unless_over(anext(chunks, None))) is not None:
                for number, line in enumerate(lines, before + 1):
                    if line.strip():
                        await self._emit_line(line, number, ack=ack)
                before += len(lines)
                await self._within("sending", self._sent())

    async def _emit_line(self, line: str, number: int, *, ack: bool) -> None:
        try:
            emission = read_emission(line)
        except BadValue as error:
            raise _Stop(Exit.USAGE, f"line {number}: {error}") from error
        await self._emit(replace(emission, ack=ack or emission.ack))

    async def _sent(self) -> None:
        """Wait until what was sent has left, all but a little: input may come faster than the server takes it."""
        while self._session.unsent() > _MAX_UNSENT:  # noqa: ASYNC110  # nothing tells of less
            await asyncio.sleep(_UNSENT_PAUSE)

    # -- waiting

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition, which is looked at whenever something happened."""
        while not condition():
            self._news.clear()
            await self._news.wait()

    async def _within(self, what: str, awaited: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._unless_over(awaited)
        except TimeoutError:
            raise _Stop(Exit.TIMEOUT, f"{what} took more than {self._timeout:g} s") from None

    async def _unless_over(self, awaited: Awaitable[T]) -> T:
        """Wait for something, unless the script ends before."""
        task: asyncio.Future[Any] = asyncio.ensure_future(awaited)
        try:
            await asyncio.wait((task, self._over), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise _Stop(self._over.result())
            found: T = task.result()
            return found
        finally:
            task.cancel()

    # -- what happens

    def _show(self, happening: Happening) -> None:
        if self._over.done() and not isinstance(happening, Disconnected):
            return  # such as when it would connect again, which it will not
        try:
            self._screen.show(happening)
        except BrokenPipeError:  # nobody reads any more, as behind `head`
            self._end(Exit.DONE)
        except OSError as error:
            if not self._cannot_write:
                click.echo(f"Error: cannot write: {error.strerror}", err=True)
            self._cannot_write = True
            self._end(Exit.NOT_CONNECTED)
        match happening:
            case Connected():
                self._was_connected = True
            case Refused():
                self._end(Exit.NOT_CONNECTED)
            case Failed() if not self._was_connected:
                self._end(Exit.NOT_CONNECTED)
            case Disconnected():  # whether for good is not known before all have been told
                asyncio.get_running_loop().call_soon(self._end_if_inactive)
            case Received() if self._keeps_events:
                self._received.append(str(happening.event))
        self._news.set()

    def _end_if_inactive(self) -> None:
        if not self._session.current.socket.active:
            self._end(Exit.NOT_CONNECTED)

    def _end(self, code: Exit) -> None:
        if not self._over.done():
            self._over.set_result(code)


async def _chunks_of_input() -> AsyncGenerator[list[str], None]:
    """Give standard input, some lines at a time; the thread that reads is left behind if it still waits for any."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[list[bytes] | None] = asyncio.Queue(1)

    def put(lines: list[bytes] | None) -> bool:
        if loop.is_closed():
            return False
        try:
            asyncio.run_coroutine_threadsafe(chunks.put(lines), loop).result()
        except (RuntimeError, concurrent.futures.CancelledError):  # the program ends
            return False
        return True

    threading.Thread(target=_read_input, args=(put,), daemon=True).start()
    while (lines := await chunks.get()) is not None:
        yield [line.decode(errors="replace") for line in lines]


def _read_input(put: Callable[[list[bytes] | None], bool]) -> None:
    """Read without a buffer of Python's: its lock, held by a thread that waits, would keep the program from ending."""
    unfinished: list[bytes] = []
    with suppress(OSError):
        while chunk := os.read(sys.stdin.fileno(), _CHUNK):
            first, *rest = chunk.split(b"\n")
            unfinished.append(first)
            if rest:
                lines = [b"".join(unfinished), *rest[:-1]]
                unfinished = [rest[-1]]
                if not put(lines):
                    return
    put([b"".join(unfinished)])
    put(None)
