"""The portal that a process shares: it begins with the first connection, and ends behind the program's own threads.

What a fork leaves of it is of no use: the connections go on in the other process.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading

from socketeer.sync.portal import BackgroundPortal, Ended
from socketeer.sync.threads import forget_threads

__all__ = ["background"]

_lock = threading.Lock()
_shared: BackgroundPortal | None = None
_inherited: list[BackgroundPortal] = []
_exiting = False


def background() -> BackgroundPortal:
    """Give the portal that this process shares, which begins when it is first asked for."""
    global _shared
    with _lock:
        if _shared is None:
            if _exiting:
                raise Ended("the program ends: it is too late to connect")
            _shared = BackgroundPortal()
            _end_with_worker()
        return _shared


# Not earlier: threading's own callbacks are called before the threads of the program, which may use it, have ended.
@atexit.register
def _at_exit() -> None:
    global _exiting
    _exiting = True
    if _shared is not None:
        _shared.close()
    for inherited in _inherited:
        inherited.bury()


def _end_with_worker() -> None:
    """Provide for a process that multiprocessing has started, which ends without atexit."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing.util import Finalize  # which is there already

        Finalize(None, _at_end_of_worker, exitpriority=-1)


def _at_end_of_worker() -> None:
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()  # as multiprocessing is about to
    _at_exit()


def _forked() -> None:
    global _lock, _shared
    _lock = threading.Lock()
    forget_threads()
    if _shared is not None:
        _shared.forked()
        _inherited.append(_shared)
        _shared = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
