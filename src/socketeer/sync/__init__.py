"""The client for programs without asyncio: the same one, with calls that wait, on an event loop in the background."""

from socketeer.sync.client import ClientSocket, Manager, connect
from socketeer.sync.conn import Conn
from socketeer.sync.portal import Portal
from socketeer.sync.socket_operator import ClientOperator

__all__ = ["ClientOperator", "ClientSocket", "Conn", "Manager", "Portal", "connect"]
