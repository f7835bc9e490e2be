/* The edges of the semantics: what is easily got wrong, and what only shows when things happen at the same time. */
"use strict";

const assert = require("node:assert/strict");
const { same } = require("../session.js");

const ODD_NAMES = ["__proto__", "constructor", "hasOwnProperty", "toString", "", "a b", "\u2028 \u2029", "\u0000", "🦊", '"\\', 7];

let names = 0;

function unique(name) {
  return `${name} ${process.pid} ${++names}`;
}

/* A name of a namespace that the pattern takes and no other scenario asks for. */
function dynamic(first) {
  return `/dynamic-${first}${process.pid}${process.hrtime.bigint() % 1000000007n}${++names}`;
}

/* What a client says when it joins: the auth payload, or the query that old clients have in its place. */
function saying(t, said) {
  return t.modern ? { auth: said } : { query: said };
}

async function refused(t, socket) {
  socket.on("connect", () => assert.fail("a refused client connected"));
  const [error] = await t.next(socket, t.modern ? "connect_error" : "error");
  assert.equal(t.modern ? error.message : error, "not in here");
}

function edges(t, count) {
  return Promise.all(Array.from({ length: count }, () => t.connect("/edges")));
}

/* Collect what is said until the sockets have nothing under way any more. */
function listen(t, sockets, event = "said") {
  const heard = sockets.map(() => []);
  sockets.forEach((socket, i) => socket.on(event, (value) => heard[i].push(value)));
  return async (speaker) => {
    for (const socket of [speaker, ...sockets]) await t.ask(socket, "echo");
    return heard.map((list) => list.splice(0));
  };
}

/* Ask to be let in, and note what comes over the wire meanwhile. */
async function atTheDoor(t, said) {
  const socket = t.open("/door", { autoConnect: false, ...saying(t, said) });
  const wire = [];
  socket.io.once("open", () =>
    socket.io.engine.on("packet", ({ type, data }) => {
      if (type === "message" && /\/door/.test(data)) wire.push(data);
    }),
  );
  socket.connect();
  await t.next(socket.io, "open");
  return { socket, wire };
}

async function eventually(t, what, check) {
  for (let i = 0; i < 200; i++) {
    if (await check()) return;
    await t.delay(10);
  }
  throw new Error(`never: ${what}`);
}

/* Let the server emit some events in one go, and resolve with those that arrived. */
async function burst(t, socket, plan) {
  const arrived = [];
  socket.removeAllListeners("burst");
  socket.on("burst", (value) => arrived.push(value));
  await t.delay(50); // a poll has to wait again
  socket.emit("burst", plan);
  await t.delay(50);
  await t.ask(socket, "echo");
  return arrived;
}

