"""permessage-deflate as values: which offers are taken, and what becomes of messages, good and bad."""

from __future__ import annotations

import os
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.engine.deflate import Agreement, Deflate, Deflater, Inflater, InvalidData, TooLarge
from socketeer.options import PerMessageDeflate

FORGET = "server_no_context_takeover; client_no_context_takeover"
LIMIT = 1_000_000


def negotiate(header: str, **options: int | bool) -> Agreement | None:
    return Deflate(PerMessageDeflate(**options)).negotiate(header)  # type: ignore[arg-type]


def answer(header: str, **options: int | bool) -> str | None:
    agreement = negotiate(header, **options)
    return None if agreement is None else agreement.answer.decode()


# The handshake


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("permessage-deflate", f"permessage-deflate; {FORGET}"),
        ("Permessage-Deflate ;\tclient_max_window_bits", f"permessage-deflate; {FORGET}"),
        ("permessage-deflate; client_max_window_bits=10", f"permessage-deflate; {FORGET}"),
        ('permessage-deflate; client_max_window_bits="10"', f"permessage-deflate; {FORGET}"),
        ("permessage-deflate; server_max_window_bits=9", f"permessage-deflate; {FORGET}; server_max_window_bits=9"),
        ("permessage-deflate; server_max_window_bits=15", f"permessage-deflate; {FORGET}; server_max_window_bits=15"),
        (f"permessage-deflate; {FORGET}", f"permessage-deflate; {FORGET}"),
        # The first that is acceptable.
        (
            "x-other; a=b, permessage-deflate; nonsense,, permessage-deflate; server_max_window_bits=10",
            f"permessage-deflate; {FORGET}; server_max_window_bits=10",
        ),
        ("permessage-deflate; server_max_window_bits=8 , permessage-deflate", f"permessage-deflate; {FORGET}"),
    ],
)
def test_offers_that_are_taken(header: str, expected: str) -> None:
    assert answer(header) == expected


@pytest.mark.parametrize(
    "header",
    [
        "",
        "x-webkit-deflate-frame",
        # zlib knows no window of 256 bytes in the raw format, so that what was promised could not be kept.
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=09",
        "permessage-deflate; server_max_window_bits=1٠",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=x",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover=true",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=15",
        "permessage-deflate; mux",
        # Malformed: nothing of such a header counts.
        "permessage-deflate;",
        "permessage-deflate; =9",
        "permessage-deflate; server_max_window_bits=",
        'permessage-deflate; server_max_window_bits="9',
        'permessage-deflate; server_max_window_bits="9 "',
        "permessage-deflate permessage-deflate",
        "permessage-deflate, /",
    ],
)
def test_offers_that_are_declined(header: str) -> None:
    assert answer(header) is None


def test_what_the_options_ask_for() -> None:
    both = {"server_no_context_takeover": False, "client_no_context_takeover": False}
    assert answer("permessage-deflate", **both) == "permessage-deflate"
    assert answer("permessage-deflate", **both, window_bits=10) == "permessage-deflate; server_max_window_bits=10"
    offer = "permessage-deflate; server_max_window_bits=12; client_no_context_takeover"
    agreement = negotiate(offer, **both, window_bits=14)
    assert agreement is not None
    assert (agreement.bits, agreement.server_takes_over, agreement.client_takes_over) == (12, True, False)
    agreement = negotiate("permessage-deflate; server_no_context_takeover", **both)
    assert agreement is not None
    assert (agreement.server_takes_over, agreement.client_takes_over) == (False, True)


@given(st.text(alphabet='permessage-deflate;,= \t"_wxbits0123456789', max_size=60))
def test_any_header_is_read(header: str) -> None:
    negotiate(header)
    assert negotiate(f"{header[:20]}\x00") is None


# Messages


