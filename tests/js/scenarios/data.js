/* What travels in events: values, text, binary, many, and much. */
"use strict";

const assert = require("node:assert/strict");
const { same } = require("../session.js");

const VALUES = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  -2.5e-7,
  1e21,
  Number.MAX_SAFE_INTEGER,
  Number.MIN_SAFE_INTEGER,
  "",
  "text",
  '"quotes" and \\backslashes\\ and /slashes/',
  "control \u0000 \u0001 \b\f\n\r\t \u001e \u007f",
  "separators \u2028 \u2029",
  [],
  {},
  [[], [[]], {}],
  { a: { b: { c: [1, { d: null }] } }, "": "empty key", "spaced key": true },
  { _placeholder: false, num: 0 },
  "4:0{}",
  "451-[]",
];

const TEXTS = ["é", "€uro", "日本語", "🦊", "👩‍👩‍👧‍👦", "a🦊b€c", "\u{10ffff}", "नमस्ते", "\ufeffmark", "🦊".repeat(300)];

async function echoes(t, socket, ...args) {
  const answer = t.next(socket, "echo");
  socket.emit("echo", ...args);
  same(await answer, args);
}

module.exports = {
  async "json-types"(t) {
    const socket = await t.connect();
    for (const value of VALUES) await echoes(t, socket, value);
    await echoes(t, socket, ...VALUES);
    await echoes(t, socket);
    const answer = t.next(socket, "echo");
    socket.emit("echo", undefined, NaN, new Date(0), { gone: undefined });
    same(await answer, [null, null, "1970-01-01T00:00:00.000Z", {}]);
  },

  async unicode(t) {
    const socket = await t.connect();
    await echoes(t, socket, ...TEXTS);
    for (const text of TEXTS) await echoes(t, socket, text, { [text]: [text] });
    const answers = t.collect(socket, "echo", TEXTS.length);
    for (const text of TEXTS) socket.emit("echo", text);
    same(await answers, TEXTS.map((text) => [text]));
    for (const text of TEXTS) {
      same(await t.askOne(socket, "code points", text), Array.from(text, (character) => character.codePointAt(0)));
      same(await t.askOne(socket, "from code points", Array.from(text, (part) => part.codePointAt(0))), text);
    }
  },

  /* Text cut in the middle of an astral character is what careless programs send. */
  async "half-a-character"(t) {
    const socket = await t.connect();
    await echoes(t, socket, "\ud83e", { "\udd8a": "a\ud83eb" });
    await echoes(t, socket, "still here");
  },

  async message(t) {
    const socket = await t.connect();
    const answers = t.collect(socket, "message", 2);
    socket.send("hello");
    socket.send({ to: "you" }, 2);
    same(await answers, [["hello"], [{ to: "you" }, 2]]);
  },

  async binary(t) {
    const socket = await t.connect();
    const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    await echoes(t, socket, all);
    await echoes(t, socket, Buffer.alloc(0));
    await echoes(t, socket, Buffer.from([0x1e, 0x04, 0x80, 0xff]), "and text 🦊");
    await echoes(t, socket, new Uint8Array([1, 2, 3]).buffer);
    same(await t.askOne(socket, "describe", all, [Buffer.alloc(0)], { a: new ArrayBuffer(3), b: "x", c: null }), [
      "bytes 256",
      ["bytes 0"],
      { a: "bytes 3", b: "string", c: "null" },
    ]);
  },

  /* A client may ask for text alone, for a proxy's sake. */
  async "binary-as-text"(t) {
    const socket = await t.connect("/", { forceBase64: true });
    const kinds = new Set();
    const { ws } = socket.io.engine.transport;
    if (ws) ws.addEventListener("message", ({ data }) => kinds.add(typeof data));
    await echoes(t, socket, Buffer.from([0, 255, 4]), [Buffer.alloc(0), "🦊", new Uint8Array([1, 2]).buffer]);
    same(await t.askOne(socket, "describe", Buffer.from([0, 255, 4])), ["bytes 3"]);
    if (ws) same([...kinds], ["string"], "no binary frame");
  },

  async "nested-binary"(t) {
    const socket = await t.connect();
    const [a, b, c] = ["a", "bb", "ccc"].map((text) => Buffer.from(text));
    await echoes(t, socket, [a, [b, { c }]], { list: [1, c, null, [a]], deep: { deeper: { b } } });
    await echoes(t, socket, ...Array.from({ length: 10 }, (_, i) => Buffer.alloc(i, i)));
    await echoes(t, socket, a, Buffer.alloc(0), a);
    const answers = t.collect(socket, "echo", 30);
    for (let i = 0; i < 30; i++) socket.emit("echo", i, i % 3 ? "text" : [Buffer.from([i]), Buffer.from([i, i])]);
    same(
      await answers,
      Array.from({ length: 30 }, (_, i) => [i, i % 3 ? "text" : [Buffer.from([i]), Buffer.from([i, i])]]),
    );
  },

  async "five-hundred-in-order"(t) {
    const socket = await t.connect("/", { early: true });
    const many = t.collect(socket, "many", 500);
    const echoed = t.collect(socket, "echo", 500);
    socket.emit("many", 500);
    for (let i = 0; i < 500; i++) {
      socket.emit("count", i);
      socket.emit("echo", i, i % 50 ? "🦊" : Buffer.from([i % 256]));
      if (i % 100 === 99) await t.delay(10);
    }
    same(await t.askOne(socket, "counted"), Array.from({ length: 500 }, (_, i) => i));
    same(
      (await many).map(([i]) => i),
      Array.from({ length: 500 }, (_, i) => i),
    );
    same(
      (await echoed).map(([i]) => i),
      Array.from({ length: 500 }, (_, i) => i),
    );
  },

  /* Both sides talk all the time while the transport changes beneath them. */
  async "talking-while-connecting"(t) {
    const numbers = Array.from({ length: 60 }, (_, i) => i);
    const talk = async () => {
      const socket = await t.connect("/", { early: true });
      const ticks = t.collect(socket, "tick", numbers.length);
      socket.emit("ticks", numbers.length, 1);
      for (const i of numbers) {
        socket.emit("count", i);
        if (i % 2) await t.delay(1);
      }
      same(await t.askOne(socket, "counted"), numbers);
      await ticks;
      await t.settled(socket);
      await t.flushed(socket);
      same((await ticks).flat(), numbers);
    };
    await Promise.all(Array.from({ length: 6 }, talk));
  },

  async "large-payloads"(t) {
    const socket = await t.connect();
    const text = "0123456789".repeat(20000);
    const astral = "🦊€é!".repeat(20000);
    const binary = Buffer.from(Array.from({ length: 200000 }, (_, i) => (i * 7) % 256));
    await echoes(t, socket, text);
    await echoes(t, socket, astral);
    await echoes(t, socket, binary);
    await echoes(t, socket, { text, parts: [binary, binary.subarray(0, 100000)] });
    const answers = t.collect(socket, "echo", 3);
    for (const value of [text, binary, astral]) socket.emit("echo", value);
    same(await answers, [[text], [binary], [astral]]);
  },

  /* Larger than the server takes: this client loses its connection, the server lives on. */
  async oversize(t) {
    const socket = await t.connect();
    const id = await t.askOne(socket, "whoami");
    const gone = t.next(socket, "disconnect");
    socket.emit("echo", "x".repeat(1200000));
    const [reason] = await gone;
    assert.match(reason, /^transport (close|error)$/);
    const { reason: noted } = await t.report(id);
    assert.match(noted, /^transport (close|error)$|^parse error$/);
    await echoes(t, await t.connect(), "another");
  },

  async "msgpack-values"(t) {
    const socket = await t.connect();
    const date = new Date(1700000000123);
    await echoes(t, socket, date, new Date(-1), { when: [date, 2 ** 40, -(2 ** 40), 1.5, Buffer.alloc(70000, 7)] });
    assert.ok((await t.askOne(socket, "give back", date)) instanceof Date);
    for (const array of [[], [0], [1], [0, 0, 0, 0, 0, 0, 0, 0], [1, 2, 3], [...Array(300).keys()]]) {
      const sent = Uint8Array.from(array);
      assert.deepEqual(new Uint8Array(await t.askOne(socket, "give back", sent)), sent);
    }
    const numbers = new Float64Array([1.5]);
    const bytes = new Uint8Array(numbers.buffer);
    assert.deepEqual(new Uint8Array(await t.askOne(socket, "give back", numbers)), bytes);
  },

  /* A client whose packets the server cannot read loses its connection, and nothing else happens. */
  async "another-parser"(t) {
    const socket = t.open();
    socket.on("connect", () => assert.fail("connected"));
    socket.connect();
    const [reason] = await t.next(socket.io, "close");
    assert.match(reason, /^transport (close|error)$/);
  },
};
