"""Configure a server by options, and the options by the environment.

Options are checked at once: an unknown name or a wrong type is a TypeError, a value out of range a ValueError. DEBUG
switches the log on: socketeer* is everything.

Run it:

    DEBUG=socketeer* APP_ENV=production APP_ORIGIN=https://example.com python examples/configuration.py

Try it in Node.js (npm install socket.io-client):

    const { io } = require("socket.io-client");
    const polling = io("http://127.0.0.1:3000", { transports: ["polling"], reconnection: false });
    polling.on("connect_error", () => {
      console.log("polling is refused");
      const extraHeaders = { Origin: "https://example.com" };
      const socket = io("http://127.0.0.1:3000", { transports: ["websocket"], extraHeaders, forceNew: true });
      socket.emit("environment", (name) => {
        console.log("connected to", name);
        socket.disconnect();
      });
    });

The client prints:

    polling is refused
    connected to production
"""

import os

from socketeer import Server, Socket

environment = os.environ.get("APP_ENV", "development")
production = environment == "production"

io = Server(
    transports=["websocket"] if production else ["polling", "websocket"],
    cors=os.environ.get("APP_ORIGIN"),  # None: only pages of this server's own origin may connect
    ping_interval=float(os.environ.get("APP_PING_INTERVAL", "25")),
    max_http_buffer_size=100_000,
)


@io.event("environment")
def name_environment(socket: Socket) -> str:
    return environment


if __name__ == "__main__":
    io.listen(int(os.environ.get("PORT", "3000")))
