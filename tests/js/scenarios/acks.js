/* Acknowledgements, in both directions, at once and late. */
"use strict";

const assert = require("node:assert/strict");
const { same } = require("../session.js");

module.exports = {
  async "server-acks"(t) {
    const socket = await t.connect("/", { early: true });
    same(await t.ask(socket, "give back", 1), [1]);
    same(await t.ask(socket, "give back", 1, "two", { three: [3] }), [1, "two", { three: [3] }]);
    same(await t.ask(socket, "give back", [1, 2]), [[1, 2]]);
    same(await t.ask(socket, "give back", null, "🦊"), [null, "🦊"]);
    same(await t.ask(socket, "nothing"), []);
    same(await t.ask(socket, "give back", Buffer.from("b"), { c: Buffer.alloc(0) }), [
      Buffer.from("b"),
      { c: Buffer.alloc(0) },
    ]);
    const asked = Array.from({ length: 50 }, (_, i) => t.askOne(socket, "give back", i));
    same(await Promise.all(asked), [...asked.keys()]);
  },

  async "server-acks-late"(t) {
    const socket = await t.connect();
    const order = [];
    const ask = async (ms, value) => order.push(await t.askOne(socket, "late", ms, value));
    await Promise.all([ask(300, "last"), ask(120, { second: Buffer.from("2") }), ask(0, "first")]);
    same(order, ["first", { second: Buffer.from("2") }, "last"]);
  },

  async "ack-once"(t) {
    const socket = await t.connect();
    const answers = [];
    socket.emit("twice", (answer) => answers.push(answer));
    await t.flushed(socket);
    await t.flushed(socket);
    same(answers, ["first"]);
    const asked = t.collect(socket, "asked for an answer", 2);
    socket.emit("with or without");
    socket.emit("with or without", () => {});
    same(await asked, [[false], [true]]);
  },

  async "client-acks"(t) {
    const socket = await t.connect("/", { early: true });
    socket.on("question", (...args) => args.pop()(...args));
    for (const args of [[1], ["🦊", { a: 1 }], [[]], [], [Buffer.from("b")], [{ b: [Buffer.alloc(0)] }, 2]]) {
      const answered = t.next(socket, "answered");
      socket.emit("ask with callback", ...args);
      same(await answered, args);
    }
    const answered = t.next(socket, "answered");
    socket.emit("ask", { one: Buffer.from("1") });
    same(await answered, [{ one: Buffer.from("1") }]);
  },

  async "client-acks-late"(t) {
    const socket = await t.connect();
    socket.on("question", async (ms, value, ack) => {
      await t.delay(ms);
      ack(value);
    });
    const answers = t.collect(socket, "answered", 3);
    socket.emit("ask", 800, "last");
    socket.emit("ask with callback", 400, "second");
    socket.emit("ask", 0, Buffer.from("first"));
    same(await answers, [[Buffer.from("first")], ["second"], ["last"]]);
  },

  async "client-does-not-ack"(t) {
    const socket = await t.connect();
    const late = t.next(socket, "question");
    const unanswered = t.next(socket, "unanswered");
    socket.emit("ask in vain");
    const [ack] = await late;
    await unanswered;
    ack("too late");
    same(await t.ask(socket, "give back", "alive"), ["alive"]);
  },

  async "broadcast-acks"(t) {
    const room = `poll ${Math.random()}`;
    const [a, b, c] = await Promise.all([t.connect(), t.connect(), t.connect()]);
    for (const socket of [a, b]) await t.ask(socket, "join", room);
    a.on("vote", (ack) => ack("a"));
    b.on("vote", async (ack) => {
      await t.delay(50);
      ack("b");
    });
    same(await t.ask(c, "poll", room), [["a", "b"]]);
    await t.ask(c, "join", room);
    const [failed, answers] = await t.ask(a, "poll in vain", room);
    assert.equal(failed, true);
    same(answers.sort(), ["a", "b"]);
  },

  async "emit-with-ack"(t) {
    const socket = await t.connect();
    same(await socket.emitWithAck("give back", { a: 1 }), { a: 1 });
    same(await socket.timeout(5000).emitWithAck("late", 50, "value"), "value");
    await assert.rejects(socket.timeout(50).emitWithAck("late", 400, "value"), /operation has timed out/);
    same(await socket.emitWithAck("give back", "alive"), "alive");
  },
};
