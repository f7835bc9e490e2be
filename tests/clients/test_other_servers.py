"""The portable lane on a web server that is not uvicorn."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypercorn.asyncio import serve
from hypercorn.config import Config

from tests.support.app import create
from tests.support.driver import CLIENTS, TRANSPORTS, Driver
from tests.support.ports import free_port
from tests.support.serving import wait_for_port

SCENARIOS = (
    "connect",
    "unicode",
    "nested-binary",
    "talking-while-connecting",
    "large-payloads",
    "server-acks",
    "refused-at-the-door",
    "client-closes-transport",
    "server-disconnects-connection",
    "client-talks-nonsense",
    "oversize",
)


@pytest.fixture(scope="module")
def hypercorn_url() -> Iterator[str]:
    """Return the URL of the application on Hypercorn."""
    config = Config()
    port = free_port()
    config.bind = [f"127.0.0.1:{port}"]
    config.graceful_timeout = 0.5
    config.loglevel = "WARNING"
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    app: Any = create()  # Hypercorn describes ASGI by types of its own

    async def run() -> None:
        await serve(app, config, shutdown_trigger=stop.wait)

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    wait_for_port(port)
    yield f"http://127.0.0.1:{port}"
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    assert not thread.is_alive()
    loop.close()


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("client", CLIENTS)
def test_on_hypercorn(
    driver: Callable[[str], Driver], hypercorn_url: str, client: str, transport: str, scenario: str
) -> None:
    """Run one scenario."""
    driver(client).start(scenario, hypercorn_url, transport).result()
