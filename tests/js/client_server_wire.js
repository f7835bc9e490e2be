/* The HTTP requests and TCP connections of each session, the cookies of a load balancer, and harm to all of them. */
"use strict";

const RETRY = 5; // ms

function queryOf(request) {
  return new URL(request.url, "http://localhost").searchParams;
}

function described({ method, url, headers }) {
  return { method, url, headers };
}

class Wire {
  constructor(httpServer, io) {
    this.sessions = new Map();
    /* Once the engine is attached, so that it does not take these listeners for those of an application. */
    httpServer.prependListener("request", (request, response) => {
      this.note(request, "last");
      giveCookies(request, response);
    });
    httpServer.prependListener("upgrade", (request) => this.note(request, "upgrade"));
    httpServer.on("listening", () => io.engine.ws?.on("headers", giveCookiesToWebSocket));
    io.engine.on("connection", (conn) => {
      this.session(conn.id).sockets.add(conn.request.socket);
      conn.once("close", () => this.sessions.delete(conn.id));
    });
  }

  session(id) {
    if (!this.sessions.has(id)) this.sessions.set(id, { sockets: new Set(), last: null, upgrade: null, count: 0 });
    return this.sessions.get(id);
  }

  note(request, kind) {
    const session = this.sessions.get(queryOf(request).get("sid"));
    if (session === undefined) return;
    session.sockets.add(request.socket);
    session[kind] = described(request);
    session.count++;
  }

  /* Tell the requests of a connection: the first, the one that began the upgrade, the last one of polling. */
  requests(conn) {
    const { last, upgrade, count } = this.session(conn.id);
    return { handshake: described(conn.request), upgrade, last, count: count + 1 };
  }

  /* End the TCP connections of a session, by FIN or by RST, without a word of any protocol above. */
  drop(conn, reset) {
    for (const socket of this.session(conn.id).sockets) reset ? socket.resetAndDestroy() : socket.destroy();
    if (conn.transport.name === "polling") {
      conn.transport.discard(); // between two polls no request breaks
      conn.onClose("transport close");
    }
  }
}

/* Those that a load balancer gives with a handshake; the second one is for another path. */
function cookiesFor(query) {
  return query.has("sid") ? [] : [`lb=${query.get("cookies")}; Path=/; HttpOnly`, "elsewhere=1; Path=/elsewhere"];
}

function giveCookies(request, response) {
  const query = queryOf(request);
  if (!query.has("cookies")) return;
  response.setHeader("x-seen-cookie", request.headers.cookie || "");
  const cookies = cookiesFor(query);
  if (cookies.length === 0) return;
  const { writeHead } = response;
  response.writeHead = (status, headers = {}) => {
    const own = [headers["Set-Cookie"] ?? []].flat(); // by the server's option `cookie`
    return writeHead.call(response, status, { ...headers, "Set-Cookie": [...cookies, ...own] });
  };
}

function giveCookiesToWebSocket(lines, request) {
  const query = queryOf(request);
  if (!query.has("cookies")) return;
  lines.push(`x-seen-cookie: ${request.headers.cookie || ""}`);
  for (const cookie of cookiesFor(query)) lines.push(`Set-Cookie: ${cookie}`);
}

/* Write nothing, not even heartbeats, for a while, and do not mind the client's silence either. */
function silence(conn, ms) {
  const held = [];
  const startTimeout = conn.resetPingTimeout ? "resetPingTimeout" : "setPingTimeout"; // 4.x, 2.x
  conn.sendPacket = (...packet) => void held.push(packet);
  conn[startTimeout] = () => {};
  clearTimeout(conn.pingTimeoutTimer);
  conn.pingTimeoutTimer = null;
  setTimeout(() => {
    delete conn.sendPacket;
    delete conn[startTimeout];
    if (conn.readyState !== "open") return;
    for (const packet of held) conn.sendPacket(...packet);
    if (conn.protocol !== 4 || held.some(([type]) => type === "ping")) conn[startTimeout]();
  }, ms);
}

/* Write the frame of a WebSocket or the body of a poll as it is given. */
function writeRaw(transport, data) {
  if (transport.name === "websocket") transport.socket.send(data);
  else if (transport.writable) {
    transport.writable = false;
    transport.write(data, { compress: false });
  } else setTimeout(() => writeRaw(transport, data), RETRY);
}

module.exports = { Wire, silence, writeRaw };
