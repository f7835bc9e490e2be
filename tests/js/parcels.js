/*
 * A parser of the tests' own, the twin of tests/support/parcels.py: a packet is a line of JSON, and where it holds
 * binary, one message behind it with all of the bytes in a row.
 */
"use strict";

const { Emitter } = require("@socket.io/component-emitter");

class Encoder {
  encode({ type, nsp, id, data }) {
    const parts = [];
    const packed = pack(data, parts);
    const text = JSON.stringify({ kind: type, where: nsp, id, what: packed, sizes: parts.map((part) => part.length) });
    return parts.length ? [text, Buffer.concat(parts)] : [text];
  }
}

class Decoder extends Emitter {
  add(chunk) {
    if (typeof chunk === "string") {
      const { kind, where, id, what, sizes } = JSON.parse(chunk);
      this.packet = { type: kind, nsp: where, id, data: what };
      this.sizes = sizes;
      if (sizes.length) return;
    } else {
      let offset = 0;
      const bytes = Buffer.from(chunk);
      const parts = this.sizes.map((size) => bytes.subarray(offset, (offset += size)));
      this.packet.data = unpack(this.packet.data, parts);
    }
    this.emit("decoded", this.packet);
  }

  destroy() {}
}

function pack(value, parts) {
  if (Buffer.isBuffer(value)) return { part: parts.push(value) - 1 };
  if (Array.isArray(value)) return value.map((item) => pack(item, parts));
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, pack(item, parts)]));
  }
  return value;
}

function unpack(value, parts) {
  if (Array.isArray(value)) return value.map((item) => unpack(item, parts));
  if (value !== null && typeof value === "object") {
    if (Object.keys(value).join() === "part") return parts[value.part];
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, unpack(item, parts)]));
  }
  return value;
}

module.exports = { Encoder, Decoder };