@given(
    st.lists(st.binary(max_size=300) | st.binary(max_size=20).map(lambda data: data * 50), max_size=6),
    st.booleans(),
    st.integers(9, 15),
)
def test_messages_come_out_as_they_went_in(messages: list[bytes], takes_over: bool, bits: int) -> None:
    inflater = Inflater(takes_over=takes_over)
    shared = Deflater(6, bits)
    for message in messages:
        deflater = shared if takes_over else Deflater(6, bits)
        assert inflater.decompress(deflater.compress(message), LIMIT) == message


def test_what_is_taken_over_makes_the_next_message_smaller_and_is_needed_for_it() -> None:
    deflater, message = Deflater(6, 15), os.urandom(500)
    first, second = deflater.compress(message), deflater.compress(message)
    assert len(second) < 20 < len(first)
    assert Inflater(takes_over=True).decompress(first, LIMIT) == message
    forgetful = Inflater(takes_over=False)
    assert forgetful.decompress(first, LIMIT) == message
    with pytest.raises(InvalidData):
        forgetful.decompress(second, LIMIT)


@pytest.mark.parametrize("takes_over", [True, False])
def test_a_message_may_be_as_large_as_the_limit_and_no_larger(takes_over: bool) -> None:
    for excess in (0, 1):
        data = Deflater(9, 15).compress(bytes(LIMIT + excess))
        inflater = Inflater(takes_over=takes_over)
        if excess:
            with pytest.raises(TooLarge):
                inflater.decompress(data, LIMIT)
        else:
            assert inflater.decompress(data, LIMIT) == bytes(LIMIT)
            assert inflater.decompress(Deflater(9, 15).compress(b"next"), LIMIT) == b"next"


def test_a_bomb_is_not_unpacked() -> None:
    bomb = Deflater(9, 15).compress(bytes(200_000_000))
    assert len(bomb) < LIMIT
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            Inflater(takes_over=True).decompress(bomb, LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 4 * LIMIT
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("data", [b"\xff", b'42["plain"]'], ids=["bad block", "plain text"])
def test_what_is_not_compressed_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidData):
        Inflater(takes_over=True).decompress(data, LIMIT)


@pytest.mark.parametrize("padding", [b"\x00", b""], ids=["with the empty block's head", "without"])
def test_a_block_may_call_itself_final(padding: bytes) -> None:
    stream = zlib.compressobj(wbits=-15)
    final = stream.compress(b"Hello") + stream.flush()
    inflater = Inflater(takes_over=True)
    assert inflater.decompress(final + padding, LIMIT) == b"Hello"
    assert inflater.decompress(final + padding, LIMIT) == b"Hello"
    with pytest.raises(InvalidData, match="behind the final block"):
        inflater.decompress(final + b"hidden" + padding, LIMIT)


def test_empty_messages_are_no_less_than_others() -> None:
    deflater, inflater = Deflater(6, 15), Inflater(takes_over=True)
    for message in (b"", b"", b"one", b"", b""):
        compressed = deflater.compress(message)
        assert compressed
        assert inflater.decompress(compressed, LIMIT) == message


def test_a_message_to_many_is_compressed_once_for_each_window() -> None:
    deflate = Deflate(PerMessageDeflate())
    message = b"x" * 5000
    first = deflate.compress_once(message, 15)
    assert deflate.compress_once(message, 15) is first
    assert deflate.compress_once(message, 9) is not first
    assert deflate.compress_once(bytes(bytearray(message)), 15) is not first  # known by what it is, not how it looks
    kept = [deflate.keeps]
    deflate.forget()
    assert [*kept, deflate.keeps] == [True, False]
    assert deflate.compress_once(message, 15) is not first


def test_what_is_kept_for_further_recipients_is_limited() -> None:
    deflate = Deflate(PerMessageDeflate())
    messages = [os.urandom(10) * 100 for _ in range(100)]
    pressed = [deflate.compress_once(message, 15) for message in messages]
    assert deflate.compress_once(messages[-1], 15) is pressed[-1]
    assert deflate.compress_once(messages[0], 15) is not pressed[0]
    assert [Inflater(takes_over=False).decompress(data, LIMIT) for data in pressed] == messages
