/* The twin of tests/support/edges.py on Node's own server. */
"use strict";

const { setTimeout: delay } = require("node:timers/promises");

const ODD_NAMES = [
  "__proto__",
  "constructor",
  "hasOwnProperty",
  "toString",
  "",
  "a b",
  "\u2028 \u2029",
  "\u0000",
  "🦊",
  '"\\',
  7,
];

function counter() {
  const counts = new Map();
  return { add: (key) => counts.set(key, (counts.get(key) || 0) + 1), of: (key) => counts.get(key) || 0 };
}

function refused() {
  return new Error("not in here");
}

function said(socket) {
  return { ...socket.handshake.query, ...socket.handshake.auth };
}

async function ask(operator) {
  const started = Date.now();
  const took = () => (Date.now() - started) / 1000;
  try {
    return [false, await operator.emitWithAck("vote"), took()];
  } catch (error) {
    return [true, error.responses, took()];
  }
}

function selections(edges, socket) {
  socket.on("join", (rooms, ack) => ack(socket.join(rooms)));
  socket.on("say", (rooms, text) => {
    let target = edges.to(rooms);
    for (const room of rooms) target = target.to(room);
    target.emit("said", text);
  });
  socket.on("keep an operator", (one, other) => {
    const kept = edges.to(one);
    void [kept.to(other), kept.except(one), kept.timeout(1000), kept.volatile, kept.compress(false), kept.local];
    kept.emit("said", "to one");
    kept.to(other).emit("said", "to both");
    kept.except(one).emit("said", "to nobody");
    kept.emit("said", "to one again");
  });
}

function acks(edges, socket) {
  socket.on("ask a room", async (room, seconds, ack) => ack(...(await ask(edges.to(room).timeout(seconds * 1000)))));
  socket.on("ask a room without a limit", async (room, ack) => ack(...(await ask(edges.to(room)))));
  socket.on("ask without patience", () => {
    socket.timeout(0).emit("vote", (error) => socket.emit("timed out", error !== null));
  });
}

function rest(socket, handled) {
  socket.on("burst", (plan) => {
    for (const [kind, value] of plan) (kind === "volatile" ? socket.volatile : socket).emit("burst", value);
  });
  for (const name of ODD_NAMES) socket.on(name, (...args) => socket.emit(name, ...args));
  socket.on("echo", (...args) => args.pop()(...args));
  socket.on("leave and join", (room) => {
    socket.disconnect();
    socket.join(room);
  });
  socket.on("count for", (name) => handled.add(name));
  socket.on("counted for", (name, ack) => ack(handled.of(name)));
  socket.on("leave by name", (name) => {
    handled.add(name);
    socket.disconnect(true);
  });
}

function door(namespace) {
  const connections = counter();
  namespace.use(async (socket, next) => {
    const { room, ms = 1, unwelcome } = said(socket);
    socket.join(room);
    socket.emit("in the middleware", socket.connected);
    await delay(Number(ms));
    next(unwelcome ? refused() : undefined);
  });
  namespace.on("connection", (socket) => {
    connections.add(said(socket).room);
    socket.emit("in the handler", socket.connected);
  });
  return connections;
}

function dynamic(io) {
  const first = io.of(/^\/dynamic-\d+$/);
  const second = io.of(/^\/dynamic-1\d+$/);
  first.use(async (socket, next) => {
    await delay(20);
    next(said(socket).unwelcome ? refused() : undefined);
  });
  first.on("connection", (socket) => {
    socket.emit("parent", "first");
    socket.on("here", (ack) => ack(socket.nsp.sockets.size));
  });
  second.on("connection", (socket) => socket.emit("parent", "second"));
  return first;
}

module.exports = function addEdges(io) {
  const edges = io.of("/edges");
  const handled = counter();
  const connections = door(io.of("/door"));
  const parent = dynamic(io);
  edges.on("connection", (socket) => {
    selections(edges, socket);
    acks(edges, socket);
    rest(socket, handled);
    socket.on("connections of", (name, ack) => ack(connections.of(name)));
    socket.on("who", async (namespace, room, ack) => ack((await io.of(namespace).in(room).fetchSockets()).length));
    socket.on("make by hand", (name, ack) => ack(void io.of(name)));
    socket.on("is there", (name, ack) => ack(io._nsps.has(name)));
    socket.on("say to all children", (text) => parent.emit("said", text));
    socket.on("ask the parent", async (ack) => ack(await failing(() => parent.fetchSockets())));
  });
};

async function failing(action) {
  try {
    await action();
  } catch {
    return true;
  }
  return false;
}
