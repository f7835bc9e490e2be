"""Get values that are checked and converted: say what an event carries in the annotations of its handler.

What does not fit never reaches the handler. The client's acknowledgement says why, the log has a warning, and the error
hook gets a BadPayload.

Run it:

    python examples/typed_payloads.py

Try it in Node.js (npm install socket.io-client):

    const socket = require("socket.io-client").io("http://127.0.0.1:3000");
    (async () => {
      const order = { item: "tea", size: "large", extras: [{ name: "lemon", count: 2 }] };
      console.log(await socket.emitWithAck("order", order, "Ada"));
      const { error } = await socket.emitWithAck("order", { ...order, extras: [{ name: "lemon", count: "two" }] });
      console.log(error.path, "-", error.message);
      socket.disconnect();
    })();

The client prints:

    { guest: 'Ada', price: 4.5 }
    extras[0].count - order.extras[0].count: Expected `int`, got `str`

The server prints:

    a large tea with 2 lemon
    refused: order
"""

import os
from dataclasses import dataclass, field
from typing import Literal, TypedDict

from socketeer import BadPayload, Server, Socket

io = Server()


@dataclass
class Extra:
    name: str
    count: int = 1


@dataclass
class Order:
    item: str
    size: Literal["small", "large"]
    extras: list[Extra] = field(default_factory=list)


class Receipt(TypedDict):
    guest: str
    price: float


@io.event
def order(socket: Socket, order: Order, guest: str = "somebody") -> Receipt:
    extras = " and ".join(f"{extra.count} {extra.name}" for extra in order.extras)
    print(f"a {order.size} {order.item} with {extras}", flush=True)
    return {"guest": guest, "price": 4.5}


@io.on("error")
def failed(error: Exception) -> None:
    if isinstance(error, BadPayload):
        print(f"refused: {error.event}", flush=True)


if __name__ == "__main__":
    io.listen(int(os.environ.get("PORT", "3000")))
