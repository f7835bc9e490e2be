/* Being refused: by a middleware with and without data, by a failing one, at the door, and for want of a namespace. */
"use strict";

const assert = require("node:assert/strict");
const { same } = require("../session.js");

/* Ask for the guarded namespace with a token: on the connection of `main`, which 1.x can only do on its own. */
function guard(t, main, token) {
  const options = t.modern ? { auth: { token } } : { query: { token } };
  return t.open("/guarded", { ...(t.major > 1 ? { on: main } : {}), ...options });
}

/* Resolve with what the refused client is told: {message, data} of an error, or the bare value for old clients. */
async function refusal(t, socket) {
  socket.on("connect", () => assert.fail("a refused client connected"));
  const [error] = await t.next(socket, t.modern ? "connect_error" : "error");
  assert.equal(socket.connected, false);
  return error;
}

async function refused(t, socket, message, data) {
  const error = await refusal(t, socket);
  if (t.modern) {
    assert.ok(error instanceof Error);
    assert.equal(error.message, message);
    same(error.data, data);
  } else {
    same(error, data === undefined ? message : data);
  }
}

async function alive(t, socket) {
  same(await t.ask(socket, "give back", "alive"), ["alive"]);
}

module.exports = {
  async "refused-with-data"(t) {
    const main = await t.connect();
    const guarded = guard(t, main, "wrong");
    await refused(t, guarded, "not authorized", { code: 7, hints: ["ask", "wait"] });
    await alive(t, main);
    await refused(t, t.open("/guarded"), "not authorized", { code: 7, hints: ["ask", "wait"] });
  },

  async "refused-without-data"(t) {
    const main = await t.connect();
    await refused(t, guard(t, main, "plain"), "not authorized", undefined);
    await alive(t, main);
  },

  /* An exception that nobody meant for the client tells it nothing. */
  async "refused-by-a-failure"(t) {
    const main = await t.connect();
    const error = await refusal(t, guard(t, main, "boom"));
    assert.doesNotMatch(JSON.stringify([error, String(error), error.data]), /inner workings/);
    await alive(t, main);
  },

  async "admitted-after-a-refusal"(t) {
    const main = await t.connect();
    const guarded = guard(t, main, "wrong");
    await refusal(t, guarded);
    guarded.off("connect");
    if (t.modern) guarded.auth = { token: "secret" };
    else guarded.query = "token=secret";
    const admitted = t.major > 1 ? guarded : guard(t, main, "secret");
    const connected = t.next(admitted, "connect");
    admitted.connect();
    await connected;
    same(await t.askOne(admitted, "where"), "/guarded");
    await alive(t, main);
  },

  async "refused-at-the-door"(t) {
    await refused(t, t.open("/", { query: { refuse: "yes" } }), "not today", { retry: false });
  },

  async "unknown-namespace"(t) {
    const main = await t.connect();
    for (const path of ["/nowhere", "/room-x", "/tenant-9"]) {
      const error = await refusal(t, t.open(path, { on: main }));
      assert.equal(typeof error === "string" ? error : error.message, "Invalid namespace");
    }
    await alive(t, main);
  },
};
