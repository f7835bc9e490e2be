"""The test kit: virtual time, and an application's real client in memory, without a network and without a sleep."""

from socketeer.testing.loop import LIMIT, Stuck, VirtualLoop, run

__all__ = ["LIMIT", "Stuck", "VirtualLoop", "run"]
