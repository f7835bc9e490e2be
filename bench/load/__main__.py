"""The process of the load: run one scenario against a server and print the sample as JSON."""

import argparse
import asyncio
import json
import sys

import uvloop

from bench.load.meter import LoadError, Sample, Window
from bench.load.scenarios import SCENARIOS, Load
from bench.proc import pin

_GRACE = 60.0  # for connecting, beyond the window


def main() -> int:
    """Run the scenario that the command line names."""
    parser = argparse.ArgumentParser(prog="bench.load")
    parser.add_argument("scenario", choices=sorted(SCENARIOS))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pid", type=int, required=True)
    parser.add_argument("--core", type=int)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--warm-up", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    pin(options.core)
    window = Window(options.pid, options.warm_up, options.seconds)
    load = Load(options.port, window, options.clients, options.in_flight, options.size)
    try:
        sample = uvloop.run(_bounded(options.scenario, load))
    except (LoadError, OSError, TimeoutError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    json.dump(sample.as_json(), sys.stdout)
    return 0


async def _bounded(scenario: str, load: Load) -> Sample:
    async with asyncio.timeout(load.window.warm_up + load.window.seconds + _GRACE):
        return await SCENARIOS[scenario](load)


if __name__ == "__main__":
    sys.exit(main())
