/* Heartbeats, silence, and coming back. `say` reports progress to the test, which acts on the server meanwhile. */
"use strict";

const assert = require("node:assert/strict");
const { same } = require("../session.js");

const RECONNECT = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 150, randomizationFactor: 0.5 };

async function alive(t, socket) {
  same(await t.ask(socket, "give back", "alive", Buffer.from("!")), ["alive", Buffer.from("!")]);
}

/* Count the heartbeats of a connection: old clients send the ping and get the pong, new ones the reverse. */
function heartbeats(t, socket) {
  const counted = { n: 0 };
  socket.io.engine.on("packet", ({ type }) => {
    if (type === (t.modern ? "ping" : "pong")) counted.n += 1;
  });
  return counted;
}

module.exports = {
  /* Stay longer than the server would keep a silent client. */
  async "stays-alive"(t) {
    const socket = await t.connect();
    const counted = heartbeats(t, socket);
    let lost = null;
    socket.on("disconnect", (reason) => (lost = reason));
    await t.delay(t.params.ms);
    assert.equal(lost, null);
    assert.ok(counted.n >= t.params.beats, `${counted.n} heartbeats`);
    await alive(t, socket);
  },

  async "dropped-when-silent"(t) {
    const socket = await t.connect();
    const id = await t.askOne(socket, "whoami");
    const reason = t.next(socket, "disconnect");
    const engine = socket.io.engine;
    engine.sendPacket = engine._sendPacket = () => {};
    // A client that misses the heartbeats gives up too, about when the server does; here the server has to.
    const timers = ["pingIntervalTimer", "pingTimeoutTimer", "_pingTimeoutTimer"];
    const hush = setInterval(() => timers.forEach((timer) => clearTimeout(engine[timer])), 5);
    const started = Date.now();
    const report = await t.report(id).finally(() => clearInterval(hush));
    assert.equal(report.reason, "ping timeout");
    const took = Date.now() - started;
    assert.ok(took >= t.params.atLeast && took <= t.params.atMost, `dropped after ${took} ms`);
    assert.match((await reason)[0], /^transport (close|error)$/);
  },

  async "comes-back"(t) {
    const socket = await t.connect("/", RECONNECT);
    const chat = await t.connect("/chat", { on: socket });
    const before = await t.askOne(socket, "whoami");
    const reasons = [t.next(socket, "disconnect", 20000), t.next(chat, "disconnect", 20000)];
    const back = [t.next(socket, "connect", 20000), t.next(chat, "connect", 20000)];
    const reconnected = t.next(t.modern ? socket.io : socket, "reconnect", 20000);
    t.say("ready", before);
    for (const [reason] of await Promise.all(reasons)) assert.match(reason, new RegExp(t.params.reason));
    await Promise.all(back);
    await reconnected;
    await t.settled(socket);
    assert.notEqual(await t.askOne(socket, "whoami"), before);
    await alive(t, socket);
    same(await t.askOne(chat, "where"), "/chat");
  },

  /* The server says goodbye: the reason is the test's to read from the server. */
  async "server-shuts-down"(t) {
    const socket = await t.connect();
    const id = await t.askOne(socket, "whoami");
    const reason = t.next(socket, "disconnect", 20000);
    t.say("ready", id);
    t.say("lost", (await reason)[0]);
  },

  async "comes-back-to-the-same-server"(t) {
    const socket = await t.connect("/", RECONNECT);
    const before = await t.askOne(socket, "whoami");
    const [back, reason] = [t.next(socket, "connect"), t.next(socket, "disconnect")];
    const transport = socket.io.engine.transport;
    if (transport.ws) transport.ws.close();
    else transport.onError("test", new Error("cut"));
    assert.match((await reason)[0], /^transport (close|error)$/);
    await back;
    await t.settled(socket);
    assert.notEqual(await t.askOne(socket, "whoami"), before);
    await alive(t, socket);
  },

  async "stays-for-a-while"(t) {
    const socket = await t.connect();
    await t.flushed(socket);
    await t.delay(50);
    await t.act("look");
    await alive(t, socket);
  },

  /* Give up once, come back when told to, and hear everything once, as before. */
  async "gives-up-and-comes-back"(t) {
    const socket = await t.connect("/", { ...RECONNECT, reconnectionAttempts: 2 });
    const heard = [];
    socket.on("echo", (value) => heard.push(value));
    let failures = 0;
    const manager = t.modern ? socket.io : socket;
    const failed = t.next(manager, "reconnect_failed", 20000);
    manager.on("reconnect_failed", () => (failures += 1));
    await t.act("stop");
    await failed;
    await t.act("start");
    await t.delay(200);
    assert.equal(failures, 1);
    const back = t.next(socket, "connect");
    if (t.modern) socket.connect();
    else socket.io.connect();
    await back;
    await t.settled(socket);
    socket.emit("echo", "once");
    await t.flushed(socket);
    same(heard, ["once"]);
  },
};
