"""Ask the application about a request, where it wants to be asked: its middlewares, ``allow_request``, ``generate_id``.

The engine does the checks in between, in the order of the reference implementation.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

from socketeer.engine.handshake import Admission, Engine
from socketeer.engine.http import ErrorCode, Request, Response
from socketeer.exceptions import ConnectionRefused

__all__ = ["admit"]

_log = logging.getLogger("socketeer.engine")


async def admit(engine: Engine, request: Request) -> Admission | Response:
    """Check a request as :meth:`Engine.check` does, and let the application have its say."""
    for middleware in engine.middlewares:
        answer = await _ask_middleware(engine, middleware, request)
        if answer is not None:
            return answer
    verified = engine.verify(request)
    if verified is not None:
        return verified
    admission = await _ask_for_leave(engine, request) or engine.begin(request)
    if engine.generate_id is None or isinstance(admission, Response):
        return admission
    try:
        id = await _call(engine.generate_id, request)
    except Exception as error:
        _log.exception("generate_id failed; the client is refused")
        return engine.refuse(request, ErrorCode.BAD_REQUEST, name="ID_GENERATION_ERROR", error=error)
    return engine.check_id(request, admission, id)


async def _ask_middleware(engine: Engine, middleware: Callable[[Request], Any], request: Request) -> Response | None:
    try:
        answer = await _call(middleware, request)
        if answer is None or isinstance(answer, Response):
            return answer
        raise TypeError(f"a middleware returns None or a Response, not {answer!r:.200}")
    except ConnectionRefused as refusal:
        return engine.refuse(request, ErrorCode.FORBIDDEN, refusal.message)
    except Exception as error:
        _log.exception("the middleware %r failed; the request is refused", middleware)
        return engine.refuse(request, ErrorCode.BAD_REQUEST, name="MIDDLEWARE_FAILURE", error=error)


async def _ask_for_leave(engine: Engine, request: Request) -> Response | None:
    ask = engine.options.allow_request
    if ask is None:
        return None
    message = None
    try:
        if await _call(ask, request):
            return None
    except ConnectionRefused as refusal:
        message = refusal.message
    except Exception:
        _log.exception("allow_request failed; the client is refused")
    return engine.refuse(request, ErrorCode.FORBIDDEN, message)


async def _call(function: Callable[[Request], Any], request: Request) -> Any:
    answer = function(request)
    return await answer if inspect.isawaitable(answer) else answer
