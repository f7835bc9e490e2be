"""Make room for the connections of a load test among the files that a process may have open."""

from __future__ import annotations

import sys

__all__ = ["TooManyFiles", "make_room"]

_SPARE = 100


class TooManyFiles(Exception):
    """Say that the limit of open files is too low."""


def make_room(clients: int, each: int) -> None:
    """Raise the limit of open files as far as ``clients`` need it that have up to ``each`` of them.

    Raises :class:`TooManyFiles` where it cannot be raised so far.
    """
    if sys.platform == "win32":
        return
    import resource

    wanted = clients * each + _SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft in (resource.RLIM_INFINITY, -1) or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError) as error:
        message = f"{clients:,} clients need up to {wanted:,} open files, and {hard:,} are allowed (ulimit -Hn)"
        raise TooManyFiles(message) from error
