"""Options and fixtures that the whole suite shares."""

from __future__ import annotations

import os

import pytest

from tests.support.serving import LANES


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
