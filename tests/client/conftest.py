"""The servers and the transports over which the tests of the client run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client.servers import MODERN, PEERS, TRANSPORTS, Farm, Peer


@pytest.fixture(scope="session")
def farm() -> Iterator[Farm]:
    """Return the servers with the default options."""
    farm = Farm()
    yield farm
    farm.close()


@pytest.fixture(params=PEERS)
def server(request: pytest.FixtureRequest, farm: Farm) -> Peer:
    """Return each kind of server, in each revision."""
    return farm.peer(request.param)


@pytest.fixture(params=MODERN)
def modern(request: pytest.FixtureRequest, farm: Farm) -> Peer:
    """Return each kind of server that speaks the revision of 4.x."""
    return farm.peer(request.param)


@pytest.fixture
def ours(farm: Farm) -> Peer:
    """Return our own server, where what is tested has nothing to do with the server."""
    return farm.peer("fast")


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """Return each transport, and the upgrade of one to the other."""
    return str(request.param)
