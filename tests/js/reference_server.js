/*
 * The application of tests/support/app.py on Node's own server.
 *
 * The scenarios of the official clients are checked against it: one that fails here asks for something that the
 * reference does not do. Usage: reference_server.js '{"port": 0, "pingInterval": 25000}'; prints "listening <port>".
 */
"use strict";

const http = require("node:http");
const { setTimeout: delay } = require("node:timers/promises");
const { Server } = require("socket.io");

const { port = 0, ...options } = JSON.parse(process.argv[2] || "{}");
if (options.parser) options.parser = require(options.parser);
const httpServer = http.createServer();
const io = new Server(httpServer, { allowEIO3: true, ...options });

const reports = new Map();

function report(id) {
  if (!reports.has(id)) {
    const entry = {};
    entry.promise = new Promise((resolve) => (entry.resolve = resolve));
    reports.set(id, entry);
  }
  return reports.get(id);
}

function refused(message, data) {
  return Object.assign(new Error(message), data === undefined ? {} : { data });
}

function roomsOf(socket) {
  return [...socket.rooms].filter((room) => room !== socket.id).sort();
}

function describe(value) {
  if (Buffer.isBuffer(value)) return `bytes ${value.length}`;
  if (Array.isArray(value)) return value.map(describe);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, describe(item)]));
  }
  return value === null ? "null" : typeof value;
}

function select(target, rooms, excepted) {
  let operator = target;
  for (const room of rooms) operator = operator.to(room);
  for (const room of excepted) operator = operator.except(room);
  return operator;
}

function basics(socket) {
  let rooms = [];
  socket.on("disconnecting", () => (rooms = roomsOf(socket)));
  socket.on("disconnect", (reason) => {
    report(socket.id).resolve({ reason, rooms, left: roomsOf(socket) });
    process.stdout.write(`gone ${socket.id} ${reason}\n`);
  });
  socket.on("whoami", (ack) => ack(socket.id));
  socket.on("where", (ack) => ack(socket.nsp.name));
  socket.on("echo", (...args) => socket.emit("echo", ...args));
  socket.on("handshake", (ack) => {
    const { query, auth, headers, secure } = socket.handshake;
    ack({ query, auth, secure, header: headers["x-test"] });
  });
  socket.on("announce", (...args) => socket.nsp.emit("announced", ...args));
}

function data(socket) {
  const counted = [];
  socket.on("describe", (...args) => args.pop()(args.map(describe)));
  socket.on("code points", (text, ack) => ack(Array.from(text, (character) => character.codePointAt(0))));
  socket.on("from code points", (numbers, ack) => ack(String.fromCodePoint(...numbers)));
  socket.on("message", (...args) => socket.send(...args));
  socket.on("count", (number) => counted.push(number));
  socket.on("counted", (ack) => ack(counted));
  socket.on("many", (n) => {
    for (let i = 0; i < n; i++) socket.emit("many", i, i % 50 === 0 ? Buffer.from([i % 256]) : "x".repeat(i));
  });
  socket.on("ticks", async (n, ms) => {
    for (let i = 0; i < n; i++) {
      socket.emit("tick", i);
      await delay(ms);
    }
  });
}

function acks(socket) {
  socket.on("give back", (...args) => args.pop()(...args));
  socket.on("nothing", (ack) => ack());
  socket.on("late", async (ms, value, ack) => {
    await delay(ms);
    ack(value);
  });
  socket.on("twice", (ack) => {
    ack("first");
    ack("second");
  });
  socket.on("with or without", (ack) => socket.emit("asked for an answer", typeof ack === "function"));
  socket.on("ask", async (...question) => {
    socket.emit("answered", await socket.timeout(5000).emitWithAck("question", ...question));
  });
  socket.on("ask with callback", (...question) => {
    socket.emit("question", ...question, (...answer) => socket.emit("answered", ...answer));
  });
  socket.on("ask in vain", async () => {
    try {
      await socket.timeout(100).emitWithAck("question");
    } catch (error) {
      socket.emit("unanswered");
    }
  });
  socket.on("poll", async (room, ack) => {
    ack((await io.to(room).timeout(2000).emitWithAck("vote")).sort());
  });
  socket.on("poll in vain", (room, ack) => {
    io.to(room).timeout(600).emit("vote", (error, responses) => ack(error !== null, responses));
  });
}

function rooms(socket) {
  socket.on("join", (names, ack) => {
    socket.join(names);
    ack(roomsOf(socket));
  });
  socket.on("leave", (name, ack) => {
    socket.leave(name);
    ack(roomsOf(socket));
  });
  socket.on("say", (names, excepted, ...args) => select(io, names, excepted).emit("said", ...args));
  socket.on("say to others", (names, excepted, ...args) => select(socket, names, excepted).emit("said", ...args));
  socket.on("tell everyone", (...args) => io.emit("told", ...args));
  socket.on("tell others", (...args) => socket.broadcast.emit("told", ...args));
  socket.on("who", async (room, ack) => ack((await io.in(room).fetchSockets()).map(({ id }) => id).sort()));
  socket.on("move", (from, to, ack) => {
    io.in(from).socketsJoin(to);
    io.in(from).socketsLeave(from);
    ack();
  });
}

function endings(socket) {
  socket.on("kick", (close) => {
    socket.emit("bye", 1);
    socket.emit("bye", Buffer.from("2"));
    socket.disconnect(close);
  });
  socket.on("close the connection", () => socket.conn.close());
  socket.on("kick room", (room, close) => io.in(room).disconnectSockets(close));
}

io.use((socket, next) => next(socket.handshake.query.refuse ? refused("not today", { retry: false }) : undefined));
io.on("connection", (socket) => {
  for (const part of [basics, data, acks, rooms, endings]) part(socket);
  socket.emit("welcome", socket.handshake.query.name || "stranger");
});

io.of("/chat").on("connection", basics);
io.of("/lobby").on("connection", basics);
io.of(/^\/room-\d+$/).on("connection", basics);
io.of((name, auth, next) => next(null, /^\/tenant-[a-z]+$/.test(name))).on("connection", basics);

const guarded = io.of("/guarded");
guarded.use(async (socket, next) => {
  await delay(5);
  const token = socket.handshake.auth.token || socket.handshake.query.token;
  if (token === "boom") next(refused("Internal server error"));
  else if (token === "plain") next(refused("not authorized"));
  else if (token !== "secret") next(refused("not authorized", { code: 7, hints: ["ask", "wait"] }));
  else next();
});
guarded.on("connection", basics);

require("./reference_edges.js")(io);
require("./reference_recovery.js")(io);

io.of("/observer").on("connection", (socket) => {
  socket.on("report", async (id, ack) => ack(await report(id).promise));
});

httpServer.listen(port, "127.0.0.1", () => process.stdout.write(`listening ${httpServer.address().port}\n`));
process.on("SIGTERM", () => io.close(() => process.exit(0)));
