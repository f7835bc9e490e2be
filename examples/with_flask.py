"""Attach to a Flask application, or another WSGI one: it runs in threads and answers every path but /socket.io.

A view may emit, though it runs in another thread than the server.

Run it (pip install flask):

    python examples/with_flask.py

Try it in Node.js (npm install socket.io-client):

    const socket = require("socket.io-client").io("http://127.0.0.1:3000");
    socket.on("order", (order) => {
      console.log("new order:", order);
      socket.disconnect();
    });
    socket.on("connect", async () => {
      const response = await fetch("http://127.0.0.1:3000/orders", { method: "POST", body: "two teas" });
      console.log(response.status, await response.text());
    });

The client prints, in either order:

    201 thank you
    new order: two teas
"""

import os

import uvicorn
from flask import Flask, request

from socketeer import Server

io = Server()
shop = Flask(__name__)


@shop.post("/orders")
def order() -> tuple[str, int]:
    io.emit("order", request.get_data(as_text=True))
    return "thank you", 201


app = io.attach(shop)

if __name__ == "__main__":
    port = int(os.environ.get("PORT", "3000"))
    uvicorn.run(app, port=port, ws="socketeer.transports.uvicorn:WebSocketProtocol", log_level="warning")
