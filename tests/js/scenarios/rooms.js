/* Rooms and broadcasts among several clients. */
"use strict";

const { same } = require("../session.js");

/* Note what each socket is told; `told()` waits until all is in and returns one list for each socket. */
function listen(t, sockets, event) {
  const heard = sockets.map(() => []);
  sockets.forEach((socket, i) => socket.on(event, (...args) => heard[i].push(args.length === 1 ? args[0] : args)));
  return async (speaker) => {
    await t.flushed(speaker);
    for (const socket of sockets) await t.flushed(socket);
    return heard.map((list) => list.splice(0));
  };
}

function many(t, count) {
  return Promise.all(Array.from({ length: count }, () => t.connect()));
}

module.exports = {
  async rooms(t) {
    const tag = Math.random();
    const [red, blue] = [`red ${tag}`, `blue ${tag}`];
    const sockets = await many(t, 4);
    const [a, b, c, d] = sockets;
    const told = listen(t, sockets, "said");
    same(await t.ask(a, "join", red), [[red]]);
    same(await t.ask(b, "join", [red, blue]), [[blue, red]]);
    same(await t.ask(b, "join", red), [[blue, red]]);
    same(await t.ask(c, "join", blue), [[blue]]);

    d.emit("say", [red], [], "to red");
    same(await told(d), [["to red"], ["to red"], [], []]);
    d.emit("say", [red, blue], [], "to both, once");
    same(await told(d), [["to both, once"], ["to both, once"], ["to both, once"], []]);
    d.emit("say", [red], [blue], "to red except blue");
    same(await told(d), [["to red except blue"], [], [], []]);
    d.emit("say", [], [red], "to all except red");
    const everyone = await told(d);
    same(everyone, [[], [], ["to all except red"], ["to all except red"]]);
    a.emit("say to others", [red], [], "to the others in red");
    same(await told(a), [[], ["to the others in red"], [], []]);
    a.emit("say to others", [red, blue], [red], "to the others");
    same(await told(a), [[], [], ["to the others"], []]);

    same(await t.ask(b, "leave", red), [[blue]]);
    d.emit("say", [red], [], "to who is left");
    same(await told(d), [["to who is left"], [], [], []]);
    d.emit("say", [`nobody ${tag}`], [], "to nobody");
    same(await told(d), [[], [], [], []]);
  },

  async "room-of-one"(t) {
    const sockets = await many(t, 3);
    const [a, b] = sockets;
    const told = listen(t, sockets, "said");
    const id = await t.askOne(b, "whoami");
    a.emit("say", [id], [], "psst", Buffer.from("!"));
    same(await told(a), [[], [["psst", Buffer.from("!")]], []]);
    a.emit("say to others", [], [id], "behind its back");
    const [, second, third] = await told(a);
    same([second, third], [[], ["behind its back"]]);
  },

  async "move-and-fetch"(t) {
    const [from, to] = [`from ${Math.random()}`, `to ${Math.random()}`];
    const sockets = await many(t, 3);
    const [a, b, c] = sockets;
    const [first, second] = await Promise.all([a, b].map((socket) => t.askOne(socket, "whoami")));
    const ids = [first, second].sort();
    await t.ask(a, "join", from);
    await t.ask(b, "join", from);
    same(await t.askOne(c, "who", from), ids);
    await t.ask(c, "move", from, to);
    same(await t.askOne(c, "who", from), []);
    same(await t.askOne(c, "who", to), ids);
    const told = listen(t, sockets, "said");
    c.emit("say", [to], [], "moved");
    same(await told(c), [["moved"], ["moved"], []]);
    b.disconnect();
    await t.report(second);
    same(await t.askOne(c, "who", to), [first]);
  },

  async broadcast(t) {
    const sockets = await many(t, 4);
    const [a, b] = sockets;
    const told = listen(t, sockets, "told");
    const payload = ["🦊", { n: 1 }, Buffer.from([0, 255])];
    a.emit("tell everyone", ...payload);
    same(await told(a), sockets.map(() => [payload]));
    b.emit("tell others", ...payload);
    same(await told(b), [[payload], [], [payload], [payload]]);
    for (let i = 0; i < 100; i++) a.emit("tell everyone", i);
    const numbers = Array.from({ length: 100 }, (_, i) => i);
    same(await told(a), sockets.map(() => numbers));
  },
};
