/*
 * What clients can ask the server of client_server.js for, in any namespace: an event each.
 *
 * "ack" is the callback of an acknowledgement; where it says [ack], the event may come without.
 */
"use strict";

const { appendFileSync, existsSync, readFileSync } = require("node:fs");
const { silence, writeRaw } = require("./client_server_wire.js");

/* What the process remembers of its clients, and beyond its own end in a file. */
class Book {
  constructor(file) {
    this.file = file;
    const lines = file && existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : [];
    this.recorded = lines.map((line) => JSON.parse(line));
    this.attempts = new Map();
    this.times = new Map();
    this.ends = new Map();
  }

  record(value) {
    this.recorded.push(value);
    if (this.file) appendFileSync(this.file, `${JSON.stringify(value)}\n`);
  }

  attempt(namespace, credentials) {
    this.attempts.set(namespace, [...(this.attempts.get(namespace) || []), { ...credentials }]);
  }

  /* Count, and tell how often it was so far. */
  again(key) {
    this.times.set(key, (this.times.get(key) || 0) + 1);
    return this.times.get(key);
  }

  /* Give the promise of a socket's end, and the function that keeps it. */
  end(id) {
    if (!this.ends.has(id)) {
      const end = {};
      end.promise = new Promise((resolve) => (end.resolve = resolve));
      this.ends.set(id, end);
    }
    return this.ends.get(id);
  }
}

function giveBack(socket, event, args) {
  const ack = args.at(-1);
  if (typeof ack === "function") ack(...args.slice(0, -1));
  else socket.emit(event, ...args);
}

function withAck(args) {
  return typeof args.at(-1) === "function" ? [args.slice(0, -1), args.at(-1)] : [args, () => {}];
}

const DATA = {
  /* ...args, [ack]: the same arguments as the event "echo", or as the acknowledgement */
  echo: (socket, ...args) => giveBack(socket, "echo", args),
  binary: (socket, ...args) => giveBack(socket, "binary", args),
  7: (socket, ...args) => giveBack(socket, 7, args),
  /* event, ...args: emits that event with an acknowledgement, and then "answered" with the client's answer */
  ask: (socket, event, ...args) =>
    socket.emit(event, ...args, (...answer) => socket.emit("answered", ...answer)),
  /* n, bytes, [binary]: n times "flood" with its number from 0 on and that many characters, or bytes */
  flood(socket, n, bytes, binary) {
    for (let i = 0; i < n; i++) socket.emit("flood", i, binary === true ? Buffer.alloc(bytes, i) : "x".repeat(bytes));
  },
};

const ACKS = {
  never() {},
  /* ms, ...args, ack: the same arguments, but later */
  late: (socket, ms, ...args) => void setTimeout(() => args.pop()(...args), ms),
  twice(socket, ack) {
    ack("first");
    ack("second");
  },
};

function endings(wire) {
  return {
    bye: (socket) => socket.disconnect(),
    "bye all": (socket) => socket.disconnect(true),
    /* closes the connection by a packet of Engine.IO, or by the close frame with this code */
    close(socket, code) {
      if (Number.isInteger(code)) socket.conn.transport.socket.close(code);
      else socket.conn.close();
    },
    /* [reset]: by FIN, or by RST where that is true */
    drop: (socket, reset) => wire.drop(socket.conn, reset === true),
    /* ms, [ack]: acknowledges, and then nothing is written for that long */
    silence(socket, ms, ack) {
      if (ack) ack();
      silence(socket.conn, ms);
    },
    /* { message } is sent in a message of Engine.IO, { raw } without even that; a text is a message */
    garbage(socket, what) {
      const { message, raw } = typeof what === "string" ? { message: what } : what;
      if (message !== undefined) socket.conn.write(message);
      else writeRaw(socket.conn.transport, raw);
    },
  };
}

function enquiries(wire) {
  return {
    handshake(socket, ack) {
      const { query, auth = null, headers, address, secure, url } = socket.handshake;
      const { id, protocol = 3, transport } = socket.conn;
      ack({
        ...{ id: socket.id, namespace: socket.nsp.name, recovered: socket.recovered === true },
        ...{ query, auth, headers, address, secure, url },
        ...{ engineId: id, transport: transport.name, protocol },
        ...{ subprotocol: transport.socket?.protocol || null, extensions: transport.socket?.extensions || "" },
        requests: wire.requests(socket.conn),
      });
    },
    transport: (socket, ack) => ack(socket.conn.transport.name),
    "upgrade?": ({ conn: { transport, upgrading, upgraded } }, ack) =>
      ack({ transport: transport.name, upgrading, upgraded }),
  };
}

function records(book) {
  return {
    /* key, n, ack: acknowledges from the (n+1)th time on that the key comes, with how many times it came */
    "fail n times"(socket, key, n, ack) {
      const times = book.again(key);
      if (times > n) ack(times);
    },
    /* n, [ack]: keeps n, and acknowledges it */
    record(socket, n, ack) {
      book.record(n);
      if (ack) ack(n);
    },
    recorded: (socket, ack) => ack(book.recorded),
    /* namespace, ack: what each client that knocked there has shown: auth, of 2.x the query */
    attempts: (socket, namespace, ack) => ack(book.attempts.get(namespace) || []),
    /* id, ack: acknowledges with the reason once the socket with that id is gone */
    gone: async (socket, id, ack) => ack(await book.end(id).promise),
  };
}

function rooms(modern) {
  const roomsOf = ({ id, rooms }) => (modern ? [...rooms] : Object.keys(rooms)).filter((room) => room !== id).sort();
  const move = (socket, way, room) =>
    modern ? socket[way](room) : new Promise((resolve) => socket[way](room, resolve));
  return {
    rooms: (socket, ack) => ack(roomsOf(socket)),
    async join(socket, room, ack) {
      await move(socket, "join", room);
      if (ack) ack(roomsOf(socket));
    },
    async leave(socket, room, ack) {
      await move(socket, "leave", room);
      if (ack) ack(roomsOf(socket));
    },
    /* room, event, ...args, [ack]: emits to the room, the sender included if it is in there */
    "room emit"(socket, ...all) {
      const [[room, event, ...args], ack] = withAck(all);
      socket.nsp.to(room).emit(event, ...args);
      ack();
    },
    /* event, ...args, [ack]: emits to everybody in the namespace, or to everybody else */
    "emit to all"(socket, ...all) {
      const [[event, ...args], ack] = withAck(all);
      socket.nsp.emit(event, ...args);
      ack();
    },
    broadcast(socket, ...all) {
      const [[event, ...args], ack] = withAck(all);
      socket.broadcast.emit(event, ...args);
      ack();
    },
    /* ms, event, ...args: emits to the sender after a while, wherever it is then */
    later: (socket, ms, event, ...args) => void setTimeout(() => socket.nsp.to(socket.id).emit(event, ...args), ms),
  };
}

/* Give the function that makes a socket answer to all of them. */
function addEvents(modern, book, wire) {
  const events = Object.entries({
    ...DATA,
    ...ACKS,
    ...endings(wire),
    ...enquiries(wire),
    ...records(book),
    ...rooms(modern),
  });
  return (socket) => {
    for (const [event, handler] of events) socket.on(event, (...args) => handler(socket, ...args));
    socket.on("disconnect", (reason) => book.end(socket.id).resolve(reason));
  };
}

module.exports = { Book, addEvents };
