"""Whatever a client sends, and whenever the host answers: nobody is told twice, nothing comes after the end."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from socketeer.protocol.revisions import REVISION_4, REVISION_5, Revision
from tests.multiplex.peers import ConnectionHarness, KeepingHost
from tests.support.virtual import timers_in

NAMESPACES = ["/", "/a", "/slow", "/no"]
PLACE = '{"_placeholder":true,"num":0}'

namespaces = st.sampled_from(["", "/,", "/a,", "/slow,", "/no,", "/a?x=1,", "/a", "/é,"])
packets = st.builds(
    "{}{}{}".format,
    st.sampled_from(["40", "41", "42", "43", "44", "450-", "451-", "452-", "461-", "4599-", "47", "4", "2", "3", "6"]),
    namespaces,
    st.sampled_from(["", "{}", '["x"]', '1["x"]', "1[]", f'["x",{PLACE}]', f"1[{PLACE}]", '["connect"]', "[", "[]"]),
)
good = st.builds(
    "42{}{}{}".format, st.sampled_from(["", "/a,"]), st.sampled_from(["", "1"]), st.sampled_from(['["x"]', '["y",1]'])
)
steps = st.one_of(
    packets,
    good,
    st.binary(max_size=4),
    st.text('0123456789/,-[]{}"bé', max_size=6),
    st.sampled_from(NAMESPACES).map(lambda name: ("accept", name)),
    st.sampled_from(NAMESPACES).map(lambda name: ("refuse", name)),
    st.sampled_from(NAMESPACES).map(lambda name: ("leave", name)),
    st.sampled_from([1.0, 12.0]).map(lambda seconds: ("wait", seconds)),
    st.just(("close", "")),
)


def take(harness: ConnectionHarness, step: str | bytes | tuple[str, str | float]) -> None:
    if not isinstance(step, tuple):
        harness.send(step)
        return
    kind, what = step
    connection = harness.connection
    if isinstance(what, float):
        harness.time.advance(what)
    elif kind == "close":
        connection.close("forced server close")
    elif kind == "leave" and what in connection.links:
        link = harness.links[what]
        connection.leave(what)
        link.left("server namespace disconnect")
    elif kind == "accept" and connection.is_joining(what):
        harness.host.let_in(connection, what)
    elif kind == "refuse" and connection.is_joining(what):
        harness.links[what].left("refused")
        connection.refuse(what, "no", {"data": 1})


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([REVISION_4, REVISION_5]), st.booleans(), st.lists(steps, max_size=25))
def test_any_frames(revision: Revision, slow_root: bool, steps: list[str | bytes | tuple[str, str | float]]) -> None:
    host = KeepingHost()
    host.slow = {"/slow", "/"} if slow_root else {"/slow"}
    host.forbidden = {"/no": ("no", None)}
    harness = ConnectionHarness(revision, host, connect_timeout=20.0, attachment_timeout=10.0)
    made = list(host.links.values())
    host.on_connect = lambda connection, namespace: made.append(host.links[namespace])
    for step in steps:
        take(harness, step)
        alive = [link for link in made if not link.endings and link.namespace != "/no"]
        assert len({link.namespace for link in alive}) == len(alive), "a namespace joined twice"
        assert all(len(link.endings) <= 1 for link in made)
    over = not harness.wire.open
    harness.wire.lose()
    assert host.closed == [harness.connection]
    for link in made:
        assert len(link.endings) == (link.namespace != "/no"), link.namespace
        assert over or not {"parse error", "forced close", "ping timeout"} & set(link.reasons)
    assert timers_in(harness.time.wheel) == 0
    assert harness.engine.clients_count == 0


@settings(deadline=None, max_examples=200)
@given(st.sampled_from([REVISION_4, REVISION_5]), st.lists(good, max_size=20))
def test_good_frames_all_arrive(revision: Revision, frames: list[str]) -> None:
    harness = ConnectionHarness(revision)
    if not revision.implicit_root:
        harness.send("40")
    harness.send("40/a,", *frames)
    assert len(harness.links["/"].events) + len(harness.links["/a"].events) == len(frames)
    assert harness.wire.open
