"""Attach to a FastAPI application: it answers every path but /socket.io.

Any ASGI application will do. Under another command line, name our WebSocket class to get the fast lane:
uvicorn examples.with_fastapi:app --ws socketeer.transports.uvicorn:WebSocketProtocol

Run it (pip install fastapi):

    python examples/with_fastapi.py

Try it in Node.js (npm install socket.io-client):

    const socket = require("socket.io-client").io("http://127.0.0.1:3000");
    socket.on("price", (product, price) => {
      console.log(product, "now costs", price);
      socket.disconnect();
    });
    socket.on("connect", async () => {
      const response = await fetch("http://127.0.0.1:3000/prices/tea?price=4", { method: "PUT" });
      console.log(await response.json());
    });

The client prints, in either order:

    { watchers: 1 }
    tea now costs 4
"""

import os

import uvicorn
from fastapi import FastAPI

from socketeer import Server

io = Server()
api = FastAPI()


@api.put("/prices/{product}")
async def set_price(product: str, price: int) -> dict[str, int]:
    io.emit("price", product, price)
    return {"watchers": len(await io.fetch_sockets())}


app = io.attach(api)

if __name__ == "__main__":
    port = int(os.environ.get("PORT", "3000"))
    uvicorn.run(app, port=port, ws="socketeer.transports.uvicorn:WebSocketProtocol", log_level="warning")
