"""A conversation with an MCP server: the real server in a process of its own, the official client SDK over stdio."""

import asyncio
import base64
import json
import os
import threading
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

PATIENCE = 60.0  # seconds; hosts on the TypeScript SDK wait no longer for a tool


@dataclass
class Reply:
    """error: as the server marks it; text: all text of the answer; pictures: their bytes."""

    error: bool
    text: str
    pictures: list[bytes]

    @property
    def json(self):
        return json.loads(self.text)


class Talk:
    """`call(tool, **arguments)` until `close()`. The session lives on a thread's event loop, so tests stay plain
    functions.
    """

    def __init__(self, command, env, errors: Path, cwd=None):
        self.called: list[str] = []
        self.progress: list[float] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._ended = asyncio.Event()
        self._begun: asyncio.Future = asyncio.run_coroutine_threadsafe(
            self._start(command, env, errors, cwd), self._loop
        ).result(PATIENCE)

    async def _start(self, command, env, errors, cwd):
        begun = self._loop.create_future()
        self._life = self._loop.create_task(self._live(command, env, errors, cwd, begun))
        await asyncio.wait({begun, self._life}, return_when=asyncio.FIRST_COMPLETED)
        if not begun.done():
            self._life.result()
        return begun

    async def _live(self, command, env, errors, cwd, begun):
        """Everything of the session in one task, as the SDK's cancel scopes want it."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        parameters = StdioServerParameters(
            command=str(command[0]), args=[str(part) for part in command[1:]], env=kept | env, cwd=cwd
        )
        async with AsyncExitStack() as stack:
            log = stack.enter_context(errors.open("w"))
            streams = await stack.enter_async_context(stdio_client(parameters, errlog=log))
            self._session = await stack.enter_async_context(ClientSession(*streams))
            await self._session.initialize()
            begun.set_result(True)
            await self._ended.wait()

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    async def _note(self, progress, total, message):
        self.progress.append(progress)

    def tools(self):
        return self._run(self._session.list_tools()).tools

    def read(self, uri):
        return self._run(self._session.read_resource(uri)).contents[0].text

    def prompts(self):
        return self._run(self._session.list_prompts()).prompts

    def call(self, tool, **arguments):
        self.called.append(tool)
        answer = self._run(self._session.call_tool(tool, arguments, progress_callback=self._note))
        text = "\n".join(part.text for part in answer.content if part.type == "text")
        pictures = [base64.b64decode(part.data) for part in answer.content if part.type == "image"]
        return Reply(bool(answer.is_error), text, pictures)

    def close(self):
        self._loop.call_soon_threadsafe(self._ended.set)
        asyncio.run_coroutine_threadsafe(self._ending(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _ending(self):
        await asyncio.wait({self._life})
