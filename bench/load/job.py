"""How one run loads the server, as the plan says it."""

from dataclasses import dataclass

from bench.load.meter import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The numbers of one run; ``others`` are clients that are connected and have no part in it."""

    port: int
    pid: int
    core: int | None
    warm_up: float
    warm_count: int
    seconds: float
    clients: int
    in_flight: int
    size: int
    binary: bool
    rate: int | None
    feature: str
    rooms: int
    others: int
    rooms_of_others: int

    @property
    def window(self) -> Window:
        """Return the time in which to measure."""
        return Window(self.pid, self.warm_up, self.seconds, self.warm_count)
