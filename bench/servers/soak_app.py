"""Our server of the other workloads, which here also tells how many objects live in it."""

import ctypes
import gc

from bench.servers.serving import serve
from bench.servers.socketeer_app import LANES, io, lane, port
from socketeer import Socket

_give_back = getattr(ctypes.CDLL(None), "malloc_trim", int)
"""glibc keeps what was freed between two things that were not, which makes memory that is free look used."""


@io.event
def objects(socket: Socket) -> int:
    """Return how many objects the garbage collector knows after a full collection."""
    gc.collect()
    _give_back(0)
    return len(gc.get_objects())


if __name__ == "__main__":
    ws, http = LANES[lane]
    serve(io, port, ws, "socketeer", http=http)
