"""The options of servers and clients as frozen records, checked once."""

from socketeer.options.checks import TRANSPORTS
from socketeer.options.server import (
    ConnectionStateRecovery,
    Cookie,
    EngineOptions,
    HttpCompression,
    Options,
    PerMessageDeflate,
    ServerOptions,
)

__all__ = [
    "TRANSPORTS",
    "ConnectionStateRecovery",
    "Cookie",
    "EngineOptions",
    "HttpCompression",
    "Options",
    "PerMessageDeflate",
    "ServerOptions",
]
