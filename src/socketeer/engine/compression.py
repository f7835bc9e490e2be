"""Compressed bodies of HTTP: what a client accepts, and gzip or deflate for it."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable

__all__ = ["choose", "compress"]

# In order of preference. HTTP's "deflate" is the zlib format.
_CODINGS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": lambda data, level: gzip.compress(data, level, mtime=0),
    "deflate": zlib.compress,
}
_ALIASES = {"x-gzip": "gzip"}
_WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
_MOST_CHARACTERS = 1000
"""The longest list of codings that is read: some ten times as long as any client's."""


def compress(data: bytes, coding: str, level: int) -> bytes:
    """Compress a body in the coding that :func:`choose` gave; ``identity`` leaves it as it is."""
    return data if coding == "identity" else _CODINGS[coding](data, level)


def choose(accept_encoding: str) -> str:
    """Choose the coding that the client likes best, and ours where it does not care (RFC 9110 section 12.5.3)."""
    weights = _weights(accept_encoding)
    others = weights.get("*", 0.0)
    best, most = "identity", weights.get("identity", 0.0)
    for coding in reversed(_CODINGS):
        weight = weights.get(coding, others)
        if weight > 0 and weight >= most:
            best, most = coding, weight
    return best


def _weights(accept_encoding: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    if len(accept_encoding) > _MOST_CHARACTERS:
        return weights
    for part in accept_encoding.lower().split(","):
        coding, _, parameter = part.partition(";")
        name, _, value = parameter.replace(" ", "").replace("\t", "").partition("=")
        if name and (name != "q" or not _WEIGHT.fullmatch(value)):
            continue
        coding = coding.strip()
        weights[_ALIASES.get(coding, coding)] = float(value) if name else 1.0
    return weights
