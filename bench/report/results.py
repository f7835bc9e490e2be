"""What a run of the bench found out, as it is kept in a file: all samples, the machine, the settings, what follows."""

import json
import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench.load.meter import Sample
from bench.plan import QUIET, SCENARIOS, Run
from bench.proc import threads_of_one_core
from bench.report.summary import Row, Verdict, summarise, verdicts


@dataclass(frozen=True, slots=True)
class Results:
    """One run of the bench."""

    command: str
    machine: dict[str, str | int]
    settings: dict[str, Any]
    runs: list[Run]

    @property
    def versions(self) -> dict[str, str]:
        """Return what each server said that it is made of."""
        return {run.target: run.versions for run in self.runs}

    @property
    def rows(self) -> dict[str, list[Row]]:
        """Return the rows of each scenario that was measured, in the order of the tables."""
        return summarise(self.runs)

    @property
    def verdicts(self) -> list[Verdict]:
        """Return what became of the figures to reach, as far as they were measured."""
        return verdicts(self.rows)

    def disturbance(self) -> str | None:
        """Return a warning that names the scenarios during which other programs kept the machine busy."""
        disturbed = []
        for name in SCENARIOS:
            shares: dict[str, list[float]] = {}
            for run in self.runs:
                if run.scenario == name:
                    shares.setdefault(run.target, []).append(run.sample.disturbance)
            most = max((median(of_one) for of_one in shares.values()), default=0.0)
            if most > QUIET:
                disturbed.append(f"{name} ({most:.0%} of a core)")
        return (
            f"Not to be quoted, for other programs were busy meanwhile: {', '.join(disturbed)}" if disturbed else None
        )

    def write(self, path: Path) -> None:
        """Write all there is to know about the run."""
        facts = {
            "command": self.command,
            "machine": self.machine,
            "settings": self.settings,
            "versions": self.versions,
            "summary": {name: [asdict(row) for row in rows] for name, rows in self.rows.items()},
            "aims": [asdict(verdict) | {"met": verdict.met} for verdict in self.verdicts],
            "disturbance": self.disturbance(),
            "runs": [asdict(run) for run in self.runs],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(facts, indent=1) + "\n")


def read(path: Path) -> Results:
    """Read what a run of the bench has written."""
    facts = json.loads(path.read_text())
    runs = [Run(**{**run, "sample": Sample(**run["sample"])}) for run in facts["runs"]]
    return Results(facts["command"], facts["machine"], facts["settings"], runs)


def machine() -> dict[str, str | int]:
    """Return what the figures are measured on."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "system": f"{platform.system()} {platform.release().partition('-')[0]} {platform.machine()}",
        "processor": models[0].partition(":")[2].strip() if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "server_and_load": "two threads of one core" if threads_of_one_core() else "a core each",
    }
