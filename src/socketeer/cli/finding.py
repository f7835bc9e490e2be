"""Find what is named on the command line as ``module:name``: a module, and a server or an application in it."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from socketeer.server.server import Server

__all__ = ["NotFound", "find_app", "find_factory", "find_server", "own_traceback"]

_ASGI = ("scope", "receive", "send")
_USUAL_NAMES = ("app", "application")


class NotFound(Exception):
    """Say in a line why nothing was found, and whose fault it is."""


def find_server(spec: str) -> Server:
    """Give the server that ``module:name`` is or leads to; without a name, the one that there is in the module."""
    module, name = _load(spec)
    if name:
        found = _attribute(module, name)
        server = next(_servers_in(found), None)
        if server is None:
            raise NotFound(f"{spec} is {_a(found)}, not a socketeer.Server")
        return server
    servers = {id(server): server for app in _apps_of(module).values() for server in _servers_in(app)}
    if len(servers) == 1:
        return servers.popitem()[1]
    if not servers:
        raise NotFound(f"{module.__name__} has no socketeer.Server")
    names = [key for key, value in vars(module).items() if id(value) in servers]
    raise NotFound(_choose(module, "servers", names))


def find_app(spec: str) -> Any:
    """Give the ASGI application that ``module:name`` is; without a name, the one that there is in the module."""
    module, name = _load(spec)
    if name:
        return _checked(_attribute(module, name), spec)
    apps = _apps_of(module)
    inner = {id(each) for app in apps.values() for each in _behind(app)}
    outer = {key: app for key, app in apps.items() if id(app) not in inner}
    if len(outer) == 1:
        return outer.popitem()[1]
    for usual in _USUAL_NAMES:
        if usual in outer:
            return outer[usual]
    if not outer:
        raise NotFound(f"{module.__name__} has no ASGI application")
    raise NotFound(_choose(module, "applications", outer))


def find_factory(spec: str) -> Callable[[], Coroutine[Any, Any, Any]]:
    """Give a function that makes the ASGI application with the factory that ``module:name`` is, a coroutine or not."""
    module, name = _load(spec)
    if not name:
        raise NotFound(f"the factory needs its name, as in {module.__name__}:create_app")
    factory = _attribute(module, name)
    if not callable(factory):
        raise NotFound(f"{spec} is {_a(factory)}, and makes no application")

    async def make() -> Any:
        try:
            app = factory()
            if inspect.isawaitable(app):
                app = await app
        except Exception as error:
            raise NotFound(f"{spec}() fails: {_said(error)}") from error
        return _checked(app, f"{spec}()")

    return make


def own_traceback(error: NotFound) -> BaseException | None:
    """Give the exception that the user's own code raised, its traceback beginning there; None where there is none."""
    cause = error.__cause__
    if cause is None or isinstance(cause, ModuleNotFoundError):
        return None
    return cause.with_traceback(_from_user_code(cause.__traceback__))


def _from_user_code(traceback: TracebackType | None) -> TracebackType | None:
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if file not in (__file__, importlib.__file__) and not file.startswith("<frozen importlib"):
            break
        traceback = traceback.tb_next
    return traceback


# -- modules


def _load(spec: str) -> tuple[ModuleType, str]:
    """Import the module of ``module:name``; give it and the name, which may be empty."""
    module_name, colon, name = spec.partition(":")
    path = Path(module_name)
    if path.suffix == ".py" or len(path.parts) > 1:
        where = f", with --app-dir {path.parent}" if len(path.parts) > 1 else ""
        raise NotFound(f"{module_name} is a path: name the module, {path.stem}{colon}{name}{where}")
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise NotFound(f"{spec!r} is not of the form module:name, as in main:app")
    try:
        return importlib.import_module(module_name), name
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise NotFound(f"{module_name} imports {error.name}, which is not installed") from error
        raise NotFound(f"there is no module {error.name} here{_hint(error.name, _modules_here())}") from error
    except Exception as error:
        raise NotFound(f"{module_name} cannot be imported: {_said(error)}") from error


def _modules_here() -> list[str]:
    """List the modules of the folder that is searched first, which is the user's."""
    here = Path(sys.path[0] or ".")
    return [each.stem for each in here.iterdir() if each.suffix == ".py" or (each / "__init__.py").is_file()]


def _attribute(module: ModuleType, path: str) -> Any:
    found: Any = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            known = [each for each in vars(module) if not each.startswith("_")] if found is module else []
            raise NotFound(f"{module.__name__} has no {path}{_hint(path, known)}") from None
    return found


def _hint(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word, known, 1) if word.isidentifier() else []
    return f"; did you mean {close[0]}?" if close else ""


def _choose(module: ModuleType, what: str, names: Iterable[str]) -> str:
    names = sorted(names)
    return f"{module.__name__} has several {what}: {', '.join(names)}; name one, as in {module.__name__}:{names[0]}"


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _a(found: Any) -> str:
    name = type(found).__name__
    return f"{'an' if name[:1] in 'aeiouAEIO' else 'a'} {name}"


# -- applications


def _apps_of(module: ModuleType) -> dict[str, Any]:
    """Give the applications that a module has, each under the first of its names."""
    apps: dict[str, Any] = {}
    for name, value in vars(module).items():
        if not name.startswith("_") and _looks_like_an_app(value) and all(value is not app for app in apps.values()):
            apps[name] = value
    return apps


def _looks_like_an_app(value: Any) -> bool:
    """Tell an application by the names of what it is called with, which all of them use."""
    call = value if inspect.isfunction(value) else getattr(type(value), "__call__", None)  # noqa: B004
    if isinstance(value, type) or call is None:
        return False
    try:
        return tuple(inspect.signature(call).parameters)[-3:] == _ASGI
    except (TypeError, ValueError):
        return False


def _servers_in(app: Any) -> Iterator[Server]:
    for each in (app, *_behind(app)):
        if isinstance(each, Server):
            yield each


def _behind(app: Any) -> list[Any]:
    """Give what stands behind an application: what it was attached to, wraps as a middleware, or has mounted."""
    found: list[Any] = []
    waiting = [app]
    while waiting:
        for each in _next_to(waiting.pop()):
            if _looks_like_an_app(each) and all(each is not known for known in (app, *found)):
                found.append(each)
                waiting.append(each)
    return found


def _next_to(app: Any) -> Iterator[Any]:
    for cell in getattr(app, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:  # it is empty
            continue
    yield getattr(app, "app", None)
    routes = getattr(app, "routes", None)
    for route in routes if isinstance(routes, list) else ():
        yield getattr(route, "app", None)


def _checked(app: Any, spec: str) -> Any:
    """Give ``app`` if it can be called as an ASGI application is."""
    if not isinstance(app, type) and _takes(app, 3):
        return app
    if not callable(app):
        problem = f"is {_a(app)}, not an ASGI application"
    elif isinstance(app, type):
        problem = "is a class, not an ASGI application; --factory serves what it makes"
    elif _takes(app, 0):
        problem = "takes no arguments, as an ASGI application does; --factory serves what it makes"
    elif _takes(app, 2):
        problem = "is a WSGI application, not an ASGI one; io.attach() takes it"
    else:
        problem = "does not take scope, receive and send, as an ASGI application does"
    raise NotFound(f"{spec} {problem}")


def _takes(function: Any, count: int) -> bool:
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # one that is not written in Python
        return True
    return True
