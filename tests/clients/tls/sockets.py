"""PyPI `websockets` over TLS: hears what it says, in order, also what is longer than a record."""

import asyncio
import json
import ssl
import sys

import websockets

URL, CERTIFICATE = sys.argv[1].replace("https", "wss"), sys.argv[2]


async def main():
    settings = ssl.create_default_context(cafile=CERTIFICATE)
    async with websockets.connect(f"{URL}/ws?room=py&name=Guido", ssl=settings, subprotocols=["hythe.chat.v1"]) as socket:
        for ref in range(40):
            await socket.send(json.dumps({"type": "send", "message": f"{ref} " + "ä" * 2000, "ref": ref}))
        heard = []
        while len(heard) < 40:
            said = json.loads(await asyncio.wait_for(socket.recv(), 10))
            if said["type"] == "message":
                heard.append(said["message"])
        assert [int(text.split(" ")[0]) for text in heard] == list(range(40)), heard
        await (await socket.ping())


asyncio.run(main())
