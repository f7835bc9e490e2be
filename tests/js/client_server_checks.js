/*
 * Check with an official client that the server of client_server.js does what the tests of a client rely on.
 *
 * Usage: client_server_checks.js <4 | 2, the generation of both> <url> [name of a check]. If none is named all run side
 * by side, but for "silence", which wants a server with a ping interval and a ping timeout of 400 ms each, and
 * "recovery", which wants one that recovers connections. Each runs over every transport; prints
 * {"<transport> <name>": error or null} when they are over.
 */
"use strict";

const assert = require("node:assert/strict");
const http = require("node:http");
const { Session, same } = require("./session.js");

const [, , generation, url, only] = process.argv;
const modern = generation === "4";
const io = require(modern ? "client4" : "client2");
const TRANSPORTS = ["polling", "websocket", "upgrade"];

function get(path, headers = {}) {
  return new Promise((resolve, reject) => {
    const request = http.get(url + path, { headers });
    request.on("response", (response) => response.resume().on("end", () => resolve(response)));
    request.on("upgrade", (response, socket) => {
      socket.destroy();
      resolve(response);
    });
    request.on("error", reject);
  });
}

/* The reason for which a socket is disconnected. */
async function reason(t, socket) {
  return (await t.next(socket, "disconnect"))[0];
}

/* What a socket that is refused gets: in 2.x the data, or else the message, as an event of its own. */
async function refusal(t, path, options) {
  const socket = t.open(path, options);
  const [error] = await t.next(socket, modern ? "connect_error" : "error");
  return modern ? { message: error.message, data: error.data } : error;
}

