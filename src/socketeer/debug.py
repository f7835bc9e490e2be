"""``DEBUG=socketeer*``: switch logging scopes on by an environment variable.

Logging itself is the standard tree under ``socketeer``. The variable takes patterns separated by commas, as the
JavaScript ``debug`` package does, ``-`` in front to exclude; ``:`` and ``.`` are the same. ``socket.io*`` and
``engine*`` are understood as the scopes that stand for them here.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from fnmatch import fnmatchcase

__all__ = ["SCOPES", "enable"]

SCOPES = (
    "socketeer.engine",
    "socketeer.engine.polling",
    "socketeer.engine.session",
    "socketeer.engine.timers",
    "socketeer.engine.websocket",
    "socketeer.server",
    "socketeer.transports.picows",
)


def enable(variable: str | None = None) -> list[str]:
    """Switch on the scopes that ``variable`` (by default ``$DEBUG``) names, and give them.

    They are written to standard error unless the application has handlers of its own for ``socketeer``.
    """
    patterns = [
        part for part in re.split(r"[\s,]+", os.environ.get("DEBUG", "") if variable is None else variable) if part
    ]
    wanted = [_normal(part) for part in patterns if not part.startswith("-")]
    unwanted = [_normal(part[1:]) for part in patterns if part.startswith("-")]
    scopes = [
        scope
        for scope in SCOPES
        if any(fnmatchcase(scope, pattern) for pattern in wanted)
        and not any(fnmatchcase(scope, pattern) for pattern in unwanted)
    ]
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


def _normal(pattern: str) -> str:
    pattern = pattern.replace(":", ".")
    if pattern == "*":
        return "socketeer*"
    if pattern.startswith("socket.io"):
        return "socketeer" + pattern.removeprefix("socket.io")
    if pattern.startswith("engine"):
        return "socketeer." + pattern
    return pattern
