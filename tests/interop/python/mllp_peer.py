"""Both ends of MLLP, by the package `hl7`, which shares no code with us.

First word: a folder. If `port` is in it, sends the messages of `send.json` there and writes the answers to `answers.json`. Else
listens, writes its port to `listening`, answers every message and writes what came to `received`, until `stop` is there."""

import asyncio
import json
import sys
from pathlib import Path

import hl7
from hl7.mllp import open_hl7_connection, start_hl7_server

folder = Path(sys.argv[1])


async def send(port):
    answers = []
    reader, writer = await open_hl7_connection("127.0.0.1", port, encoding="utf-8")
    for name in json.loads((folder / "send.json").read_text()):
        message = hl7.parse((folder / name).read_bytes(), encoding="utf-8")
        writer.writemessage(message)
        await writer.drain()
        answer = await asyncio.wait_for(reader.readmessage(), 30)
        msa = answer.segment("MSA")
        answers.append([str(msa[1]), str(msa[2])])
    writer.close()
    (folder / "answers.json").write_text(json.dumps(answers))


async def serve(reader, writer):
    try:
        while not writer.is_closing():
            message = await reader.readmessage()
            with (folder / "received").open("ab") as received:
                received.write(str(message).encode("utf-8"))
            writer.writemessage(message.create_ack())
            await writer.drain()
    except asyncio.IncompleteReadError:
        writer.close()


async def listen():
    server = await start_hl7_server(serve, host="127.0.0.1", port=0, encoding="utf-8", limit=1 << 26)
    part = folder / "listening.part"
    part.write_text(str(server.sockets[0].getsockname()[1]))
    part.rename(folder / "listening")
    async with server:
        while not (folder / "stop").exists():
            await asyncio.sleep(0.05)


if (folder / "port").exists():
    asyncio.run(send(int((folder / "port").read_text())))
else:
    asyncio.run(listen())
