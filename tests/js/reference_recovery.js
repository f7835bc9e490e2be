/* The twin of tests/support/recovery.py on Node's own server. */
"use strict";

module.exports = function addRecovery(io) {
  const space = io.of("/recovery");
  const [asked, heard] = [new Map(), new Map()];
  const add = (counts, name) => counts.set(name, (counts.get(name) || 0) + 1).get(name);
  space.use((socket, next) => {
    add(asked, String(socket.handshake.auth.name));
    next(socket.handshake.auth.unwelcome ? new Error("not any more") : undefined);
  });
  space.on("connection", (socket) => {
    const { id } = socket;
    socket.on("state", (ack) => {
      ack({ id, recovered: socket.recovered, rooms: [...socket.rooms].sort(), data: socket.data });
    });
    socket.on("join", (rooms, ack) => ack(socket.join(rooms)));
    socket.on("remember", (key, value, ack) => ack(void (socket.data[key] = value)));
    socket.on("tell", (plan, ack) => {
      for (const { volatile, to = [], except = [], value } of plan) {
        (volatile ? space.volatile : space).to(to).except(except).emit("news", value);
      }
      ack();
    });
    socket.on("tell myself", (value, ack) => ack(void socket.emit("news", value)));
    socket.on("tell others", (value, ack) => ack(void socket.broadcast.emit("news", value)));
    socket.on("is here", (other, ack) => ack(space.sockets.has(other)));
    socket.on("kick", () => socket.disconnect());
    socket.on("asked of", (name, ack) => ack(asked.get(name) || 0));
    socket.on("say", (name, ack) => ack(add(heard, name)));
  });
};
