"""The floor: picows alone, which answers the few packets of the load from constants and knows no protocol.

What it costs is the two system calls of a message and the event loop around them. No server can be cheaper here.
"""

import gc
import sys

import picows
import uvloop

from bench.servers.serving import BACKLOG, ready_line

OPEN = b'0{"sid":"floor","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
CONNECTED = b'40{"sid":"floor"}'
TEXT = picows.WSMsgType.TEXT
BINARY = picows.WSMsgType.BINARY
CLOSE = picows.WSMsgType.CLOSE

peers: set[picows.WSTransport] = set()


class Floor(picows.WSListener):
    """One connection that echoes."""

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        peers.add(transport)
        transport.send(TEXT, OPEN)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        packet = frame.get_payload_as_bytes()
        if packet.startswith(b'42["e'):
            transport.send(TEXT, packet)
        elif frame.msg_type is BINARY:
            transport.send(BINARY, packet)
        elif frame.msg_type is CLOSE:
            transport.disconnect()
        elif packet.startswith(b'42["b'):
            for peer in peers:
                peer.send(TEXT, packet)
        else:
            self._answer(transport, packet)

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        peers.discard(transport)

    def _answer(self, transport: picows.WSTransport, packet: bytes) -> None:
        """Answer the packets that are not on the measured path, or take the place of a codec on it."""
        if packet == b"40":
            transport.send(TEXT, CONNECTED)
        elif packet.startswith(b'421["ack",'):
            transport.send(TEXT, b"431[" + packet[10:])
        elif packet.startswith(b'451-["echo",'):
            transport.send(TEXT, packet)
        elif packet.startswith(b'451-1["ack",'):
            transport.send(TEXT, b"461-1[" + packet[12:])
        elif packet.startswith(b'421["collect"'):
            gc.collect()
            transport.send(TEXT, b"431[]")


async def main() -> None:
    """Serve on 127.0.0.1 until the process is ended."""
    server = await picows.ws_create_server(
        lambda request: Floor(), "127.0.0.1", int(sys.argv[1]), read_buffer_init_size=1024, backlog=BACKLOG
    )
    print(ready_line("picows", "uvloop"), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
