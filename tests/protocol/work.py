"""Bytes that count how much of them a decoder touches: complexity is measured in work, not in seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, SupportsIndex

__all__ = ["WatchedBytes", "assert_linear"]


class WatchedBytes(bytes):
    """Count the bytes read by slices, searches and conversions, of this value and of all made from it."""

    touched: list[int]

    @classmethod
    def watch(cls, data: bytes, touched: list[int]) -> WatchedBytes:
        """Wrap ``data``; the work is added up in ``touched[0]``."""
        self = cls(data)
        self.touched = touched
        return self

    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        """Count what a slice copies."""
        part = super().__getitem__(key)
        if isinstance(part, int):
            self.touched[0] += 1
            return part
        self.touched[0] += len(part)
        return WatchedBytes.watch(part, self.touched)

    def find(self, sub: Any, start: Any = 0, end: Any = None) -> int:
        """Count what a search passes over."""
        found = super().find(sub, start, end)
        stop = found if found >= 0 else len(self) if end is None else min(end, len(self))
        self.touched[0] += max(0, stop - start)
        return found

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> Any:
        """Count the whole, and go on counting in the text."""
        self.touched[0] += len(self)
        text = WatchedText(super().decode(encoding, errors))
        text.touched = self.touched
        return text


class WatchedText(str):
    """Carry the count from bytes to bytes."""

    __slots__ = ("touched",)
    touched: list[int]

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Count the whole, and go on counting in the bytes."""
        self.touched[0] += len(self)
        return WatchedBytes.watch(super().encode(encoding, errors), self.touched)


def assert_linear(decode: Callable[[bytes], object], build: Callable[[int], bytes], size: int) -> None:
    """Fail unless twice the input costs about twice the work, and the work is a small multiple of the input."""
    work = []
    for count in (size, 2 * size):
        data, touched = build(count), [0]
        decode(WatchedBytes.watch(data, touched))
        assert touched[0] <= 40 * len(data) + 1000
        work.append(touched[0])
    assert work[1] <= 2.2 * work[0] + 100
