/* Several generations of the client in one room, and servers that do not take everyone. */
"use strict";

const assert = require("node:assert/strict");
const { same } = require("../session.js");

module.exports = {
  /* Each member of the room tells all of them something; one asks all of them. The asking ends it. */
  async "in-company"(t) {
    const { room, name, members, asks, text } = t.params;
    const socket = await t.connect();
    const said = t.collect(socket, "said", members.length, 20000);
    const vote = t.next(socket, "vote", 20000);
    await t.ask(socket, "join", room);
    await full(t, socket, room, members);
    socket.emit("say", [room], [], name, { text, parts: [Buffer.from([0, 4, 255]), Buffer.alloc(0)] });
    const heard = new Map(await said);
    same([...heard.keys()].sort(), members);
    for (const value of heard.values()) {
      same(value, { text, parts: [Buffer.from([0, 4, 255]), Buffer.alloc(0)] });
    }
    await t.ask(socket, "join", `${room}, all heard`);
    const answers = asks ? askAll(t, socket, `${room}, all heard`, members) : null;
    const [ack] = await vote;
    ack(name);
    if (asks) same(await answers, members);
    await t.flushed(socket);
  },

  async "cannot-connect"(t) {
    const socket = t.open();
    socket.on("connect", () => assert.fail("connected"));
    await t.next(socket, "connect_error");
    assert.equal(socket.connected, false);
  },

  async "stays-on-polling"(t) {
    const socket = await t.connect("/", { early: true });
    socket.io.engine.on("upgrade", () => assert.fail("upgraded"));
    await t.delay(200);
    same(await t.ask(socket, "give back", "alive"), ["alive"]);
    assert.equal(socket.io.engine.transport.name, "polling");
    socket.disconnect();
  },
};

async function full(t, socket, room, members) {
  for (let i = 0; i < 300; i++) {
    if ((await t.askOne(socket, "who", room)).length === members.length) return;
    await t.delay(30);
  }
  throw new Error(`${room} never filled`);
}

async function askAll(t, socket, room, members) {
  await full(t, socket, room, members);
  return t.askOne(socket, "poll", room);
}
