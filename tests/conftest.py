"""Options and fixtures that the whole suite shares."""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.serving import LANES

# Programs that the tests start get Ctrl+C from them: those of a suite that runs in the background would ignore it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--reference``."""
    parser.addoption(
        "--reference",
        action="store_true",
        default=os.environ.get("SOCKETEER_REFERENCE") == "1",
        help="run the scenarios of the official clients against Node's own server, to check the scenarios",
    )


@pytest.fixture(params=LANES)
def lane(request: pytest.FixtureRequest) -> str:
    """Return the name of a lane; a test that takes it runs once over each."""
    return str(request.param)
