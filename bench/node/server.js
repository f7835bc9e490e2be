// The reference: socket.io on Node.js with its default WebSocket engine, `ws`.
"use strict";

const { createServer } = require("node:http");
const { Server } = require("socket.io");

const httpServer = createServer();
const io = new Server(httpServer, { serveClient: false });

io.on("connection", (socket) => {
  socket.on("echo", (text) => socket.emit("echo", text));
  socket.on("ack", (text, reply) => reply(text));
  socket.on("broadcast", (text) => io.emit("broadcast", text));
  // Memory is compared after a full collection on every side (needs --expose-gc).
  socket.on("collect", (reply) => {
    global.gc();
    reply();
  });
});

httpServer.listen(Number(process.argv[2]), "127.0.0.1", () => {
  const version = require("socket.io/package.json").version;
  const ws = require("ws/package.json").version;
  console.log(`ready socket.io ${version}, ws ${ws}, Node.js ${process.version}`);
});
