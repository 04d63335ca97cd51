"""PyPI `websockets`: speaks, hears, comes again, and is told why it is closed."""

import asyncio
import json
import sys

import websockets

URL = sys.argv[1].replace("http", "ws")


async def ids(socket, count):
    found = []
    while len(found) < count:
        said = json.loads(await asyncio.wait_for(socket.recv(), 10))
        if said["type"] == "message":
            found.append(said["id"])
    return found


async def main():
    protocol = ["hythe.chat.v1"]
    async with websockets.connect(f"{URL}/ws?room=py&name=Guido", subprotocols=protocol) as socket:
        assert socket.subprotocol == protocol[0]
        for ref in range(30):
            await socket.send(json.dumps({"type": "send", "message": f"grüße {ref}", "ref": ref}))
        first = await ids(socket, 30)
        # A message in fragments, with a ping between them.
        await socket.send(['{"type":"send",', '"message":"in pieces"}'])
        await (await socket.ping())
        first += await ids(socket, 1)
    assert first == list(range(first[0], first[0] + 31)), first
    async with websockets.connect(f"{URL}/ws?room=py&since={first[9]}") as socket:
        assert await ids(socket, 21) == first[10:]
        await socket.send(b"binary")
        try:
            while True:
                await asyncio.wait_for(socket.recv(), 10)
        except websockets.ConnectionClosed as closed:
            assert closed.rcvd.code == 1003, closed


asyncio.run(main())
