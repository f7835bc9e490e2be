"""Run a small program again and again, and do something to it after each step of its event loop; see what is left.

A step is a callback that was given to the event loop: each time a task goes on, a future is told of its result, a timer
or a socket leads to something. What is done comes right behind it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

__all__ = ["LOOPS", "Aftermath", "Stepping", "eventually_alone", "open_sockets", "sweep", "watching"]

PATIENCE = 10.0
MOST_STEPS = 1000


class Stepping:
    """Count the steps of an event loop, and do something behind one of them."""

    steps = 0
    last: int | None = None
    act: Callable[[], object]

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Any = None) -> Any:
        handle = super().call_soon(callback, *args, context=context)  # type: ignore[misc]
        self.steps += 1
        if self.steps == self.last:
            super().call_soon(self.act)  # type: ignore[misc]
        return handle

    def act_after(self, steps: int, act: Callable[[], object]) -> None:
        """Call a function after so many more steps."""
        self.act = act
        self.last = self.steps + steps


LOOPS: dict[str, Callable[[], Any]] = {
    "asyncio": type("PlainLoop", (Stepping, asyncio.SelectorEventLoop), {}),
    "uvloop": type("UvLoop", (Stepping, uvloop.Loop), {}),
}


def open_sockets() -> set[str]:
    """Give the sockets of this process."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


def connections_to(port: int) -> int:
    """Count the sockets that are open to a port of 127.0.0.1, in whatever process."""
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return sum(fields[2] == f"0100007F:{port:04X}" and fields[9] != "0" for fields in lines)  # 0: closed by its process


class Aftermath(logging.Handler):
    """Hold what was found wrong: warnings, what reached the event loop or the log, sockets and tasks that are left."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.faults: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith("uvicorn"):
            self.faults.append(f"logged: {self.format(record)}")

    def note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take what reaches the event loop."""
        self.faults.append(f"in the event loop: {context}")


@contextmanager
def watching() -> Iterator[Aftermath]:
    """Note what goes wrong in the block, and when what was in use there is collected as garbage."""
    aftermath = Aftermath()
    logging.getLogger().addHandler(aftermath)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield aftermath
            gc.collect()
        aftermath.faults += [f"{warning.category.__name__}: {warning.message}" for warning in caught]
    finally:
        logging.getLogger().removeHandler(aftermath)


async def eventually_alone(sockets: set[str]) -> None:
    """Wait until no task is left but this one, and no socket but those there were."""
    end = time.monotonic() + PATIENCE
    while (tasks := asyncio.all_tasks() - {asyncio.current_task()}) or (left := open_sockets() - sockets):
        assert time.monotonic() < end, f"left: {tasks or left}"
        await asyncio.sleep(0.001)


Program = Callable[[Stepping, int], Awaitable[bool]]
"""Run, and do to itself what is to be done after so many steps; tell whether it came to its end before that."""


def sweep(loop_name: str, program: Program, *, first: int = 1, stride: int = 1) -> int:
    """Run a program with the act after each step, until it has ended by itself; give the number of runs.

    ``AssertionError`` for the first run in which anything was found wrong.
    """
    gc.collect()
    gc.freeze()  # so that collecting what is left of a run takes no time
    try:
        for runs, step in enumerate(range(first, MOST_STEPS, stride), 1):
            if _run(loop_name, program, step):
                return runs
    finally:
        gc.unfreeze()
    raise AssertionError(f"the program does not end within {MOST_STEPS} steps")


def _run(loop_name: str, program: Program, step: int) -> bool:
    began = time.monotonic()
    ended = False
    sockets: set[str] = set()

    async def main() -> None:
        nonlocal ended, sockets
        loop: Any = asyncio.get_running_loop()
        loop.set_exception_handler(aftermath.note)
        sockets = open_sockets()
        ended = await program(loop, step)

    with watching() as aftermath:
        try:
            with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
                runner.run(main())
        except Exception as error:
            aftermath.faults.append(repr(error))
        took = time.monotonic() - began
    while (left := open_sockets() - sockets) and time.monotonic() < began + took + PATIENCE:  # the server's ends
        time.sleep(0.001)
    assert not left, f"after step {step}: sockets are left"
    assert not aftermath.faults, f"after step {step}:\n" + "\n".join(aftermath.faults)
    assert took < PATIENCE, f"after step {step}: it took {took:.1f} s"
    return ended
