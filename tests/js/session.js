/*
 * What a scenario works with: connections of one official client over one transport, and ways to wait on them.
 *
 * The differences between the generations of the client are settled here, those that a user of the client would not
 * expect to meet; those that belong to a behaviour stand in its scenario.
 */
"use strict";

const assert = require("node:assert/strict");
const { inspect } = require("node:util");
const { setTimeout: delay } = require("node:timers/promises");

const PATIENCE = 8000;
const TRANSPORTS = {
  polling: { transports: ["polling"] },
  websocket: { transports: ["websocket"] },
  upgrade: { transports: ["polling", "websocket"] },
};

function within(promise, what, ms = PATIENCE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

class Session {
  constructor({ io, major, url, transport, params }, say) {
    Object.assign(this, { io, major, url, transport, params: params || {}, say });
    this.modern = major >= 3;
    this.parser = this.params.parser ? { parser: require(this.params.parser) } : {};
    this.opened = [];
  }

  /* Start a connection of its own, or, with `on`, a namespace on the connection of another socket. */
  open(path = "/", { on, ...options } = {}) {
    const socket = on
      ? on.io.socket(path, options)
      : this.io(this.url + (path === "/" ? "" : path), {
          forceNew: true,
          reconnection: false,
          ...TRANSPORTS[this.transport],
          ...this.parser,
          ...options,
        });
    this.opened.push(socket);
    return socket;
  }

  /* Connect, and where the transport is to be upgraded, wait for that too unless `early`. */
  async connect(path = "/", { early = false, ...options } = {}) {
    const socket = this.open(path, options);
    await this.connected(socket);
    if (!early) await this.settled(socket);
    return socket;
  }

  async connected(socket) {
    if (socket.connected) return;
    await within(
      new Promise((resolve, reject) => {
        socket.on("connect", resolve);
        socket.on("connect_error", (error) => reject(new Error(`connect_error: ${error}`, { cause: error })));
        if (!this.modern) socket.on("error", (error) => reject(new Error(`error: ${inspect(error)}`)));
      }),
      `a connection to ${socket.nsp}`,
    );
  }

  /* Wait until the connection uses the transport that the test is about. */
  async settled(socket) {
    const wanted = this.transport === "polling" ? "polling" : "websocket";
    const engine = socket.io.engine;
    if (engine.transport.name !== wanted || engine.upgrading) {
      await this.next(engine, "upgrade");
    }
    assert.equal(engine.transport.name, wanted);
  }

  /* Check, when a scenario is over, that what is still connected got to its transport. */
  async check() {
    for (const socket of this.opened) if (socket.connected) await this.settled(socket);
  }

  close() {
    for (const socket of this.opened) {
      socket.io.reconnection(false);
      socket.disconnect();
      if (socket.io.engine) socket.io.engine.close();
    }
  }

  /* Wait for one event and resolve with its arguments. */
  next(emitter, event, ms = PATIENCE) {
    return within(new Promise((resolve) => emitter.once(event, (...args) => resolve(args))), `"${event}"`, ms);
  }

  /* Collect `count` occurrences of an event: each is the list of its arguments. */
  collect(emitter, event, count, ms = PATIENCE) {
    const all = [];
    const full = new Promise((resolve) =>
      emitter.on(event, (...args) => {
        all.push(args);
        if (all.length === count) resolve(all);
      }),
    );
    return within(full, `${count} times "${event}"`, ms).catch((error) => {
      error.message += `, got ${all.length}`;
      throw error;
    });
  }

  /* Emit with an acknowledgement and resolve with the arguments of the answer. */
  ask(socket, event, ...args) {
    return within(
      new Promise((resolve) => socket.emit(event, ...args, (...answer) => resolve(answer))),
      `the answer to "${event}"`,
    );
  }

  async askOne(socket, event, ...args) {
    const answer = await this.ask(socket, event, ...args);
    assert.equal(answer.length, 1, `one argument answers "${event}": ${JSON.stringify(answer)}`);
    return answer[0];
  }

  /* Make sure that nothing more is on its way to a socket: what was sent before the answer came before it. */
  flushed(socket) {
    return this.ask(socket, "whoami");
  }

  /* Close, at the end, a socket that was opened by other means. */
  aside(socket) {
    this.opened.push({ io: socket.io, connected: false, disconnect: () => socket.disconnect() });
  }

  /* Wait until the server has lost the socket with this id, and resolve with what it noted then. */
  async report(id) {
    if (!this.observer) {
      this.observer = this.io(`${this.url}/observer`, {
        forceNew: true,
        reconnection: false,
        transports: ["websocket"],
        ...this.parser,
      });
      await this.connected(this.observer);
      this.aside(this.observer);
    }
    return this.askOne(this.observer, "report", id);
  }

  /* Let the test do something, and go on once it is done. */
  async act(word) {
    const done = new Promise((resolve) => (this.done = resolve));
    this.say(word);
    await within(done, `the test to ${word}`);
  }

  within(promise, what, ms) {
    return within(promise, what, ms);
  }

  delay(ms) {
    return delay(ms);
  }
}

/* Compare values that may hold binary in any of its forms. */
function same(actual, expected, message) {
  assert.deepEqual(plain(actual), plain(expected), message);
}

function plain(value) {
  if (Buffer.isBuffer(value) || ArrayBuffer.isView(value)) {
    return { binary: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("latin1") };
  }
  if (value instanceof ArrayBuffer) return { binary: Buffer.from(value).toString("latin1") };
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  }
  return value;
}

module.exports = { Session, same };
