"""The process of the load: do the job that comes as JSON on standard input, and print the sample as JSON."""

import asyncio
import json
import sys

import uvloop

from bench.load.job import Job
from bench.load.meter import LoadError, Sample
from bench.load.scenarios import load
from bench.proc import pin

_GRACE = 300.0  # for connecting, beyond the window


def main() -> int:
    """Run the load that the command line names."""
    job = Job(**json.load(sys.stdin))
    pin(job.core)
    try:
        sample = uvloop.run(_bounded(sys.argv[1], job))
    except (LoadError, OSError, TimeoutError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    json.dump(sample.as_json(), sys.stdout)
    return 0


async def _bounded(name: str, job: Job) -> Sample:
    async with asyncio.timeout(job.warm_up + job.seconds + _GRACE):
        return await load(name, job)


if __name__ == "__main__":
    sys.exit(main())
