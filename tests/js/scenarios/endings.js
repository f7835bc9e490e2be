/* How connections end, and what both sides are told of it. */
"use strict";

const assert = require("node:assert/strict");
const { same } = require("../session.js");

/* Each breaks the protocol with one packet. */
const NONSENSE = ["9", "99", '2{"not":"a list"}', "51-x", "2[1", "2[{}]", '2["disconnect"]', '1"x"'];

async function joined(t, options) {
  const socket = await t.connect("/", options);
  const id = await t.askOne(socket, "whoami");
  const room = `room of ${id}`;
  await t.ask(socket, "join", room);
  return { socket, id, room };
}

/* Check what the server noted: the reason, the rooms while disconnecting, and none afterwards. */
async function noted(t, { id, room }, reason) {
  const report = await t.report(id);
  if (reason instanceof RegExp) assert.match(report.reason, reason);
  else assert.equal(report.reason, reason);
  same(report.rooms, [room]);
  same(report.left, []);
}

async function gone(t, socket) {
  const [reason] = await t.next(socket, "disconnect");
  assert.equal(socket.connected, false);
  return reason;
}

module.exports = {
  async "client-disconnects"(t) {
    const client = await joined(t);
    const reason = gone(t, client.socket);
    client.socket.disconnect();
    assert.equal(await reason, "io client disconnect");
    await noted(t, client, "client namespace disconnect");
  },

  async "client-disconnects-at-once"(t) {
    const socket = await t.connect("/", { early: true });
    const id = await t.askOne(socket, "whoami");
    socket.emit("echo", "never heard");
    socket.disconnect();
    assert.equal((await t.report(id)).reason, "client namespace disconnect");
  },

  async "client-closes-transport"(t) {
    const client = await joined(t);
    const chat = await t.connect("/chat", { on: client.socket });
    const chatId = await t.askOne(chat, "whoami");
    const reason = gone(t, client.socket);
    client.socket.io.engine.close();
    assert.equal(await reason, "forced close");
    await noted(t, client, "transport close");
    assert.equal((await t.report(chatId)).reason, "transport close");
  },

  async "server-disconnects-namespace"(t) {
    const client = await joined(t);
    const chat = await t.connect("/chat", { on: client.socket });
    const reason = gone(t, client.socket);
    const byes = t.collect(client.socket, "bye", 2);
    client.socket.emit("kick", false);
    same(await byes, [[1], [Buffer.from("2")]]);
    assert.equal(await reason, "io server disconnect");
    await noted(t, client, "server namespace disconnect");
    const echo = t.next(chat, "echo");
    chat.emit("echo", "the other namespace goes on");
    same(await echo, ["the other namespace goes on"]);
  },

  /* What was emitted before is delivered; a client thrown out does not come back by itself. */
  async "server-disconnects-connection"(t) {
    const client = await joined(t, { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 20 });
    const chat = await t.connect("/chat", { on: client.socket });
    const chatId = await t.askOne(chat, "whoami");
    const reasons = [gone(t, client.socket), gone(t, chat)];
    const closed = t.next(client.socket.io.engine, "close");
    const byes = t.collect(client.socket, "bye", 2);
    client.socket.emit("kick", true);
    same(await byes, [[1], [Buffer.from("2")]]);
    same(await Promise.all(reasons), ["io server disconnect", "io server disconnect"]);
    await noted(t, client, "server namespace disconnect");
    assert.equal((await t.report(chatId)).reason, "server namespace disconnect");
    await closed;
    await t.delay(100);
    assert.equal(client.socket.connected, false);
  },

  async "server-disconnects-room"(t) {
    const [a, b, c] = await Promise.all([joined(t), joined(t), joined(t)]);
    const room = `doomed ${Math.random()}`;
    for (const { socket } of [a, b]) await t.ask(socket, "leave", (socket === a.socket ? a : b).room);
    for (const client of [a, b]) {
      await t.ask(client.socket, "join", room);
      client.room = room;
    }
    const reasons = [gone(t, a.socket), gone(t, b.socket)];
    c.socket.emit("kick room", room, true);
    same(await Promise.all(reasons), ["io server disconnect", "io server disconnect"]);
    await noted(t, a, "server namespace disconnect");
    await noted(t, b, "server namespace disconnect");
    same(await t.ask(c.socket, "give back", "alive"), ["alive"]);
  },

  async "kicked-while-upgrading"(t) {
    const socket = await t.connect("/", { early: true });
    const id = await t.askOne(socket, "whoami");
    const reason = gone(t, socket);
    const byes = t.collect(socket, "bye", 2);
    socket.emit("kick", true);
    same(await byes, [[1], [Buffer.from("2")]]);
    assert.equal(await reason, "io server disconnect");
    assert.equal((await t.report(id)).reason, "server namespace disconnect");
  },

  /* A peer that breaks the protocol loses its own connection, and nothing else happens. */
  async "client-talks-nonsense"(t) {
    for (const nonsense of NONSENSE) {
      const client = await joined(t);
      const reason = gone(t, client.socket);
      client.socket.io.engine.write(nonsense);
      assert.match(await reason, /^transport (close|error)$/, nonsense);
      await noted(t, client, /^(forced close|parse error|forced server close)$/);
    }
    const echo = await t.connect();
    same(await t.ask(echo, "give back", "alive"), ["alive"]);
  },

  /*
   * Each reason that the server can give, but for those of silence and shutdown. A packet that breaks the protocol is a
   * parse error on either floor here; Node's server says "forced close" of those of Socket.IO, and "forced server
   * close" of nothing that a client can do.
   */
  async "every-reason"(t) {
    const broken = t.params.reference ? "forced close" : "parse error";
    const ways = [
      ["client namespace disconnect", ({ socket }) => socket.disconnect()],
      ["server namespace disconnect", ({ socket }) => socket.emit("kick", false)],
      ["transport close", ({ socket }) => socket.io.engine.close()],
      ["forced close", ({ socket }) => socket.emit("close the connection")],
      [broken, ({ socket }) => socket.io.engine.write("9")],
      // Older clients may talk to namespaces that they are not in.
      ...(t.modern ? [[broken, ({ socket }) => socket.io.engine.write('2/nowhere,["x"]')]] : []),
    ];
    for (const [reason, end] of ways) {
      const client = await joined(t);
      const lost = gone(t, client.socket);
      end(client);
      await lost;
      await noted(t, client, reason);
    }
  },
};
