/*
 * Coming back to where one was: connection state recovery. The connection goes through a proxy that the test cuts; what
 * is emitted meanwhile is asked for by a watcher on a connection of its own.
 */
"use strict";

const assert = require("node:assert/strict");
const { same } = require("../session.js");

let names = 0;

function unique(name) {
  return `${name} ${process.pid} ${++names}`;
}

async function watcher(t) {
  const direct = { forceNew: true, reconnection: false, transports: ["websocket"] };
  const socket = t.io(`${t.params.direct}/recovery`, direct);
  t.aside(socket);
  await t.connected(socket);
  return socket;
}

async function member(t, options = {}) {
  const name = unique("name");
  const socket = await t.connect("/recovery", { auth: { name }, ...options });
  const news = [];
  socket.on("news", (value) => news.push(value));
  return { socket, news, name, id: socket.id };
}

function plan(...values) {
  return values.map((value) => ({ value }));
}

/* Make sure that everything has arrived; a client that polls waits again then, else there is nothing to cut. */
async function quiet(t, socket) {
  await t.ask(socket, "state");
  if (t.transport === "polling") await t.delay(50);
}

/* Lose the connection, and wait until the server knows. */
async function lose(t, { socket }, watching, cut = "cut") {
  const { id } = socket;
  if (cut !== "cut at once") await quiet(t, socket);
  const gone = t.next(socket, "disconnect");
  await t.act(cut);
  const [reason] = await gone;
  await unknown(t, watching, id);
  return reason;
}

async function unknown(t, watching, id) {
  for (let i = 0; i < 300; i++) {
    if (!(await t.askOne(watching, "is here", id))) return;
    await t.delay(10);
  }
  throw new Error("the server still counts the socket among its own");
}

async function comeBack(t, { socket }) {
  const back = t.next(socket, "connect");
  socket.connect();
  await back;
  await t.settled(socket);
}

/* Check both sides: the same socket as before, with all that it had. */
async function recovered(t, { socket, id }, rooms = [], data = {}) {
  assert.equal(socket.recovered, true);
  assert.equal(socket.id, id);
  same(await t.askOne(socket, "state"), { id, recovered: true, rooms: [id, ...rooms].sort(), data });
}

/* Check both sides: a socket that was never here. */
async function anew(t, socket, id) {
  assert.equal(socket.recovered, false);
  assert.notEqual(socket.id, id);
  same(await t.askOne(socket, "state"), { id: socket.id, recovered: false, rooms: [socket.id], data: {} });
}

