"""What the commands of the bench have in common: the types of their options, and the machine they need."""

import argparse
import signal
import sys
from collections.abc import Callable, Collection

from bench.targets import Target, TargetError, TargetSkipped, install


def ready() -> bool:
    """Tell, with a word to who asked, whether anything can be measured here; an interrupt then ends the servers too."""
    if sys.platform != "linux":
        print("bench: the CPU and the memory of a process are read from Linux' /proc", file=sys.stderr)
        return False
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return True


def installed(targets: list[Target]) -> list[Target]:
    """Install the servers and return those that the machine can run; raises ``TargetError`` if there are none."""
    found = []
    for target in targets:
        try:
            install(target)
        except TargetSkipped as reason:
            print(f"bench: {target.title} is left out: {reason}", file=sys.stderr)
        else:
            found.append(target)
    if not found:
        raise TargetError("no server is left to measure")
    return found


def attempt(measure: Callable[[], None]) -> int:
    """Call ``measure`` and return the exit code, with a word on what went wrong."""
    try:
        measure()
    except TargetError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    return 0


def count(text: str) -> int:
    """Read a number of things."""
    value = int(text)
    if not 1 <= value <= 50_000:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 50,000")
    return value


def seconds(text: str) -> float:
    """Read how long to measure."""
    value = float(text)
    if not 0.2 <= value <= 60:
        raise argparse.ArgumentTypeError(f"{text} is not between 0.2 and 60")
    return value


def names(known: Collection[str]) -> Callable[[str], list[str]]:
    """Return what splits a list of names and refuses those that are not known."""

    def split(text: str) -> list[str]:
        found = text.split(",")
        for name in found:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return found

    return split
