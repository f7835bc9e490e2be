"""The result of a load test: its figures, what they have to be doubted for, and whether they are good enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from socketeer import __version__
from socketeer.cli.bench.histogram import Histogram, Row
from socketeer.cli.bench.load import Load
from socketeer.cli.bench.plan import Plan, Threshold
from socketeer.cli.bench.units import count_text, time_text

__all__ = ["QUANTILES", "Failure", "Report", "Verdict", "address_of", "report_of"]

QUANTILES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}

_BUSY = 0.9
_LATE = 0.02
_KEPT = 0.99
_LEAST_WALL = 0.1


@dataclass(frozen=True, slots=True)
class Failure:
    """Hold how often something went wrong."""

    kind: str
    detail: str
    count: int


class Verdict(NamedTuple):
    """Hold a figure and what it had not to exceed; one that was not measured does."""

    threshold: Threshold
    value: float | None

    @property
    def kept(self) -> bool:
        """Tell whether the figure is good enough."""
        return self.value is not None and self.value <= self.threshold.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Hold the figures of one run: times in seconds, ``cpu`` as a share of one core."""

    url: str
    plan: Plan
    interrupted: bool
    connected: int
    lost: int
    transports: dict[str, int]
    wall: float
    sent: int
    answered: int
    unsent: int
    late: int
    unasked: int
    failures: Sequence[Failure]
    latency: dict[str, float]
    connecting: dict[str, float]
    rows: Sequence[Row]
    heard: dict[str, int]
    cpu: float
    lag: float | None
    verdicts: Sequence[Verdict]

    @property
    def rate(self) -> float:
        """Return how many answers, connections or events there were a second."""
        return self.answered / self.wall if self.wall else 0.0

    @property
    def errors(self) -> int:
        """Return how much went wrong."""
        return sum(failure.count for failure in self.failures)

    @property
    def good(self) -> bool:
        """Tell whether anything was measured and every threshold kept; whoever interrupts it knows why it is empty."""
        measured = self.answered > 0 or self.interrupted or self.plan.mode == "listen"
        return measured and all(verdict.kept for verdict in self.verdicts)

    def warnings(self) -> Iterator[str]:
        """Say what the figures have to be doubted for."""
        if self.wall < _LEAST_WALL:
            return
        if self.cpu > _BUSY:
            yield (
                f"this side used {self.cpu:.0%} of a core: the figures are its limit rather than the server's; "
                "run it on another machine, several at once, or at a lower --rate"
            )
        elif self.lag is not None and self.lag > _LATE:
            yield f"this side was {time_text(self.lag)} late (p99): the latencies are partly its own"
        asked = self.plan.rate
        least = 0 if asked is None else _KEPT * asked * self.wall - 1  # the last one may be due at the very end
        if self.plan.sends and asked is not None and self.wall and self.sent < least:
            kept = count_text(self.sent / self.wall)
            yield f"{kept} events a second were sent, not {count_text(asked)}: answers came too slowly"
        if self.unasked:
            yield (
                f"{count_text(self.unasked)} events {self.plan.echo!r} came that no client waited for: if the server "
                "sends them to others too, the latencies are not true; measure acknowledgements, or --mode listen"
            )

    def as_json(self) -> dict[str, Any]:
        """Return everything by name."""
        plan = self.plan
        return {
            "socketeer": __version__,
            "url": self.url,
            "mode": plan.mode,
            "event": plan.event or None,
            "echo": plan.echo,
            "payload_bytes": plan.payload_bytes,
            "asked": {
                "clients": plan.clients,
                "connect_rate": plan.connect_rate,
                "rate": plan.rate,
                "inflight": plan.inflight,
                "warmup": plan.warmup,
                "duration": plan.duration,
                "timeout": plan.timeout,
            },
            "interrupted": self.interrupted,
            "duration": self.wall,
            "clients": {"connected": self.connected, "lost": self.lost, "transports": self.transports},
            "sent": self.sent,
            "answered": self.answered,
            "rate": self.rate,
            "unsent": self.unsent,
            "late": self.late,
            "unasked": self.unasked,
            "events": self.heard,
            "errors": [asdict(failure) for failure in self.failures],
            "latency": self.latency,
            "connecting": self.connecting,
            "histogram": [{"from": row.start, "to": row.end, "count": row.count} for row in self.rows],
            "cpu": self.cpu,
            "lag": self.lag,
            "warnings": [*self.warnings()],
            "thresholds": [
                {"name": each.threshold.name, "limit": each.threshold.limit, "value": each.value, "kept": each.kept}
                for each in self.verdicts
            ],
        }


def report_of(load: Load, url: str, plan: Plan, thresholds: Sequence[Threshold]) -> Report:
    """Return the figures of a run that is over."""
    tally = load.tally
    times = tally.connects if plan.mode == "connect" else tally.latencies
    failures = [Failure(kind, detail, count) for (kind, detail), count in tally.failures.most_common()]
    if tally.timeouts:
        failures.insert(0, Failure("not answered in time", "", tally.timeouts))
    errors = sum(failure.count for failure in failures)
    attempts = load.answered + errors if plan.mode == "connect" else tally.sent
    return Report(
        url=address_of(url),
        plan=plan,
        interrupted=load.interrupted,
        connected=load.connected,
        lost=load.lost,
        transports=load.transports,
        wall=load.wall,
        sent=tally.sent,
        answered=load.answered,
        unsent=tally.unsent,
        late=tally.late,
        unasked=tally.unasked,
        failures=failures,
        latency=_figures(times),
        connecting=_figures(tally.connects),
        rows=times.rows(),
        heard=dict(tally.heard.most_common()),
        cpu=load.cpu / load.wall if load.wall else 0.0,
        lag=load.lag.quantile(0.99),
        verdicts=[Verdict(each, _value(each, times, errors, attempts)) for each in thresholds],
    )


def address_of(url: str) -> str:
    """Return a URL without what may be secret: a password, and the query."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _figures(times: Histogram) -> dict[str, float]:
    """Return the figures of a histogram by name; none where nothing was counted."""
    figures = {
        "min": times.min,
        "mean": times.mean,
        **{name: times.quantile(share) for name, share in QUANTILES.items()},
        "max": times.max,
    }
    return {"count": times.count, **{name: value for name, value in figures.items() if value is not None}}


def _value(threshold: Threshold, times: Histogram, errors: int, attempts: int) -> float | None:
    if threshold.name == "errors":
        return errors / max(attempts, errors, 1) if threshold.share else errors
    if threshold.quantile is not None:
        return times.quantile(threshold.quantile)
    return times.mean if threshold.name == "mean" else times.max
