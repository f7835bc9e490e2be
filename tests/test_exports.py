"""The public names, pinned: adding or removing one is a decision, not an accident."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from types import ModuleType

import pytest

import socketeer

PUBLIC = [
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
MODULES = [name for _, name, _ in pkgutil.walk_packages(socketeer.__path__, "socketeer.")]


def own_names(module: ModuleType) -> set[str]:
    """Return the functions and classes that a module defines and does not mark as its own business."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    }


def test_the_public_names() -> None:
    assert socketeer.__all__ == PUBLIC
    for name in PUBLIC:
        assert inspect.isclass(getattr(socketeer, name)) or name.isupper() or name == "connect"


def test_the_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", socketeer.__version__)


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_says_it_offers_is_there(name: str) -> None:
    module = importlib.import_module(name)
    names = getattr(module, "__all__", None)
    if names is None:
        assert not own_names(module), "a module with names of its own has no __all__"
        return
    assert len(set(names)) == len(names)
    assert set(names) <= set(vars(module))


@pytest.mark.parametrize("name", MODULES)
def test_a_module_opens_with_what_it_is_for(name: str) -> None:
    module = importlib.import_module(name)
    if own_names(module):
        assert inspect.getdoc(module)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_classes_and_their_methods_are_documented(name: str) -> None:
    thing = getattr(socketeer, name)
    assert inspect.getdoc(thing)
    for attribute, value in vars(thing).items():
        function = value.fget if isinstance(value, property) else inspect.unwrap(getattr(value, "__func__", value))
        if not attribute.startswith("_") and inspect.isfunction(function):
            assert function.__doc__, f"{name}.{attribute}"


def test_the_package_needs_no_web_server_until_it_serves() -> None:
    """Import in another process: here everything is loaded already."""
    code = "import socketeer, sys; print(sorted({'uvicorn', 'picows', 'a2wsgi', 'click'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
