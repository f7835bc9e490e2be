"""Namespaces on one connection, on values and a virtual clock: joining, leaving, packets in parts, and violations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from socketeer.multiplex.server import ServerConnection
from socketeer.protocol.revisions import REVISION_4, REVISION_5, Revision
from tests.multiplex.peers import ConnectionHarness, KeepingHost
from tests.support.virtual import timers_in

REVISIONS = pytest.mark.parametrize("revision", [REVISION_4, REVISION_5], ids=["revision 4", "revision 5"])


def joined(*namespaces: str, revision: Revision = REVISION_5, **options: Any) -> ConnectionHarness:
    """Return a connection that has joined ``namespaces``, and the main one in revision 4."""
    harness = ConnectionHarness(revision, **options)
    for namespace in namespaces:
        if namespace != "/":
            harness.send(f"40{namespace},")
        elif not revision.implicit_root:
            harness.send("40")
    harness.wire.drain()
    return harness


# Joining in revision 5


def test_nothing_is_joined_unasked() -> None:
    harness = ConnectionHarness(REVISION_5)
    assert harness.host.asked == []
    assert harness.wire.frames == []


@pytest.mark.parametrize(
    ("packet", "asked", "answer"),
    [
        ("40", ("/", None, ""), '40{"sid":"id of /"}'),
        ("40{}", ("/", {}, ""), '40{"sid":"id of /"}'),
        ('40{"token":"1"}', ("/", {"token": "1"}, ""), '40{"sid":"id of /"}'),
        ("40/,", ("/", None, ""), '40{"sid":"id of /"}'),
        ("40/admin,", ("/admin", None, ""), '40/admin,{"sid":"id of /admin"}'),
        ("40/admin", ("/admin", None, ""), '40/admin,{"sid":"id of /admin"}'),
        ('40/admin,{"a":[1]}', ("/admin", {"a": [1]}, ""), '40/admin,{"sid":"id of /admin"}'),
        ("40/a?b=1,", ("/a?b=1", None, ""), '40/a?b=1,{"sid":"id of /a?b=1"}'),
    ],
)
def test_a_client_joins(packet: str, asked: tuple[str, object, str], answer: str) -> None:
    harness = ConnectionHarness(REVISION_5)
    harness.send(packet)
    assert harness.host.asked == [asked]
    assert harness.wire.frames == [answer]
    assert set(harness.connection.links) == {asked[0]}
    assert not harness.connection.is_joining(asked[0])


def test_namespaces_are_joined_side_by_side() -> None:
    harness = ConnectionHarness(REVISION_5)
    harness.host.slow = {"/a"}
    harness.send("40/a,", "40/b,", "40")
    assert harness.wire.drain() == ['40/b,{"sid":"id of /b"}', '40{"sid":"id of /"}']
    assert harness.connection.is_joining("/a")
    harness.host.let_in(harness.connection, "/a")
    assert harness.wire.drain() == ['40/a,{"sid":"id of /a"}']
    assert set(harness.connection.links) == {"/", "/a", "/b"}


@pytest.mark.parametrize("namespace", ["/", "/admin"])
def test_a_refused_client_may_try_again(namespace: str) -> None:
    harness = ConnectionHarness(REVISION_5)
    harness.host.forbidden = {namespace: ("not you", {"why": 1})}
    prefix = "" if namespace == "/" else f"{namespace},"
    for _ in range(3):
        harness.send(f"40{prefix}")
        assert harness.wire.drain() == [f'44{prefix}{{"message":"not you","data":{{"why":1}}}}']
        assert harness.connection.links == {}
        assert not harness.connection.is_joining(namespace)
    harness.host.forbidden = {}
    harness.send(f"40{prefix}")
    assert set(harness.connection.links) == {namespace}


def test_a_second_connect_ends_the_connection() -> None:
    harness = ConnectionHarness(REVISION_5)
    harness.send("40/admin,", "40/admin,")
    assert len(harness.host.asked) == 1
    harness.assert_broken("second CONNECT")
    assert harness.links["/admin"].reasons == ["parse error"]


def test_a_client_that_tries_again_while_it_is_joining_begins_anew() -> None:
    harness = ConnectionHarness(REVISION_5)
    harness.host.slow = {"/admin"}
    harness.send("40/admin,")
    first = harness.links["/admin"]
    harness.send('40/admin,{"token":2}')
    assert len(harness.host.asked) == 2
    assert first.reasons == ["client namespace disconnect"]
    assert harness.connection.is_joining("/admin")
    assert harness.links["/admin"] is not first
    assert harness.links["/admin"].reasons == []


def test_a_client_that_is_still_joining_may_not_send() -> None:
    harness = ConnectionHarness(REVISION_5)
    harness.host.slow = {"/"}
    harness.send("40", '42["early"]')
    harness.assert_broken("not joined")
    assert harness.links["/"].events == []


# Joining in revision 4


def test_the_main_namespace_is_joined_unasked() -> None:
    harness = ConnectionHarness(REVISION_4)
    assert harness.host.asked == [("/", None, "")]
    assert harness.wire.frames == ["40"]
    harness.send("40")
    assert len(harness.host.asked) == 1
    assert harness.wire.frames == ["40"]


@pytest.mark.parametrize(
    ("packet", "namespace", "query"),
    [
        ("40/admin", "/admin", ""),
        ("40/admin,", "/admin", ""),
        ("40/admin?token=1&x=%2C,", "/admin", "token=1&x=%2C"),
        ("40/admin?,", "/admin", ""),
        ("40/admin?a=1?b=2", "/admin", "a=1?b=2"),
    ],
)
def test_the_query_behind_a_namespace(packet: str, namespace: str, query: str) -> None:
    harness = joined("/", revision=REVISION_4)
    harness.send(packet)
    assert harness.host.asked[1:] == [(namespace, None, query)]
    assert harness.wire.frames == [f"40{namespace},"]
    harness.send(f"40{namespace}?again=1,")
    assert len(harness.host.asked) == 2
    assert len(harness.wire.frames) == 1


def slow_root(host: KeepingHost) -> ConnectionHarness:
    host.slow = {"/"}
    return ConnectionHarness(REVISION_4, host)


@pytest.mark.parametrize("accepted", [False, True])
def test_other_namespaces_wait_for_the_main_one(accepted: bool) -> None:
    harness = slow_root(KeepingHost())
    harness.send("40/a?x=1,", "40/b,", "40/a?x=2,", "40")
    assert harness.host.asked == [("/", None, "")]
    assert harness.wire.frames == []
    if accepted:
        harness.host.let_in(harness.connection, "/")
        first = "40"
    else:
        harness.connection.refuse("/", "no")
        first = '44"no"'
    assert harness.host.asked[1:] == [("/a", None, "x=1"), ("/b", None, "")]  # and not twice
    assert harness.wire.drain() == [first, "40/a,", "40/b,"]
    harness.send("40/c,")
    assert harness.wire.frames == ["40/c,"]


def test_namespaces_that_wait_may_be_slow_themselves() -> None:
    harness = slow_root(KeepingHost())
    harness.host.slow.add("/a")
    harness.send("40/a,", "40/a,", "40/b,")
    harness.host.let_in(harness.connection, "/")
    assert harness.wire.drain() == ["40", "40/b,"]
    harness.send("40/a,")
    harness.host.let_in(harness.connection, "/a")
    assert harness.wire.drain() == ["40/a,"]
    assert [namespace for namespace, _, _ in harness.host.asked] == ["/", "/a", "/b"]


@pytest.mark.parametrize(("most", "broken"), [(3, False), (2, True)])
def test_the_namespaces_that_wait_are_limited(most: int, broken: bool) -> None:
    host = KeepingHost()
    host.slow = {"/"}
    harness = ConnectionHarness(REVISION_4, host, max_waiting_events=most)
    harness.send("40/a,", "40/b,", "40/c,")
    if broken:
        harness.assert_broken("max_waiting_events")
    else:
        host.let_in(harness.connection, "/")
        assert len(harness.wire.frames) == 4


def test_a_thousand_namespaces_that_wait_are_joined_one_after_the_other() -> None:
    harness = slow_root(KeepingHost())
    for number in range(1000):
        harness.send(f"40/{number},")
    harness.host.let_in(harness.connection, "/")
    assert len(harness.wire.frames) == 1001


def test_namespaces_that_wait_are_forgotten_when_the_connection_ends() -> None:
    harness = slow_root(KeepingHost())
    harness.send("40/a,")
    harness.wire.lose()
    assert harness.links["/"].reasons == ["transport close"]
    assert len(harness.host.asked) == 1
    assert harness.host.closed == [harness.connection]


def test_no_namespace_is_joined_after_one_that_closed_the_connection() -> None:
    harness = slow_root(KeepingHost())
    harness.send("40/a,", "40/b,")

    def close(connection: ServerConnection, namespace: str) -> None:
        if namespace == "/a":
            connection.close("forced server close")

    harness.host.on_connect = close
    harness.host.let_in(harness.connection, "/")
    assert [namespace for namespace, _, _ in harness.host.asked] == ["/", "/a"]
    assert harness.links["/a"].reasons == ["forced server close"]
    assert harness.connection.links == {}


@REVISIONS
@pytest.mark.parametrize("how", [lambda c: c.close("forced server close"), lambda c: c.session.end("ping timeout")])
def test_a_host_may_close_the_connection_while_it_decides(
    revision: Revision, how: Callable[[ServerConnection], None]
) -> None:
    host = KeepingHost()
    host.on_connect = lambda connection, namespace: how(connection)
    harness = ConnectionHarness(revision, host)
    if not revision.implicit_root:
        harness.send("40")
    assert len(harness.links["/"].endings) == 1
    assert harness.connection.links == {}
    assert not harness.connection.is_joining("/")
    assert harness.wire.frames == []
    assert host.closed == [harness.connection]


@REVISIONS
def test_an_answer_after_the_connection_has_gone_changes_nothing(revision: Revision) -> None:
    host = KeepingHost()
    host.slow = {"/"}
    harness = ConnectionHarness(revision, host)
    if not revision.implicit_root:
        harness.send("40")
    harness.wire.lose()
    harness.connection.set_joining("/", harness.links["/"])
    harness.connection.refuse("/", "too late")
    assert harness.wire.frames == []
    assert harness.links["/"].reasons == ["transport close"]


def test_a_connection_may_end_before_there_is_a_link_to_tell() -> None:
    host = KeepingHost()
    host.unknown = {"/a"}
    harness = ConnectionHarness(REVISION_5, host)
    harness.send("40", "40/a,")
    harness.wire.lose()
    assert harness.links["/"].reasons == ["transport close"]
    assert not harness.connection.is_joining("/a")
    assert host.closed == [harness.connection]


# The time to join


@REVISIONS
@pytest.mark.parametrize("slow", [False, True])
def test_a_client_that_joins_nothing_is_closed(revision: Revision, slow: bool) -> None:
    host = KeepingHost()
    host.slow = {"/"}
    harness = ConnectionHarness(revision, host, connect_timeout=10.0)
    if slow and not revision.implicit_root:
        harness.send("40")
    harness.time.advance(9.9)
    assert harness.wire.open
    harness.time.pass_deadline(0.1)
    assert harness.wire.ending == ["close"]
    assert harness.reasons() <= {"forced close"}
    harness.time.advance(60)
    assert harness.engine.clients_count == 0
    assert timers_in(harness.time.wheel) == 0


@REVISIONS
def test_a_client_that_has_joined_has_all_the_time(revision: Revision) -> None:
    harness = ConnectionHarness(revision, connect_timeout=10.0, ping_interval=1000.0)
    if not revision.implicit_root:
        harness.time.advance(9.9)
        harness.send("40")
    harness.time.advance(900)
    assert harness.wire.open
    assert timers_in(harness.time.wheel) == 1


def test_being_refused_buys_no_time() -> None:
    harness = ConnectionHarness(REVISION_5, connect_timeout=10.0)
    harness.host.forbidden = {"/": ("no", None)}
    for _ in range(99):
        harness.send("40")
        harness.time.advance(0.1)
    assert harness.wire.open
    harness.time.pass_deadline(0.1)
    assert not harness.wire.open


# Events and acknowledgements


@REVISIONS
def test_packets_find_their_namespace(revision: Revision) -> None:
    harness = joined("/", "/a", revision=revision)
    harness.send('42["one",1]', '42/a,["two"]', '427["three"]', '42/a,0["four"]', '432["five"]', "43/a,0[]")
    assert harness.links["/"].events == [(["one", 1], None), (["three"], 7)]
    assert harness.links["/a"].events == [(["two"], None), (["four"], 0)]
    assert harness.links["/"].acks == [(2, ["five"])]
    assert harness.links["/a"].acks == [(0, [])]


def test_event_names() -> None:
    harness = joined("/", "/a")
    harness.send('42[""]', "42[1]", "42[1.5]", '42["error","x"]', '42/a,["connection"]', r'42["\u0063onnected"]')
    assert [args[0] for args, _ in harness.links["/"].events] == ["", 1, 1.5, "error", "connected"]


@pytest.mark.parametrize("namespace", ["", "/a,"])
@pytest.mark.parametrize("name", ["connect", "connect_error", "disconnect", "disconnecting", "newListener"])
@pytest.mark.parametrize("form", ['42{}["{}"]', '42{}3["{}"]', '42{} ["{}"]'])
def test_reserved_event_names_end_the_connection(form: str, namespace: str, name: str) -> None:
    harness = joined("/", "/a")
    harness.send(form.format(namespace, name))
    harness.assert_broken()
    assert harness.links["/"].reasons == harness.links["/a"].reasons == ["parse error"]


def test_an_escaped_name_is_as_reserved_as_a_plain_one() -> None:
    harness = joined("/")
    harness.send(r'42["\u0063onnect"]')
    harness.assert_broken("reserved")


@REVISIONS
@pytest.mark.parametrize(
    "packet", ['42["x"', '42["x"]]', '42["x",]', "42{}", "42", "43[]", "4", "47", "44{}", "401", "41{}", '42["x"]\x00']
)
def test_a_malformed_packet_ends_the_connection(revision: Revision, packet: str) -> None:
    harness = joined("/", "/a", revision=revision)
    harness.send(packet)
    harness.assert_broken()
    assert harness.links["/"].reasons == harness.links["/a"].reasons == ["parse error"]


def test_connect_error_is_for_the_server_to_send() -> None:
    harness = joined("/")
    harness.send('44{"message":"x"}')
    harness.assert_broken("CONNECT_ERROR")


@pytest.mark.parametrize(
    "packet", ['42["x"]', '42/b,["x"]', '42/b,1["x"]', "43/b,1[]", "41/b,", '44/b,{"message":"x"}', '451-/b,["x"]']
)
def test_traffic_for_a_namespace_that_was_not_joined(packet: str) -> None:
    harness = joined("/a")
    harness.send(packet)
    harness.assert_broken()
    assert harness.links["/a"].reasons == ["parse error"]


@pytest.mark.parametrize("packet", ['42/b,["x"]', '42/b,1["x"]', "43/b,1[]", "41/b,", '44/b,"x"', '450-/b,["x"]'])
def test_traffic_for_a_namespace_that_was_not_joined_is_ignored_in_revision_4(packet: str) -> None:
    harness = joined("/", "/a", revision=REVISION_4)
    harness.send(packet, '42["after"]')
    assert harness.links["/"].events == [(["after"], None)]
    assert harness.wire.frames == []


def test_attachments_for_a_namespace_that_was_not_joined_are_dropped_in_revision_4() -> None:
    harness = joined("/", revision=REVISION_4)
    harness.send('451-/b,["x",{"_placeholder":true,"num":0}]', b"dropped", '42["after"]')
    assert harness.links["/"].events == [(["after"], None)]


# Leaving


@REVISIONS
@pytest.mark.parametrize("namespace", ["/", "/a"])
def test_a_client_leaves_a_namespace(revision: Revision, namespace: str) -> None:
    harness = joined("/", "/a", revision=revision)
    harness.send("41" if namespace == "/" else f"41{namespace},")
    assert harness.links[namespace].endings == [("client namespace disconnect", None)]
    assert set(harness.connection.links) == {"/", "/a"} - {namespace}
    assert harness.wire.open
    assert harness.wire.frames == []


@pytest.mark.parametrize("packet", ['42/a,["x"]', "43/a,1[]", "41/a,"])
def test_a_client_that_has_left_may_send_no_more(packet: str) -> None:
    harness = joined("/", "/a")
    harness.send("41/a,", packet)
    harness.assert_broken("not joined")


def test_a_client_that_has_left_may_come_back() -> None:
    harness = joined("/a")
    first = harness.links["/a"]
    harness.send("41/a,", "40/a,", '42/a,["x"]')
    assert harness.links["/a"] is not first
    assert (first.events, harness.links["/a"].events) == ([], [(["x"], None)])


@REVISIONS
@pytest.mark.parametrize("namespace", ["/", "/a"])
def test_the_server_puts_a_client_out(revision: Revision, namespace: str) -> None:
    harness = joined("/", "/a", revision=revision)
    prefix = "" if namespace == "/" else f"{namespace},"
    harness.connection.leave(namespace)
    assert harness.wire.frames == [f"41{prefix}"]
    # What was under way is no fault of the client: it cannot know yet.
    harness.send(f'42{prefix}["x"]', f"43{prefix}1[]", f'451-{prefix}["y",{{"_placeholder":true,"num":0}}]', b"y")
    harness.send(f"41{prefix}")
    assert harness.links[namespace].events == []
    assert harness.wire.open
    harness.send(f"40{prefix}", f'42{prefix}["back"]')
    assert harness.links[namespace].events == [(["back"], None)]


def test_a_client_that_came_back_and_left_may_send_no_more() -> None:
    harness = joined("/", "/a")
    harness.connection.leave("/a")
    harness.send("40/a,", "41/a,", '42/a,["x"]')
    harness.assert_broken("not joined")


def test_a_client_may_be_put_out_between_the_parts_of_a_packet() -> None:
    harness = joined("/", "/a")
    harness.send('451-/a,["x",{"_placeholder":true,"num":0}]')
    harness.connection.leave("/a")
    harness.send(b"late", '42["after"]')
    assert harness.links["/a"].events == []
    assert harness.links["/"].events == [(["after"], None)]


def test_a_handler_may_put_its_client_out_within_a_packet() -> None:
    harness = joined("/", "/a")
    harness.links["/a"].on_event = lambda args: harness.connection.leave("/a")
    harness.send('42/a,["one"]', '42/a,["two"]')
    assert harness.links["/a"].events == [(["one"], None)]
    assert harness.wire.open


@REVISIONS
@pytest.mark.parametrize("reason", ["transport close", "ping timeout"])
def test_all_namespaces_hear_of_the_end(revision: Revision, reason: str) -> None:
    host = KeepingHost()
    host.slow = {"/slow"}
    harness = ConnectionHarness(revision, host)
    if not revision.implicit_root:
        harness.send("40")
    harness.send("40/a,", "40/slow,")
    harness.session.end(reason, "details")
    for link in harness.links.values():
        assert link.endings == [(reason, "details")]
    assert harness.connection.links == {}
    assert host.closed == [harness.connection]
    assert timers_in(harness.time.wheel) == 0


def test_closing_from_above() -> None:
    harness = joined("/", "/a")
    harness.connection.close("server shutting down")
    assert harness.reasons() == {"server shutting down"}
    assert harness.wire.ending == ["close"]
    harness.connection.close("again")
    assert harness.reasons() == {"server shutting down"}


# Packets in parts


PLACE = '{"_placeholder":true,"num":%d}'


@REVISIONS
def test_attachments_are_put_in_their_places(revision: Revision) -> None:
    harness = joined("/", "/a", revision=revision)
    harness.send(f'452-["x",{PLACE % 1},{{"deep":[{PLACE % 0}]}}]', b"zero", b"one")
    harness.send(f'451-/a,5["y",{PLACE % 0}]', b"")
    harness.send(f"461-9[{PLACE % 0}]", b"ack")
    assert harness.links["/"].events == [(["x", b"one", {"deep": [b"zero"]}], None)]
    assert harness.links["/a"].events == [(["y", b""], 5)]
    assert harness.links["/"].acks == [(9, [b"ack"])]


@REVISIONS
def test_no_attachments_complete_a_packet_at_once(revision: Revision) -> None:
    harness = joined("/", revision=revision)
    harness.send('450-["x"]', "460-3[]", '42["y"]')
    assert harness.links["/"].events == [(["x"], None), (["y"], None)]
    assert harness.links["/"].acks == [(3, [])]
    harness.send(b"not due")
    harness.assert_broken("no attachment is due")


@REVISIONS
@pytest.mark.parametrize("before", [[], ['42["x"]'], [f'451-["x",{PLACE % 0}]', b"due"]])
def test_binary_where_none_is_due(revision: Revision, before: list[str | bytes]) -> None:
    harness = joined("/", revision=revision)
    harness.send(*before, b"not due")
    harness.assert_broken("no attachment is due")


@REVISIONS
@pytest.mark.parametrize("text", ['42["y"]', f'451-["y",{PLACE % 0}]', "40/a,", "41"])
@pytest.mark.parametrize("parts", [0, 1])
def test_text_where_an_attachment_is_due(revision: Revision, text: str, parts: int) -> None:
    harness = joined("/", revision=revision)
    harness.send(f'452-["x",{PLACE % 0},{PLACE % 1}]', *[b"part"] * parts, text)
    harness.assert_broken("text where an attachment is due")
    assert harness.links["/"].events == []


@pytest.mark.parametrize("heartbeat", ["3", "6"])
def test_packets_of_the_session_may_come_between_the_parts(heartbeat: str) -> None:
    harness = joined("/")
    harness.send(f'452-["x",{PLACE % 0},{PLACE % 1}]', b"0", heartbeat, b"1")
    assert harness.links["/"].events == [(["x", b"0", b"1"], None)]


@pytest.mark.parametrize("number", ["-1", "2", "1e9", "true", '"0"', "1.0", "null", "[]", "99999999999999999999"])
def test_a_placeholder_that_names_no_attachment(number: str) -> None:
    harness = joined("/")
    harness.send(f'452-["x",{{"_placeholder":true,"num":{number}}}]', b"0", b"1")
    harness.assert_broken("names no attachment")
    assert harness.links["/"].events == []


def test_attachments_that_no_placeholder_names() -> None:
    harness = joined("/")
    harness.send('451-["x"]', b"unused", f'451-["y",{PLACE % 0},{PLACE % 0}]', b"twice")
    assert harness.links["/"].events == [(["x"], None), (["y", b"twice", b"twice"], None)]


@pytest.mark.parametrize(("most", "count", "broken"), [(10, 10, False), (10, 11, True), (0, 0, False), (0, 1, True)])
def test_the_number_of_attachments_is_limited(most: int, count: int, broken: bool) -> None:
    harness = joined("/", max_attachments=most)
    harness.send(f'45{count}-["x"]')
    if broken:
        harness.assert_broken("at most")
    else:
        harness.send(*[b"part"] * count)
        assert harness.links["/"].events == [(["x"], None)]


@pytest.mark.parametrize(("excess", "broken"), [(0, False), (1, True)])
@pytest.mark.parametrize("parts", [(100,), (60, 40), (0, 100)])
def test_the_size_of_a_packet_in_parts_is_limited(parts: tuple[int, ...], excess: int, broken: bool) -> None:
    header = f'45{len(parts)}-["x"]'
    harness = joined("/", max_packet_bytes=len(header) + 100)
    harness.send(header, *[bytes(size) for size in parts[:-1]])
    assert harness.wire.open
    harness.send(bytes(parts[-1] + excess))
    if broken:
        harness.assert_broken("max_packet_bytes")
        assert harness.links["/"].events == []
    else:
        assert harness.links["/"].events == [(["x"], None)]


def test_a_packet_that_is_too_large_ends_before_its_last_part() -> None:
    harness = joined("/", max_packet_bytes=100)
    harness.send('459-["x"]', bytes(50), bytes(50))
    harness.assert_broken("max_packet_bytes")


@pytest.mark.parametrize(("excess", "broken"), [(0, False), (1, True)])
def test_the_header_counts(excess: int, broken: bool) -> None:
    header = '451-["{}"]'.format("x" * 50)
    harness = joined("/", max_packet_bytes=len(header) - excess)
    harness.send(header)
    if broken:
        harness.assert_broken("max_packet_bytes")
    else:
        harness.send(b"")
        assert len(harness.links["/"].events) == 1


def test_the_size_of_one_packet_is_not_counted_for_the_next() -> None:
    harness = joined("/", max_packet_bytes=100)
    for _ in range(10):
        harness.send('451-["x"]', bytes(80))
    assert len(harness.links["/"].events) == 10


def test_attachments_that_come_too_late() -> None:
    harness = joined("/", attachment_timeout=10.0)
    harness.send('452-["x"]')
    harness.time.advance(5)
    harness.send(b"one")  # which buys no time: else a packet could be drawn out for ever
    harness.time.advance(4.9)
    assert harness.wire.open
    harness.time.pass_deadline(0.1)
    harness.assert_broken("attachment_timeout")


def test_the_time_for_attachments_begins_anew_with_each_packet() -> None:
    harness = joined("/", attachment_timeout=10.0, ping_interval=1000.0)
    for _ in range(5):
        harness.send('451-["x"]')
        harness.time.advance(6)
        harness.send(b"one")
    assert len(harness.links["/"].events) == 5
    harness.time.advance(15)
    assert harness.wire.open  # nothing is due


def test_a_connection_that_ends_forgets_its_parts() -> None:
    harness = joined("/", attachment_timeout=10.0)
    harness.send('452-["x"]', b"one")
    harness.wire.lose()
    assert harness.connection._partial is None
    assert harness.links["/"].reasons == ["transport close"]
    assert timers_in(harness.time.wheel) == 0


def test_a_handler_may_close_the_connection_in_the_middle_of_a_flood() -> None:
    harness = joined("/", "/a")
    harness.links["/"].on_event = lambda args: harness.connection.close("forced server close")
    harness.send('42["one"]', '42["two"]', '42/a,["three"]', "40/b,", "garbage")
    assert [args for args, _ in harness.links["/"].events] == [["one"]]
    assert harness.reasons() == {"forced server close"}
    assert "/b" not in harness.links
