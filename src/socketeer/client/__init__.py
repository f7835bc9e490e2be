"""The client: :func:`connect`, the manager of a connection, and its sockets."""

from socketeer.client.manager import Manager, connect
from socketeer.client.network import HttpResponse, Network
from socketeer.client.socket import ClientSocket, Received
from socketeer.client.socket_operator import ClientOperator

__all__ = ["ClientOperator", "ClientSocket", "HttpResponse", "Manager", "Network", "Received", "connect"]
