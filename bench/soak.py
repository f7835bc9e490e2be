"""The command ``python -m bench soak``: does the memory of the fast lane stay flat while clients do all they can do?

Memory and objects are read every few seconds: when nothing is left unread, after a full collection, and once the
allocator has given back what is free. What counts is the slope of the second half.
"""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from itertools import combinations
from math import sqrt
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from bench.load import mixed
from bench.load.meter import LoadError
from bench.options import attempt, ready
from bench.proc import allow_open_files, cpu_seconds, pin, resident_bytes, two_cores
from bench.report import curves
from bench.report.results import machine
from bench.targets import HERE, Running, Target, TargetError, running

SERVER = Target("soak", "socketeer, fast lane", (sys.executable, "-m", "bench.servers.soak_app", "fast"))
_SAMPLES = 120
_STEEPEST = {"memory": 250_000.0, "objects": 500.0}
"""Growth per minute that a flat memory stays below: 120 bytes for each visitor, or one for each message."""
_CONFIDENCE = 1.96  # standard deviations, for 95%


@dataclass(frozen=True, slots=True)
class Reading:
    """What the server was found to hold and to have done, so many seconds after the load began."""

    seconds: float
    memory: int
    objects: int
    messages: int
    cpu: float


@dataclass(frozen=True, slots=True)
class Slope:
    """A growth per minute by Theil and Sen, which outliers do not move, with its interval of 95% confidence."""

    per_minute: float
    low: float
    high: float


def main(argv: list[str]) -> int:
    """Load the server, print what it holds, and say whether that is flat: the exit code is 1 if it is not."""
    options = _options(argv)
    if not ready():
        return 2
    allow_open_files()
    found: list[dict[str, Any]] = []
    if code := attempt(lambda: found.append(_measure(options.minutes))):
        return code
    (facts,) = found
    options.json.write_text(json.dumps(facts, indent=1) + "\n")
    options.json.with_suffix(".svg").write_text(curves.soak(facts))
    print("\n".join(sentences(facts)))
    return 0 if facts["flat"] else 1


def _measure(minutes: float) -> dict[str, Any]:
    server_core, load_core = two_cores()
    with running(SERVER, server_core) as server:
        pin(load_core)
        try:
            readings = uvloop.run(_soak(server, minutes * 60))
        except (LoadError, OSError, TimeoutError) as error:
            raise TargetError(f"the load failed: {type(error).__name__}: {error}") from error
        return _facts(server.versions, minutes, readings)


def sentences(facts: dict[str, Any]) -> list[str]:
    """Return what the run found, a sentence each."""
    memory, objects = facts["memory"], facts["objects"]
    first, last = facts["readings"][0], facts["readings"][-1]
    spent = (last["cpu"] - first["cpu"]) / (last["seconds"] - first["seconds"])
    share = f"the server at {spent:.0%} of its core"
    held = f"{first['memory'] / 1e6:.1f} MB at first, {last['memory'] / 1e6:.1f} MB at last"
    known = f"{first['objects']:,} at first, {last['objects']:,} at last"
    return [
        f"{facts['minutes']:g} minutes, {last['messages']:,} messages to clients, {share}.",
        f"Resident memory: {held}; in the second half {_growth(memory, 1000, 'kB')}.",
        f"Objects: {known}; in the second half {_growth(objects, 1, 'objects')}.",
        "The memory is flat." if facts["flat"] else "The memory is not flat, or the run was too short to tell.",
    ]


def slope(points: list[tuple[float, float]]) -> Slope:
    """Return the slope of values over seconds: the median of those of all pairs, and what it may be by chance."""
    slopes = sorted((y2 - y1) / (x2 - x1) * 60 for (x1, y1), (x2, y2) in combinations(points, 2))
    number = len(points)
    off = _CONFIDENCE * sqrt(number * (number - 1) * (2 * number + 5) / 18)
    low, high = (len(slopes) - off) / 2, (len(slopes) + off) / 2
    return Slope(median(slopes), slopes[max(int(low), 0)], slopes[min(int(high) + 1, len(slopes) - 1)])


async def _soak(server: Running, seconds: float) -> list[Reading]:
    """Run the load and the readings side by side; what ends the load early ends both."""
    load = mixed.Mixed(server.port)
    await load.connect()
    loading = asyncio.ensure_future(load.run())
    reading = asyncio.ensure_future(_read(load, server, seconds))
    await asyncio.wait((loading, reading), return_when=asyncio.FIRST_COMPLETED)
    load.tally.stopping = True
    if reading.done():
        loading.cancel()
        return await reading
    reading.cancel()
    await loading
    raise LoadError("the load came to an end")


async def _read(load: mixed.Mixed, server: Running, seconds: float) -> list[Reading]:
    readings: list[Reading] = []
    begin = time.monotonic()
    pause = max(seconds / _SAMPLES, 1.0)
    while (passed := time.monotonic() - begin) < seconds:
        async with load.nothing_unread():
            objects = await load.inspector.objects()
            memory = resident_bytes(server.pid)
        readings.append(Reading(passed, memory, objects, load.tally.count, cpu_seconds(server.pid)))
        line = f"{passed:6.0f} s  {memory / 1e6:7.1f} MB  {objects:8,} objects  {readings[-1].cpu:7.1f} s of CPU"
        print(line, file=sys.stderr, flush=True)
        await asyncio.sleep(pause)
    if len(readings) < 2:
        raise LoadError("the run was too short for a slope")
    return readings


def _facts(versions: str, minutes: float, readings: list[Reading]) -> dict[str, Any]:
    half = readings[(len(readings) - 1) // 2 :]
    memory = slope([(reading.seconds, reading.memory) for reading in half])
    objects = slope([(reading.seconds, reading.objects) for reading in half])
    return {
        "machine": machine(),
        "versions": versions,
        "load": mixed.DESCRIPTION,
        "minutes": minutes,
        "flat": memory.high < _STEEPEST["memory"] and objects.high < _STEEPEST["objects"],
        "memory": asdict(memory),
        "objects": asdict(objects),
        "readings": [asdict(reading) for reading in readings],
    }


def _growth(slope: dict[str, float], per: float, unit: str) -> str:
    growth, low, high = (slope[key] / per for key in ("per_minute", "low", "high"))
    return f"{growth:+,.0f} {unit} a minute (95%: {low:+,.0f} to {high:+,.0f})"


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to load the server (10)")
    parser.add_argument(
        "--json", type=Path, default=HERE / "soak.json", help="where to write all readings, and a drawing beside"
    )
    return parser.parse_args(argv)
