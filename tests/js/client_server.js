/*
 * What the tests of a client meet: Node's own server, of 4.x or of 2.x, that does what it is asked for by events.
 *
 * Usage: client_server.js <4 | 2> <port, 0 for a free one> [--options JSON] [--record FILE]
 *
 * The options are those of the server, with "parser": "msgpack" for the official one, and of TLS: paths as "key",
 * "cert", and "ca" to ask clients for a certificate. Prints {"port": n} once it listens; ends with its standard input,
 * by SIGTERM (clients are told) or by SIGKILL. The events are in client_server_events.js, what concerns HTTP and TCP in
 * client_server_wire.js.
 */
"use strict";

const { readFileSync } = require("node:fs");
const http = require("node:http");
const https = require("node:https");
const { parseArgs } = require("node:util");
const { Book, addEvents } = require("./client_server_events.js");
const { Wire } = require("./client_server_wire.js");

const PORT_PATIENCE = 3000; // ms in which a port that is still taken may become free: the server is restarted on it

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { options: { type: "string", default: "{}" }, record: { type: "string" } },
});
const [generation, port] = positionals.map(Number);
const modern = generation === 4;
const { key, cert, ca, parser, ...options } = JSON.parse(flags.options);
if (parser === "msgpack") options.parser = require(modern ? "msgpack-parser3" : "msgpack-parser2");
else if (parser !== undefined) throw new Error(`no parser ${parser}`);

function listener(request, response) {
  response.writeHead(404).end();
}

function createHttpServer() {
  if (cert === undefined) return http.createServer(listener);
  const files = { key: readFileSync(key), cert: readFileSync(cert) };
  return https.createServer(
    ca === undefined ? files : { ...files, ca: readFileSync(ca), requestCert: true },
    listener,
  );
}

/* What a client shows to be let in: 2.x knows the query only. */
function credentials({ handshake }) {
  return modern ? handshake.auth : handshake.query;
}

function refusal(message, data) {
  return Object.assign(new Error(message), data === undefined ? {} : { data });
}

const DOORS = {
  "/admin": (socket, next) =>
    next(credentials(socket).token === "secret" ? undefined : refusal("not authorized", { code: 1 })),
  "/refused": (socket, next) => next(refusal("not today")),
  "/slow": (socket, next) => void setTimeout(next, Number(credentials(socket).ms) || 300),
  "/early": (socket, next) => {
    socket.emit("early", 1, Buffer.from([1, 2, 3]));
    next();
  },
  "/echo": null,
};

/* The main namespace has no middleware: 2.x would no longer say with the handshake that the client is in. */
function addNamespaces(io, book, events) {
  io.on("connection", (socket) => {
    events(socket);
    if (socket.handshake.query.greet === "1") socket.emit("greeting", 1, { a: "b" }, Buffer.from([1, 2, 3]));
  });
  for (const [path, door] of [...Object.entries(DOORS), [/^\/dynamic-\d+$/, null]]) {
    const namespace = io.of(path);
    namespace.use((socket, next) => {
      book.attempt(socket.nsp.name, credentials(socket));
      next();
    });
    if (door) namespace.use(door);
    namespace.on("connection", events);
  }
}

function listen(httpServer) {
  const until = Date.now() + PORT_PATIENCE;
  httpServer.on("error", (error) => {
    if (error.code !== "EADDRINUSE" || Date.now() > until) throw error;
    setTimeout(() => httpServer.listen(port, "127.0.0.1"), 50);
  });
  httpServer.on("listening", () => process.stdout.write(`${JSON.stringify({ port: httpServer.address().port })}\n`));
  httpServer.listen(port, "127.0.0.1");
}

const { Server } = modern ? require("socket.io") : { Server: require("socket.io-2") };
const httpServer = createHttpServer();
const io = new Server(httpServer, options);
const book = new Book(flags.record);
addNamespaces(io, book, addEvents(modern, book, new Wire(httpServer, io)));
listen(httpServer);

process.on("SIGTERM", () => {
  io.close(() => process.exit(0));
  setTimeout(() => process.exit(0), 300); // 2.x does not wait for connections that are kept alive, but Node does
});
process.stdin.on("end", () => process.exit(0)).resume();