module.exports = {
  async "rooms-given-twice"(t) {
    const [a, b] = await edges(t, 2);
    const [one, other] = [unique("one"), unique("other")];
    const told = listen(t, [a, b]);
    await t.ask(a, "join", [one, other, one]);
    b.emit("say", [one, other, one], "once");
    same(await told(b), [["once"], []]);
  },

  async "operators-can-be-kept"(t) {
    const [a, b, c] = await edges(t, 3);
    const [one, other] = [unique("one"), unique("other")];
    const told = listen(t, [a, b, c]);
    await t.ask(a, "join", [one]);
    await t.ask(b, "join", [other]);
    c.emit("keep an operator", one, other);
    same(await told(c), [["to one", "to both", "to one again"], ["to both"], []]);
  },

  async "asking-nobody"(t) {
    const [a] = await edges(t, 1);
    const [failed, answers, took] = await t.ask(a, "ask a room", unique("empty"), 5);
    same([failed, answers], [false, []]);
    assert.ok(took < 1, `${took} s`);
  },

  /* Node's server waits for who has left until the time is up; here they count as gone at once. */
  async "asking-who-leaves"(t) {
    const [a, b, c] = await edges(t, 3);
    const room = unique("room");
    for (const socket of [a, b]) await t.ask(socket, "join", [room]);
    a.on("vote", (ack) => ack("a"));
    b.on("vote", () => b.disconnect());
    const [failed, answers, took] = await t.ask(c, "ask a room", room, 1.5);
    same([failed, answers], [t.params.reference, ["a"]]);
    assert.equal(took > 1.4, t.params.reference, `${took} s`);
  },

  /* Node's server gives up after a millisecond where no limit is given; here the option ack_timeout holds. */
  async "asking-without-a-limit"(t) {
    const [a, b] = await edges(t, 2);
    const room = unique("room");
    await t.ask(a, "join", [room]);
    a.on("vote", async (ack) => {
      await t.delay(150);
      ack("a");
    });
    const [failed, answers] = await t.ask(b, "ask a room without a limit", room);
    same([failed, answers], t.params.reference ? [true, []] : [false, ["a"]]);
  },

  async "partial-answers"(t) {
    const [a, b, c] = await edges(t, 3);
    const room = unique("room");
    for (const socket of [a, b]) await t.ask(socket, "join", [room]);
    a.on("vote", (ack) => ack("a"));
    const late = t.next(b, "vote");
    const [failed, answers, took] = await t.ask(c, "ask a room", room, 0.4);
    same([failed, answers], [true, ["a"]]);
    assert.ok(took > 0.35 && took < 3, `${took} s`);
    (await late)[0]("too late");
    same(await t.ask(b, "echo", "alive"), ["alive"]);
  },

  async "asking-without-patience"(t) {
    const [a] = await edges(t, 1);
    const out = t.next(a, "timed out", 2000);
    a.emit("ask without patience");
    same(await out, [true]);
  },

  /* Behind a normal event the transport is busy; what is volatile does not wait for it, what is normal does. */
  async "volatile-behind-a-normal-event"(t) {
    const [a] = await edges(t, 1);
    const plan = [["normal", 1], ["volatile", 2], ["volatile", Buffer.from("3")], ["normal", 4], ["normal", Buffer.from("5")]];
    same(await burst(t, a, plan), [1, 4, Buffer.from("5")]);
  },

  async "two-volatile-events"(t) {
    const [a] = await edges(t, 1);
    same(await burst(t, a, [["volatile", 1], ["volatile", 2]]), [1]);
    same(await burst(t, a, [["volatile", 3]]), [3]);
  },

  /* Header and attachments leave together or not at all. */
  async "volatile-binary"(t) {
    const [a] = await edges(t, 1);
    const binary = { parts: [Buffer.from("one"), Buffer.alloc(0), Buffer.from("three")] };
    same(await burst(t, a, [["volatile", binary], ["volatile", binary]]), [binary]);
    same(await burst(t, a, [["normal", binary], ["volatile", binary], ["normal", "text"]]), [binary, "text"]);
  },

  async "odd-names"(t) {
    const [a] = await edges(t, 1);
    for (const name of ODD_NAMES) {
      const answer = t.next(a, name);
      a.emit(name, name, Buffer.alloc(0), { [name]: "\u2028\ud83e\u0000" });
      const [echoed, empty, object] = await answer;
      same([echoed, empty], [name, Buffer.alloc(0)]);
      if (name !== "__proto__") same(object, { [name]: "\u2028\ud83e\u0000" });
    }
  },

  async "acknowledgement-number-zero"(t) {
    const [a] = await edges(t, 1);
    assert.equal(a.ids, 0);
    same(await t.ask(a, "echo", 0), [0]);
    assert.equal(a.ids, 1);
  },

  async "connected-behind-the-middleware"(t) {
    const socket = t.open("/door", saying(t, { room: unique("room"), ms: 30 }));
    const told = [t.next(socket, "in the middleware"), t.next(socket, "in the handler")];
    same(await Promise.all(told), [[false], [true]]);
  },

  /* What a middleware emits is on the wire before the answer to CONNECT. */
  async "emitted-in-the-middleware"(t) {
    const { socket, wire } = await atTheDoor(t, { room: unique("room"), ms: 30 });
    await t.next(socket, "in the handler");
    assert.equal(wire.length, 3);
    assert.match(wire[0], /^2\/door,\["in the middleware",false\]$/);
    assert.match(wire[1], /^0\/door/);
    assert.match(wire[2], /^2\/door,\["in the handler",true\]$/);
  },

  async "gone-during-the-middleware"(t) {
    const [watcher] = await edges(t, 1);
    const room = unique("room");
    const { socket, wire } = await atTheDoor(t, { room, ms: 150 });
    await eventually(t, "the middleware runs", () => wire.length > 0);
    socket.io.engine.close();
    await t.delay(250);
    same(await t.askOne(watcher, "connections of", room), 0);
    same(await t.askOne(watcher, "who", "/door", room), 0);
  },

  async "rooms-of-a-refused-client"(t) {
    const [watcher] = await edges(t, 1);
    const room = unique("room");
    await refused(t, t.open("/door", saying(t, { room, unwelcome: "yes" })));
    same(await t.askOne(watcher, "who", "/door", room), 0);
    same(await t.askOne(watcher, "connections of", room), 0);
  },

  async "joining-after-the-end"(t) {
    const [a, b] = await edges(t, 2);
    const room = unique("room");
    const gone = t.next(a, "disconnect");
    a.emit("leave and join", room);
    await gone;
    same(await t.askOne(b, "who", "/edges", room), 0);
  },

  async "packets-behind-the-end"(t) {
    const [a, b] = await edges(t, 2);
    const name = unique("name");
    const gone = t.next(a, "disconnect");
    a.emit("count for", name);
    a.emit("leave by name", name);
    for (let i = 0; i < 5; i++) a.emit("count for", name);
    await gone;
    same(await t.askOne(b, "counted for", name), 2);
  },

  async "two-clients-make-one-namespace"(t) {
    const path = dynamic(2);
    const sockets = await Promise.all([0, 1, 2].map(() => t.connect(path)));
    for (const socket of sockets) same(await t.askOne(socket, "here"), 3);
  },

  async "parents-in-order"(t) {
    const socket = t.open(dynamic(1));
    same(await t.next(socket, "parent"), ["first"]);
  },

  async "a-child-made-by-hand"(t) {
    const [a] = await edges(t, 1);
    const path = dynamic(3);
    await t.ask(a, "make by hand", path);
    const child = t.open(path);
    same(await t.next(child, "parent"), ["first"]);
    const said = t.next(child, "said");
    a.emit("say to all children", "hello");
    same(await said, ["hello"]);
  },

  async "an-empty-child-is-forgotten"(t) {
    const [a] = await edges(t, 1);
    const path = dynamic(4);
    const children = await Promise.all([t.connect(path), t.connect(path)]);
    same(await t.askOne(a, "is there", path), true);
    children[0].disconnect();
    await eventually(t, "one is left", async () => (await t.askOne(children[1], "here")) === 1);
    same(await t.askOne(a, "is there", path), true);
    children[1].disconnect();
    await eventually(t, "the child is gone", async () => !(await t.askOne(a, "is there", path)));
    const again = await t.connect(path);
    same(await t.askOne(again, "here"), 1);
  },

  async "a-child-whose-first-client-is-refused"(t) {
    const [a] = await edges(t, 1);
    const path = dynamic(5);
    await refused(t, t.open(path, saying(t, { unwelcome: "yes" })));
    await eventually(t, "the child is gone", async () => !(await t.askOne(a, "is there", path)));
    const member = await t.connect(path);
    await refused(t, t.open(path, saying(t, { unwelcome: "yes" })));
    same(await t.askOne(a, "is there", path), true);
    same(await t.askOne(member, "here"), 1);
  },

  async "a-parent-has-no-sockets"(t) {
    const [a] = await edges(t, 1);
    same(await t.askOne(a, "ask the parent"), true);
  },
};
