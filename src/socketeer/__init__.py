"""Socket.IO for Python."""

from socketeer.adapters.base import Adapter, Flags, LostSession, Selection
from socketeer.adapters.memory import MemoryAdapter
from socketeer.adapters.recovery import RecoveringAdapter
from socketeer.client.manager import Manager, connect
from socketeer.client.socket import ClientSocket, Received
from socketeer.client.socket_operator import ClientOperator
from socketeer.engine.conn import Conn, ConnPacket
from socketeer.engine.cors import Cors
from socketeer.engine.hooks import ConnectionFailure
from socketeer.engine.http import Request, Response, ResponseHeaders
from socketeer.exceptions import (
    AckTimeout,
    ConnectionRefused,
    Disconnected,
    PacketError,
    SocketeerError,
    TransportError,
    UsageError,
)
from socketeer.handling.acks import Ack
from socketeer.handling.handlers import BadArguments, BadPayload
from socketeer.options import ConnectionStateRecovery, Cookie, HttpCompression, PerMessageDeflate, ServerOptions
from socketeer.protocol.packets import Packet, PacketType
from socketeer.protocol.parsers import Decoder, Parser
from socketeer.protocol.socket_msgpack import MSGPACK
from socketeer.server.broadcast import BroadcastOperator, RemoteSocket
from socketeer.server.engine_server import EngineServer
from socketeer.server.handshake import Handshake
from socketeer.server.namespace import Namespace
from socketeer.server.parent_namespace import ParentNamespace
from socketeer.server.server import Server
from socketeer.server.socket import Socket
from socketeer.server.socket_operator import SocketOperator

__all__ = [
    "MSGPACK",
    "Ack",
    "AckTimeout",
    "Adapter",
    "BadArguments",
    "BadPayload",
    "BroadcastOperator",
    "ClientOperator",
    "ClientSocket",
    "Conn",
    "ConnPacket",
    "ConnectionFailure",
    "ConnectionRefused",
    "ConnectionStateRecovery",
    "Cookie",
    "Cors",
    "Decoder",
    "Disconnected",
    "EngineServer",
    "Flags",
    "Handshake",
    "HttpCompression",
    "LostSession",
    "Manager",
    "MemoryAdapter",
    "Namespace",
    "Packet",
    "PacketError",
    "PacketType",
    "ParentNamespace",
    "Parser",
    "PerMessageDeflate",
    "Received",
    "RecoveringAdapter",
    "RemoteSocket",
    "Request",
    "Response",
    "ResponseHeaders",
    "Selection",
    "Server",
    "ServerOptions",
    "Socket",
    "SocketOperator",
    "SocketeerError",
    "TransportError",
    "UsageError",
    "connect",
]

__version__ = "0.1.0"