const CHECKS = {
  async greeting(t) {
    const socket = t.open("/", { query: { greet: "1" } });
    same(await t.next(socket, "greeting"), [1, { a: "b" }, Buffer.from([1, 2, 3])]);
    const silent = t.open("/");
    silent.once("greeting", () => assert.fail("not asked for"));
    await t.connected(silent);
    await t.ask(silent, "transport");
  },

  async echo(t) {
    const socket = await t.connect("/echo");
    const args = [1, "é", { deep: [Buffer.from([0, 255])] }];
    for (const event of ["echo", "binary"]) {
      const back = t.next(socket, event);
      socket.emit(event, ...args);
      same(await back, args);
      same(await t.ask(socket, event, ...args), args);
    }
  },

  async handshake(t) {
    const extraHeaders = { "x-test": "tested" };
    const socket = await t.connect("/", { query: { a: "b c" }, extraHeaders, auth: { token: "t" } });
    const seen = await t.askOne(socket, "handshake");
    assert.equal(seen.query.a, "b c");
    assert.equal(seen.headers["x-test"], "tested");
    same(seen.auth, modern ? { token: "t" } : null);
    assert.match(seen.address, /127\.0\.0\.1$/);
    assert.equal(seen.secure, false);
    assert.equal(seen.engineId, socket.io.engine.id);
    assert.equal(seen.id, socket.id);
    const settled = t.transport === "polling" ? "polling" : "websocket";
    assert.equal(seen.transport, settled);
    assert.equal(seen.protocol, modern ? 4 : 3);
    assert.equal(await t.askOne(socket, "transport"), settled);
    const { upgraded } = await t.askOne(socket, "upgrade?");
    assert.equal(upgraded, t.transport === "upgrade");
    const { handshake, upgrade, last } = seen.requests;
    assert.match(handshake.url, t.transport === "websocket" ? /transport=websocket/ : /transport=polling/);
    assert.equal(upgrade?.headers["x-test"], t.transport === "upgrade" ? "tested" : undefined);
    assert.equal(last?.headers["x-test"], t.transport === "websocket" ? undefined : "tested");
  },

  async acks(t) {
    const socket = await t.connect("/");
    same(await t.ask(socket, "late", 20, 1, 2), [1, 2]);
    let times = 0;
    socket.emit("twice", () => times++);
    socket.emit("never", () => assert.fail("acknowledged"));
    socket.on("question", (n, ack) => ack(n + 1, Buffer.from([n])));
    const answered = t.next(socket, "answered");
    socket.emit("ask", "question", 1);
    same(await answered, [2, Buffer.from([1])]);
    const key = `key of ${socket.id}`;
    for (let i = 0; i < 2; i++) socket.emit("fail n times", key, 2, () => assert.fail("too early"));
    same(await t.ask(socket, "fail n times", key, 2), [3]);
    assert.equal(times, 1);
  },

  async rooms(t) {
    const [one, other] = [await t.connect("/"), await t.connect("/")];
    const room = `room of ${one.id}`;
    same(await t.ask(one, "join", room), [[room]]);
    same(await t.ask(one, "rooms"), [[room]]);
    const news = t.collect(one, "news", 2);
    other.once("news", () => assert.fail("not in the room"));
    one.emit("room emit", room, "news", 1);
    await t.ask(other, "room emit", room, "news", 2);
    same((await news).sort(), [[1], [2]]);
    same(await t.ask(one, "leave", room), [[]]);
    const name = `all of ${one.id}`;
    const heard = [t.next(one, name), t.next(other, name)];
    await t.ask(one, "emit to all", name, 3);
    same(await Promise.all(heard), [[3], [3]]);
    one.once(name, () => assert.fail("its own broadcast"));
    const others = t.next(other, name);
    await t.ask(one, "broadcast", name, 4);
    same(await others, [4]);
    const later = t.next(one, "later");
    one.emit("later", 20, "later", 5);
    same(await later, [5]);
  },

  async flood(t) {
    const socket = await t.connect("/");
    const events = t.collect(socket, "flood", 200);
    socket.emit("flood", 100, 1000);
    socket.emit("flood", 100, 10, true);
    const expected = Array.from({ length: 200 }, (_, i) =>
      i < 100 ? [i, "x".repeat(1000)] : [i - 100, Buffer.alloc(10, i - 100)],
    );
    same(await events, expected);
  },

  async records(t) {
    const socket = await t.connect("/");
    same(await t.ask(socket, "record", socket.id), [socket.id]);
    assert.equal((await t.askOne(socket, "recorded")).filter((n) => n === socket.id).length, 1);
  },

  async doors(t) {
    const secret = { query: { token: "secret" }, auth: { token: "secret" } };
    const mark = `mark of ${t.transport}`;
    const wrong = { query: { token: mark }, auth: { token: mark } };
    const withData = modern ? { message: "not authorized", data: { code: 1 } } : { code: 1 };
    const without = (message) => (modern ? { message, data: undefined } : message);
    same(await refusal(t, "/admin", wrong), withData);
    same(await refusal(t, "/refused"), without("not today"));
    const admin = await t.connect("/admin", secret);
    const attempts = await t.askOne(admin, "attempts", "/admin");
    assert.equal(attempts.filter(({ token }) => token === mark).length, 1);
    const dynamic = await t.connect("/dynamic-42", { on: admin });
    assert.equal((await t.askOne(dynamic, "handshake")).namespace, "/dynamic-42");
    same(await refusal(t, "/dynamic-x"), without("Invalid namespace"));
  },

  async slow(t) {
    const first = await t.connect("/");
    const started = Date.now();
    await t.connect("/slow", { on: first });
    assert.ok(Date.now() - started >= 290);
  },

  async early(t) {
    const socket = t.open("/early");
    const order = [];
    socket.on("connect", () => order.push("connect"));
    socket.on("early", (...args) => order.push(args));
    await t.connected(socket);
    await t.ask(socket, "transport");
    same(order, [[1, Buffer.from([1, 2, 3])], "connect"]);
  },

  async bye(t) {
    const one = await t.connect("/");
    const rest = await t.connect("/echo", { on: one });
    const observer = await t.connect("/");
    const left = reason(t, one);
    const { id } = one;
    one.emit("bye");
    assert.equal(await left, "io server disconnect");
    assert.equal(await t.askOne(observer, "gone", id), "server namespace disconnect");
    same(await t.ask(rest, "echo", 1), [1]);
    const other = await t.connect("/");
    const more = await t.connect("/echo", { on: other });
    const closed = Promise.all([reason(t, other), reason(t, more), t.next(other.io.engine, "close")]);
    other.emit("bye all");
    same((await closed).slice(0, 2), ["io server disconnect", "io server disconnect"]);
  },

  async drop(t) {
    const observer = await t.connect("/");
    for (const reset of [false, true]) {
      const socket = await t.connect("/");
      const { id } = socket;
      const lost = reason(t, socket);
      socket.emit("drop", reset);
      assert.match(await lost, /^transport (close|error)$/);
      assert.match(await t.askOne(observer, "gone", id), /^transport (close|error)$/);
    }
  },

  async close(t) {
    const socket = await t.connect("/");
    const lost = reason(t, socket);
    socket.emit("close");
    assert.equal(await lost, "transport close");
    if (t.transport === "polling") return;
    const other = await t.connect("/");
    const frame = new Promise((resolve) => other.io.engine.transport.ws.addEventListener("close", resolve));
    other.emit("close", 4321);
    assert.equal((await t.within(frame, "the close frame")).code, 4321);
  },

  /* Shorter than the timeout, the client bears it; longer, not. */
  async silence(t) {
    const socket = await t.connect("/");
    let lost = false;
    socket.once("disconnect", () => (lost = true));
    const started = Date.now();
    await t.ask(socket, "silence", 100);
    same(await t.ask(socket, "echo", 1), [1]);
    assert.ok(Date.now() - started >= 100);
    await t.delay(900);
    assert.equal(lost, false);
    const end = reason(t, socket);
    await t.ask(socket, "silence", 3000);
    assert.equal(await end, "ping timeout");
  },

  async recovery(t) {
    const socket = await t.connect("/", { reconnection: true, reconnectionDelay: 50, randomizationFactor: 0 });
    const { id } = socket;
    await t.ask(socket, "emit to all", "offset"); // without an event there is nothing to recover from
    const heard = t.collect(socket, "heard", 1);
    socket.emit("later", 30, "heard", 1);
    socket.emit("drop");
    await t.next(socket, "disconnect");
    await t.next(socket, "connect");
    assert.equal((await heard)[0][0], 1);
    assert.equal(socket.recovered, true);
    const seen = await t.askOne(socket, "handshake");
    assert.equal(seen.recovered, true);
    assert.equal(seen.id, id);
  },

  /* A client of 2.x bears what only Socket.IO cannot read. */
  async garbage(t) {
    const expected = modern ? "parse error" : "transport error";
    for (const what of modern ? ["abc", { message: Buffer.from([1]) }, { raw: "4abc" }] : [{ raw: "zzz" }]) {
      const socket = await t.connect("/");
      const lost = reason(t, socket);
      socket.emit("garbage", what);
      assert.equal(await lost, expected);
    }
  },

  async cookies(t) {
    const path = `/socket.io/?EIO=${modern ? 4 : 3}&transport=polling`;
    const first = await get(`${path}&cookies=one`, { cookie: "mine=1" });
    const set = first.headers["set-cookie"];
    same(set.slice(0, 2), ["lb=one; Path=/; HttpOnly", "elsewhere=1; Path=/elsewhere"]);
    assert.equal(set.length, modern ? 2 : 3);
    assert.equal(first.headers["x-seen-cookie"], "mine=1");
    const upgraded = await get(`${path.replace("polling", "websocket")}&cookies=two`, {
      ...{ connection: "upgrade", upgrade: "websocket", "sec-websocket-version": "13" },
      ...{ "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", cookie: "mine=2" },
    });
    assert.equal(upgraded.headers["set-cookie"][0], "lb=two; Path=/; HttpOnly");
    assert.equal(upgraded.headers["x-seen-cookie"], "mine=2");
    const plain = await get(path);
    assert.equal(plain.headers["x-seen-cookie"], undefined);
    assert.equal((await get("/elsewhere")).statusCode, 404);
  },
};

async function run(transport, name) {
  const session = new Session({ io, major: Number(generation), url, transport }, () => {});
  try {
    await CHECKS[name](session);
    return [`${transport} ${name}`, null];
  } catch (error) {
    return [`${transport} ${name}`, String(error.stack)];
  } finally {
    session.close();
  }
}

process.on("uncaughtException", (error) => {
  process.stderr.write(String(error.stack));
  process.exit(1);
});
const names = only ? [only] : Object.keys(CHECKS).filter((name) => name !== "silence" && name !== "recovery");
Promise.all(TRANSPORTS.flatMap((transport) => names.map((name) => run(transport, name)))).then((results) => {
  process.stdout.write(JSON.stringify(Object.fromEntries(results)), () => process.exit(0));
});
