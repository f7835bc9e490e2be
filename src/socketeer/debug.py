"""``DEBUG=socketeer*``: switch logging scopes on by an environment variable.

Logging itself is the standard tree under ``socketeer``. The variable takes patterns separated by commas, as the
JavaScript ``debug`` package does, ``-`` in front to exclude; ``:`` and ``.`` are the same. The names that JavaScript
has for its scopes switch on what stands for them here.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from fnmatch import fnmatchcase

__all__ = ["SCOPES", "enable"]

_OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "socketeer.client": ("socket.io-client", "socket.io-client.manager", "socket.io-client.socket"),
    "socketeer.engine": ("engine",),
    "socketeer.engine.polling": ("engine.polling",),
    "socketeer.engine.session": ("engine.session", "engine.socket"),
    "socketeer.engine.websocket": ("engine.websocket", "engine.ws"),
    "socketeer.multiplex": ("socket.io.client", "socket.io-parser"),
    "socketeer.server": ("socket.io.server", "socket.io.namespace", "socket.io.parent-namespace", "socket.io.socket"),
    "socketeer.transports.picows": (),
    "socketeer.transports.portable": (),
}
SCOPES = tuple(_OTHER_NAMES)


def enable(variable: str | None = None) -> list[str]:
    """Switch on the scopes that ``variable`` (by default ``$DEBUG``) names, and give them.

    They are written to standard error unless the application has handlers of its own for ``socketeer``.
    """
    whole = os.environ.get("DEBUG", "") if variable is None else variable
    patterns = [part for part in re.split(r"[\s,]+", whole.replace(":", ".")) if part]
    wanted = [part for part in patterns if not part.startswith("-")]
    unwanted = [part[1:] for part in patterns if part.startswith("-")]
    scopes = [scope for scope in SCOPES if _is_among(scope, wanted) and not _is_among(scope, unwanted)]
    _set_levels(scopes)
    root = logging.getLogger("socketeer")
    if scopes and not root.handlers and not logging.getLogger().handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
        root.addHandler(handler)
    return scopes


def _set_levels(scopes: list[str]) -> None:
    """Switch on ``scopes`` and keep the level of every other one, which a parent's would change."""
    others = [logging.getLogger(scope) for scope in SCOPES if scope not in scopes]
    levels = [logger.getEffectiveLevel() for logger in others]
    for scope in scopes:
        logging.getLogger(scope).setLevel(logging.DEBUG)
    for logger, level in zip(others, levels, strict=True):
        if logger.getEffectiveLevel() != level:
            logger.setLevel(level)


def _is_among(scope: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in (scope, *_OTHER_NAMES[scope]) for pattern in patterns)
