"""The test kit: virtual time, and an application's real client in memory, without a network and without a sleep."""

from socketeer.testing.clients import Clients
from socketeer.testing.connecting import connect
from socketeer.testing.loop import LIMIT, Stuck, VirtualLoop, run
from socketeer.testing.network import AsgiNetwork

__all__ = ["LIMIT", "AsgiNetwork", "Clients", "Stuck", "VirtualLoop", "connect", "run"]
