"""What the kernel tells about a process: the CPU it used, the memory it holds, the cores it may run on."""

import os
import resource
import sys
import time
from pathlib import Path

_CPU_OF_PROCESS = 2  # CPUCLOCK_SCHED of the kernel
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, of a process, its threads and its living descendants."""
    return sum(time.clock_gettime(_clock(member)) for member in _family(pid))


def machine_cpu_seconds() -> float:
    """Return the CPU time that the whole machine has spent on anything."""
    user, nice, system, _idle, _waiting, *interrupts = (
        int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + sum(interrupts)) / _TICKS


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process and its descendants."""
    page = os.sysconf("SC_PAGE_SIZE")
    return page * sum(int(Path(f"/proc/{member}/statm").read_text().split()[1]) for member in _family(pid))


def pin(core: int | None) -> None:
    """Keep this process, and those it starts, on one core; ``None`` leaves it where it is."""
    if core is not None:
        os.sched_setaffinity(0, {core})


def two_cores() -> tuple[int | None, int | None]:
    """Return a core for the server and another one for the load, or no choice on a machine with a single core.

    Two that are no threads of one physical core, if there are such: those slow each other down.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return None, None
    server = cores[-1]
    apart = [core for core in cores if core not in _siblings(server)]
    return server, (apart or cores)[0]


def threads_of_one_core() -> bool:
    """Tell whether server and load have to share a physical core."""
    server, load = two_cores()
    return server is not None and load in _siblings(server)


def _siblings(core: int) -> set[int]:
    """Return the threads of the physical core that ``core`` belongs to, as far as the machine tells."""
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    siblings = {core}
    if path.exists():
        for part in path.read_text().strip().split(","):
            first, _, last = part.partition("-")
            siblings.update(range(int(first), int(last or first) + 1))
    return siblings


def allow_open_files() -> int:
    """Raise the limit of open files of this process and its children as far as the machine allows, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def _fields(pid: int) -> list[str]:
    """Return the fields of ``/proc/<pid>/stat`` from the third on: the name before them may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _clock(pid: int) -> int:
    """Return the id of the CPU clock of another process, which counts nanoseconds where ``/proc`` has hundredths."""
    return (~pid << 3) | _CPU_OF_PROCESS


def _family(pid: int) -> set[int]:
    """Return the process and its living descendants."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(_fields(int(entry.name))[1])
            except OSError:
                continue  # it ended while we looked
    family = {pid}
    while True:
        grown = family | {child for child, parent in parents.items() if parent in family}
        if grown == family:
            return family
        family = grown
