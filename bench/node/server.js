// The reference: socket.io on Node.js with its default WebSocket engine, `ws`.
"use strict";

const { createServer } = require("node:http");
const { Server } = require("socket.io");

const [port, feature] = process.argv.slice(2);
const options = {
  heartbeats: { pingInterval: 5000 },
  calm: { pingInterval: 600000 },
  recovery: { connectionStateRecovery: {} },
};

const httpServer = createServer();
const io = new Server(httpServer, { serveClient: false, ...options[feature] });

if (feature === "connect-middleware") {
  io.use((socket, next) => next());
}

io.on("connection", (socket) => {
  if (feature === "middleware") {
    socket.use((event, next) => next());
  } else if (feature === "catch-all") {
    socket.onAny(() => {});
  }
  socket.on("echo", (value) => socket.emit("echo", value));
  socket.on("ack", (value, reply) => reply(value));
  socket.on("broadcast", (value) => io.emit("broadcast", value));
  socket.on("room", (name, value) => io.to(name).emit("room", value));
  socket.on("join", (names, reply) => {
    socket.join(names);
    reply();
  });
  socket.on("leave", (names, reply) => {
    for (const name of names) {
      socket.leave(name);
    }
    reply();
  });
  socket.on("item", (item) => socket.emit("item", { count: item.count, text: item.text }));
  // Memory is compared after a full collection on every side (needs --expose-gc).
  socket.on("collect", (reply) => {
    global.gc();
    reply();
  });
});

httpServer.listen({ port: Number(port), host: "127.0.0.1", backlog: 4096 }, () => {
  const version = require("socket.io/package.json").version;
  const ws = require("ws/package.json").version;
  console.log(`ready socket.io ${version}, ws ${ws}, Node.js ${process.version}`);
});