module.exports = {
  async "recovers-after-a-cut"(t) {
    const watching = await watcher(t);
    const [red, blue] = [unique("red"), unique("blue")];
    const client = await member(t);
    const { socket, news, id } = client;
    assert.equal(socket.recovered, false);
    await t.ask(socket, "join", [red]);
    await t.ask(socket, "remember", "name", { first: "Zoë", parts: [1, null] });
    await t.ask(watching, "tell", plan("before"));
    await t.ask(socket, "state");
    same(news.splice(0), ["before"]);

    assert.match(await lose(t, client, watching, t.params.cut), /^transport (close|error)$/);
    await t.ask(watching, "tell", [
      { value: "to all" },
      { to: [red], value: Buffer.from("to red") },
      { to: [blue], value: "not to blue" },
      { to: [blue, red], value: { nested: [Buffer.from("to both"), Buffer.alloc(0)] } },
      { except: [red], value: "not to red" },
      { to: [red], except: [blue], value: "to red but blue" },
      { to: [red], except: [id], value: "not to this one" },
      { volatile: true, value: "too late" },
      { to: [id], value: "to its own room" },
    ]);
    await t.ask(watching, "tell others", "to the others");
    await t.ask(watching, "tell", Array.from({ length: 50 }, (_, i) => ({ value: i })));

    await comeBack(t, client);
    await recovered(t, client, [red], { name: { first: "Zoë", parts: [1, null] } });
    same(news.splice(0), [
      "to all",
      Buffer.from("to red"),
      { nested: [Buffer.from("to both"), Buffer.alloc(0)] },
      "to red but blue",
      "to its own room",
      "to the others",
      ...Array.from({ length: 50 }, (_, i) => i),
    ]);

    await t.ask(watching, "tell", [{ to: [red], value: "goes on" }, { to: [id], value: "and on" }]);
    await t.ask(socket, "tell myself", "by itself");
    same(news, ["goes on", "and on", "by itself"]);
  },

  async "recovers-again-and-again"(t) {
    const watching = await watcher(t);
    const client = await member(t);
    const rooms = [];
    await t.ask(watching, "tell", plan("first"));
    for (let round = 0; round < 3; round++) {
      rooms.push(unique("room"));
      await t.ask(client.socket, "join", rooms.slice(-1));
      await lose(t, client, watching, round % 2 ? "cut" : "reset");
      await t.ask(watching, "tell", [{ to: rooms.slice(-1), value: round }, { to: rooms.slice(0, 1), value: "again" }]);
      await comeBack(t, client);
      await recovered(t, client, rooms);
    }
    same(client.news, ["first", 0, "again", 1, "again", 2, "again"]);
  },

  /* What the server has sent and the client never got is missed too. */
  async "recovers-what-was-sent-into-the-void"(t) {
    const watching = await watcher(t);
    const client = await member(t);
    await t.ask(watching, "tell", plan("arrives"));
    await quiet(t, client.socket);
    await t.act("hold");
    await t.ask(watching, "tell", plan("lost", Buffer.from("lost too")));
    await lose(t, client, watching, "cut at once");
    await t.ask(watching, "tell", plan("missed"));
    await t.act("release");
    await comeBack(t, client);
    await recovered(t, client);
    same(client.news, ["arrives", "lost", Buffer.from("lost too"), "missed"]);
  },

  /* Node's server recovers nobody who never got an event, for want of an offset. */
  async "recovers-who-never-got-an-event"(t) {
    const watching = await watcher(t);
    const client = await member(t);
    await lose(t, client, watching);
    await t.ask(watching, "tell", plan("missed"));
    await comeBack(t, client);
    if (t.params.reference) {
      await anew(t, client.socket, client.id);
    } else {
      await recovered(t, client);
      same(client.news, ["missed"]);
    }
  },

  async "recovers-from-silence"(t) {
    const watching = await watcher(t);
    const client = await member(t);
    await t.ask(watching, "tell", plan("before"));
    await quiet(t, client.socket);
    const gone = t.next(client.socket, "disconnect");
    await t.act("hold");
    assert.equal((await gone)[0], "ping timeout");
    await unknown(t, watching, client.id);
    await t.ask(watching, "tell", plan("missed"));
    await t.act("cut at once");
    await t.act("release");
    await comeBack(t, client);
    await recovered(t, client);
    same(client.news, ["before", "missed"]);
  },

  /* By itself, while the server takes no connections at first, and with what the client wanted to say meanwhile. */
  async "recovers-by-itself"(t) {
    const watching = await watcher(t);
    const options = { reconnection: true, reconnectionDelay: 30, reconnectionDelayMax: 60 };
    const client = await member(t, options);
    const { socket, name } = client;
    await t.ask(watching, "tell", plan("before"));
    await quiet(t, socket);
    const [failed, back] = [t.next(socket.io, "reconnect_error"), t.next(socket, "connect")];
    await t.act("refuse");
    await lose(t, client, watching, "cut at once");
    const answers = Promise.all([1, 2, 3].map(() => t.askOne(socket, "say", name)));
    await t.ask(watching, "tell", plan("missed"));
    await failed;
    await t.act("accept");
    await back;
    await t.settled(socket);
    await recovered(t, client);
    same(await answers, [1, 2, 3]);
    same(client.news, ["before", "missed"]);
  },

  async "every-namespace-recovers"(t) {
    const watching = await watcher(t);
    const client = await member(t);
    const chat = await t.connect("/chat", { on: client.socket });
    const announced = [];
    chat.on("announced", (value) => announced.push(value));
    chat.emit("announce", "before");
    await t.flushed(chat);
    const chatId = chat.id;
    await t.ask(watching, "tell", plan("before"));
    await lose(t, client, watching);
    await t.ask(watching, "tell", plan("missed"));
    const other = t.io(`${t.params.direct}/chat`, { forceNew: true, reconnection: false, transports: ["websocket"] });
    t.aside(other);
    await t.connected(other);
    other.emit("announce", "missed in the chat");
    await t.flushed(other);
    const back = t.next(chat, "connect");
    await comeBack(t, client);
    if (!chat.active) chat.connect();
    if (!chat.connected) await back;
    await recovered(t, client);
    assert.equal(chat.recovered, true);
    assert.equal(chat.id, chatId);
    await t.flushed(chat);
    same([client.news, announced], [["before", "missed"], ["before", "missed in the chat"]]);
  },

  async "too-late-to-recover"(t) {
    const watching = await watcher(t);
    const client = await member(t);
    await t.ask(client.socket, "join", [unique("room")]);
    await t.ask(client.socket, "remember", "a", 1);
    await t.ask(watching, "tell", plan("before"));
    await lose(t, client, watching);
    await t.ask(watching, "tell", plan("missed"));
    await t.delay(t.params.ms);
    await comeBack(t, client);
    await anew(t, client.socket, client.id);
    same(client.news, ["before"]);
  },

  /* The packets that it missed are no longer there: whoever got a part only would not know. */
  async "too-much-to-recover"(t) {
    const watching = await watcher(t);
    const client = await member(t);
    await t.ask(watching, "tell", plan("before"));
    await lose(t, client, watching);
    await t.ask(watching, "tell", plan(...t.params.recoverable));
    await comeBack(t, client);
    await recovered(t, client);
    same(client.news.splice(0), ["before", ...t.params.recoverable]);
    await lose(t, client, watching);
    await t.ask(watching, "tell", plan(...t.params.unrecoverable));
    await comeBack(t, client);
    await anew(t, client.socket, client.id);
    same(client.news, []);
  },

  async "nothing-to-recover"(t) {
    const watching = await watcher(t);
    const client = await member(t);
    await t.ask(watching, "tell", plan("before"));
    await t.ask(client.socket, "state");
    const offset = client.socket._lastOffset;
    const alive = client.socket._pid;
    assert.equal(typeof alive, "string");
    assert.equal(typeof offset, "string");
    const strange = [
      { pid: "unknown", offset },
      { pid: alive, offset }, // of a client that is still here
      { pid: "", offset: "" },
      { pid: 5, offset: {} },
      { pid: null, offset: null },
      { pid: [alive], offset: [offset] },
      { pid: "\ud83e", offset: "\u0000" },
      { offset },
    ];
    for (const auth of strange) await anew(t, await t.connect("/recovery", { auth }), client.id);
    same(await t.askOne(client.socket, "say", client.name), 1);
  },

  async "lost-and-of-no-known-offset"(t) {
    const watching = await watcher(t);
    for (const offset of ["unknown", "", "ffffffff", "\ud83e", "0".repeat(5000)]) {
      const client = await member(t);
      await t.ask(watching, "tell", plan("before"));
      await t.ask(client.socket, "state");
      await lose(t, client, watching);
      client.socket._lastOffset = offset;
      await comeBack(t, client);
      await anew(t, client.socket, client.id);
      same(client.news, ["before"]);
    }
  },

  /* Of all who come with a secret after a loss one recovers; Node's server lets it be used again. */
  async "a-secret-is-used-once"(t) {
    const watching = await watcher(t);
    const client = await member(t);
    await t.ask(watching, "tell", plan("before"));
    await t.ask(client.socket, "state");
    const [pid, offset] = [client.socket._pid, client.socket._lastOffset];
    await lose(t, client, watching);
    await t.ask(watching, "tell", plan("missed"));
    await comeBack(t, client);
    await recovered(t, client);
    const thief = t.open("/recovery", { auth: { pid, offset } });
    thief.on("news", () => assert.fail("news for somebody else"));
    await t.connected(thief);
    await anew(t, thief, client.id);
    same(await t.askOne(client.socket, "say", client.name), 1);

    const fresh = { pid: client.socket._pid, offset: client.socket._lastOffset };
    await lose(t, client, watching);
    const both = [0, 1].map(() => t.open("/recovery", { auth: fresh }));
    await Promise.all(both.map((socket) => t.connected(socket)));
    const states = await Promise.all(both.map((socket) => t.askOne(socket, "state")));
    same(states.map((state) => state.recovered).sort(), [false, true]);
    same(states.map((state) => state.id === client.id).sort(), [false, true]);
  },

  async "who-leaves-does-not-recover"(t) {
    const watching = await watcher(t);
    const client = await member(t);
    await t.ask(watching, "tell", plan("before"));
    await quiet(t, client.socket);
    client.socket.disconnect();
    await unknown(t, watching, client.id);
    await t.ask(watching, "tell", plan("missed"));
    await comeBack(t, client);
    await anew(t, client.socket, client.id);
    const id = client.socket.id;
    const gone = t.next(client.socket, "disconnect");
    client.socket.emit("kick");
    assert.equal((await gone)[0], "io server disconnect");
    await t.ask(watching, "tell", plan("missed too"));
    await comeBack(t, client);
    await anew(t, client.socket, id);
    same(client.news, ["before"]);
  },

  /* `asked` is how often the middleware is asked, about the first time and about the return. */
  async "the-middleware-and-recovery"(t) {
    const watching = await watcher(t);
    const client = await member(t);
    await t.ask(watching, "tell", plan("before"));
    await lose(t, client, watching);
    await t.ask(watching, "tell", plan("missed"));
    await comeBack(t, client);
    await recovered(t, client);
    same(client.news, ["before", "missed"]);
    same(await t.askOne(watching, "asked of", client.name), t.params.asked);
  },

  /* Who is refused on return gets nothing of what was missed; Node's server has sent it by then. */
  async "refused-on-return"(t) {
    const watching = await watcher(t);
    const client = await member(t);
    await t.ask(watching, "tell", plan("before"));
    await t.ask(client.socket, "state");
    await lose(t, client, watching);
    await t.ask(watching, "tell", plan("secret"));
    client.socket.auth = { name: client.name, unwelcome: true };
    client.socket.on("connect", () => assert.fail("a refused client connected"));
    const wire = [];
    client.socket.io.once("open", () => client.socket.io.engine.on("packet", ({ data }) => wire.push(String(data))));
    const refused = t.next(client.socket, "connect_error");
    client.socket.connect();
    assert.equal((await refused)[0].message, "not any more");
    assert.equal(wire.some((data) => data.includes("secret")), t.params.reference);
    same(await t.askOne(watching, "is here", client.id), false);
  },

  /*
   * Older clients are served as ever. The server cannot tell 3.x, which knows nothing of it, from 4.x: it gives both the
   * offset of each event behind the arguments. Node's server gives it to 1.x and 2.x too.
   */
  async "older-clients-and-recovery"(t) {
    const socket = await t.connect("/chat");
    const announced = t.next(socket, "announced");
    socket.emit("announce", 1, "two");
    const args = await announced;
    same(args.slice(0, 2), [1, "two"]);
    assert.equal(args.length, t.modern || t.params.reference ? 3 : 2);
    same(await t.askOne(socket, "where"), "/chat");
  },
};
