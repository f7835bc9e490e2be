"""What a load test does, as the options of the command say, and which results it takes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from socketeer.cli.bench.units import count_text, duration_of, time_text

__all__ = ["Mode", "Plan", "Threshold", "payload_of"]

Mode = Literal["ack", "echo", "connect", "listen"]

_HELD_BYTES = 64 << 20
_MOST_IN_FLIGHT = 100
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Say what is done for how long; times in seconds, rates per second.

    Without a ``rate``, each client sends the next event when one is answered: ``inflight`` of them are under way. With
    one, ``inflight`` is the most that are, and further ones wait.
    """

    mode: Mode
    event: str
    payload: tuple[Any, ...]
    payload_bytes: int
    echo: str | None
    clients: int
    connect_rate: float | None
    warmup: float
    duration: float
    timeout: float
    rate: float | None
    inflight: int

    @property
    def counted(self) -> str:
        """Return the word for what is counted."""
        return {"ack": "acknowledged", "echo": "came back", "connect": "connected", "listen": "heard"}[self.mode]

    @property
    def sends(self) -> bool:
        """Tell whether events are sent and their answers waited for."""
        return self.mode in ("ack", "echo")

    def describe(self) -> str:
        """Return the plan in a few words."""
        clients = f"{self.clients:,} client{'s' * (self.clients != 1)}"
        if self.mode == "connect":
            pace = "" if self.connect_rate is None else f", at {count_text(self.connect_rate)} a second"
            return f"{clients} connect and leave, over and over{pace}"
        if self.mode == "listen":
            return f"{clients} listen for {repr(self.event) if self.event else 'all events'}"
        pace = f", {self.inflight:,} each at a time," if self.rate is None else f" at {count_text(self.rate)} a second"
        answer = "its acknowledgement" if self.mode == "ack" else f"{self.echo!r} in return"
        return f"{clients} send {self.event!r} ({self.payload_bytes:,} bytes){pace} and wait for {answer}"


def payload_of(text: tuple[str, ...], size: int | None, binary: bool) -> tuple[tuple[Any, ...], int]:
    """Return the arguments of each event, and how many bytes they have; raise ``ValueError`` with a sentence."""
    if text and (size is not None or binary):
        raise ValueError("--payload says what is sent, --size and --binary that anything is: give one or the other")
    if not text:
        size = 64 if size is None else size
        return (b"x" * size if binary else "x" * size,), size
    try:
        return tuple(json.loads(each) for each in text), sum(len(each.encode()) for each in text)
    except ValueError as error:
        raise ValueError(f"--payload is no JSON: {error}") from error


def most_in_flight(clients: int, payload_bytes: int) -> int:
    """Return how many events of a client may wait for an answer before it holds further ones back."""
    return max(1, min(_MOST_IN_FLIGHT, _HELD_BYTES // (clients * max(1, payload_bytes))))


class Threshold(NamedTuple):
    """Hold a figure that must not be exceeded: a latency in seconds, or a number or share of errors."""

    name: str
    limit: float
    share: bool = False

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Read ``p99=50ms``, ``mean=5ms``, ``max=1s``, ``errors=10`` or ``errors=1%``; raise ``ValueError``."""
        name, _, value = (part.strip() for part in text.partition("="))
        if name == "errors" and re.fullmatch(r"\d+(\.\d+)?%?", value):
            return cls(name, float(value.rstrip("%")) / (100 if "%" in value else 1), "%" in value)
        limit = duration_of(value)
        if limit is None or not (name in ("mean", "max") or _PERCENTILE.fullmatch(name)):
            raise ValueError(f"{text!r} is no threshold, as in p99=50ms, mean=5ms, max=1s, errors=10 or errors=1%")
        return cls(name, limit)

    @property
    def quantile(self) -> float | None:
        """Return the share of values that a percentile means, or ``None`` for another figure."""
        match = _PERCENTILE.fullmatch(self.name)
        return float(match[1]) / 100 if match else None

    def text(self, value: float) -> str:
        """Write a value of this figure."""
        if self.name != "errors":
            return time_text(value)
        return f"{value:.2%}" if self.share else count_text(value)
