"""Which coding a client gets; that the codings are right shows in tests/server/test_client_files.py."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.engine.compression import choose, compress


@pytest.mark.parametrize(
    ("accept_encoding", "coding"),
    [
        ("", "identity"),
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "gzip"),
        ("deflate", "deflate"),
        ("gzip;q=0.5, deflate;q=0.6", "deflate"),
        ("gzip;q=0, *", "deflate"),
        ("*", "gzip"),
        ("*;q=0", "identity"),
        ("identity, gzip;q=0.9", "identity"),
        ("X-GZIP", "gzip"),
        ("gzip ; q = 1.000", "gzip"),
        ("gzip;q=1.001", "identity"),
        ("gzip;q=-1", "identity"),
        ("gzip;q=nan", "identity"),
        ("gzip;level=9", "identity"),
        ("gzip;q=0.1234", "identity"),
        ("br", "identity"),
        (",,;q=1,;,gzip", "gzip"),
    ],
)
def test_the_coding_that_the_client_likes_best(accept_encoding: str, coding: str) -> None:
    assert choose(accept_encoding) == coding


def test_a_list_without_end_is_not_read() -> None:
    assert choose("," * 996 + "gzip") == "gzip"
    assert choose("," * 997 + "gzip") == "identity"
    assert choose("gzip;q=0.5," * 1_000_000) == "identity"


@given(st.text(alphabet="gzipdeflate*;q=01.,- \t") | st.text())
def test_any_list_gives_a_coding(accept_encoding: str) -> None:
    assert choose(accept_encoding) in ("gzip", "deflate", "identity")


def test_the_level_counts_and_the_result_is_always_the_same() -> None:
    data = bytes(range(256)) * 100 + b"abc" * 1000
    for coding, undo in (("gzip", gzip.decompress), ("deflate", zlib.decompress)):
        fast, small = compress(data, coding, 1), compress(data, coding, 9)
        assert undo(fast) == undo(small) == data
        assert len(small) < len(fast)
        assert compress(data, coding, 9) == small
    assert compress(data, "identity", 9) is data
