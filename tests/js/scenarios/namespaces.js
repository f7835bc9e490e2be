/* Connecting: what a client hands over, ids, and several namespaces on one connection. */
"use strict";

const assert = require("node:assert/strict");
const { same } = require("../session.js");

async function echoes(t, socket, ...args) {
  const answer = t.next(socket, "echo");
  socket.emit("echo", ...args);
  same(await answer, args);
}

/* What the client passed to a namespace: the auth payload, or the query that old clients have in its place. */
function credentials(t, name, value) {
  return t.modern ? { auth: { [name]: value } } : { query: { [name]: value } };
}

module.exports = {
  async connect(t) {
    const socket = t.open("/", { query: { name: "Zoë 🦊&=?" } });
    const welcome = t.next(socket, "welcome");
    await t.connected(socket);
    same(await welcome, ["Zoë 🦊&=?"]);
    await t.settled(socket);
    assert.equal(socket.connected, true);
    const id = await t.askOne(socket, "whoami");
    assert.equal(socket.id, id);
    assert.equal(id !== socket.io.engine.id, t.modern, "the id of the transport is a secret in the newer revision");
    same(await t.askOne(socket, "where"), "/");
  },

  /* What is emitted before the connection stands is sent once it does. */
  async "emit-before-connect"(t) {
    const socket = t.open();
    const answers = t.collect(socket, "echo", 3);
    for (const value of [1, Buffer.from("2"), "3"]) socket.emit("echo", value);
    same(await answers, [[1], [Buffer.from("2")], ["3"]]);
  },

  async query(t) {
    const socket = await t.connect("/", { query: { token: "a b&c=d", lang: "日本" } });
    const { query, secure } = await t.askOne(socket, "handshake");
    assert.equal(query.token, "a b&c=d");
    assert.equal(query.lang, "日本");
    assert.equal(query.EIO, t.modern ? "4" : "3");
    assert.equal(secure, false);
  },

  async headers(t) {
    const socket = await t.connect("/", { extraHeaders: { "X-Test": "from the client" } });
    assert.equal((await t.askOne(socket, "handshake")).header, "from the client");
  },

  async auth(t) {
    const auth = { token: "🦊", nested: { list: [1, null, "two"] } };
    const socket = await t.connect("/", { auth });
    same((await t.askOne(socket, "handshake")).auth, auth);
    const chat = await t.connect("/chat", { on: socket, auth: (give) => setTimeout(give, 20, { n: 1 }) });
    same((await t.askOne(chat, "handshake")).auth, { n: 1 });
    const lobby = await t.connect("/lobby", { on: socket });
    same((await t.askOne(lobby, "handshake")).auth, {});
  },

  async "namespace-credentials"(t) {
    const main = await t.connect();
    const chat = await t.connect("/chat", { on: main, ...credentials(t, "token", "abc 🦊") });
    const { auth, query } = await t.askOne(chat, "handshake");
    assert.equal(auth.token || query.token, "abc 🦊");
    const again = await t.askOne(main, "handshake");
    assert.equal(again.auth.token || again.query.token, undefined);
    if (t.major !== 2) return;
    const own = await t.connect("/lobby?token=from%20the%20address");
    const shake = await t.askOne(own, "handshake");
    assert.equal(shake.query.token || shake.auth.token, "from the address");
  },

  async namespaces(t) {
    const main = await t.connect("/", { early: true });
    const [chat, lobby] = await Promise.all([
      t.connect("/chat", { on: main, early: true }),
      t.connect("/lobby", { on: main, early: true }),
    ]);
    assert.equal(chat.io.engine, main.io.engine);
    assert.equal(lobby.io.engine, main.io.engine);
    const ids = await Promise.all([main, chat, lobby].map((socket) => t.askOne(socket, "whoami")));
    assert.equal(new Set(ids).size, 3);
    if (t.major > 1) same([main.id, chat.id, lobby.id], ids);
    const heard = [];
    for (const socket of [main, chat, lobby]) socket.on("echo", (value) => heard.push([socket.nsp, value]));
    await echoes(t, chat, "to chat", Buffer.from("c"));
    await echoes(t, lobby, { to: "lobby" });
    await echoes(t, main, "to main");
    same(heard, [
      ["/chat", "to chat"],
      ["/lobby", { to: "lobby" }],
      ["/", "to main"],
    ]);
    same(await Promise.all([main, chat, lobby].map((socket) => t.askOne(socket, "where"))), ["/", "/chat", "/lobby"]);
  },

  async "namespace-broadcast"(t) {
    const [a, b] = await Promise.all([t.connect(), t.connect()]);
    const chats = await Promise.all([a, b].map((on) => t.connect("/chat", { on })));
    const heard = [];
    for (const socket of [a, b]) socket.on("announced", () => heard.push("main"));
    chats.forEach((socket, i) => socket.on("announced", (...args) => heard.push([i, ...args])));
    chats[0].emit("announce", "news", 1);
    for (const socket of [...chats, a, b]) await t.flushed(socket);
    same(heard.sort(), [
      [0, "news", 1],
      [1, "news", 1],
    ]);
  },

  async "leave-a-namespace"(t) {
    const main = await t.connect();
    const chat = await t.connect("/chat", { on: main });
    const id = await t.askOne(chat, "whoami");
    const gone = t.next(chat, "disconnect");
    chat.disconnect();
    assert.equal((await gone)[0], "io client disconnect");
    assert.equal((await t.report(id)).reason, "client namespace disconnect");
    await echoes(t, main, "main goes on");
    const back = t.next(chat, "connect");
    chat.connect();
    await back;
    await echoes(t, chat, "and chat is back");
    if (t.modern) assert.notEqual(await t.askOne(chat, "whoami"), id);
  },

  async "dynamic-by-pattern"(t) {
    const main = await t.connect();
    const [one, two] = await Promise.all(["/room-1", "/room-22"].map((path) => t.connect(path, { on: main })));
    same(await Promise.all([one, two].map((socket) => t.askOne(socket, "where"))), ["/room-1", "/room-22"]);
    const heard = [];
    for (const socket of [one, two]) socket.on("announced", (text) => heard.push([socket.nsp, text]));
    two.emit("announce", "only here");
    await t.flushed(two);
    await t.flushed(one);
    same(heard, [["/room-22", "only here"]]);
    const own = await t.connect("/room-22");
    own.emit("announce", "to both");
    await t.flushed(own);
    await t.flushed(two);
    same(heard.slice(1), [["/room-22", "to both"]]);
  },

  async "dynamic-by-function"(t) {
    const socket = await t.connect("/tenant-blue");
    same(await t.askOne(socket, "where"), "/tenant-blue");
    await echoes(t, socket, "here", Buffer.from("!"));
    const other = await t.connect("/tenant-red", { on: socket });
    same(await t.askOne(other, "where"), "/tenant-red");
  },
};
