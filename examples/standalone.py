"""Run a server of its own, inside an asyncio program that does other things too.

io.listen(3000) blocks; io.serve(3000) is awaited, here beside a clock that emits the time.

Run it:

    python examples/standalone.py

Try it in Node.js (npm install socket.io-client):

    const socket = require("socket.io-client").io("http://127.0.0.1:3000");
    socket.on("time", (seconds) => {
      console.log("the clock runs:", seconds > 1700000000);
      socket.disconnect();
    });

The client prints:

    the clock runs: true
"""

import asyncio
import os
import time

from socketeer import Server

io = Server()


async def clock() -> None:
    while True:
        io.emit("time", time.time())
        await asyncio.sleep(0.2)


async def main() -> None:
    ticking = asyncio.create_task(clock())
    try:
        await io.serve(int(os.environ.get("PORT", "3000")))
    finally:
        ticking.cancel()


if __name__ == "__main__":
    asyncio.run(main())
