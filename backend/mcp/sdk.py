# SPDX-License-Identifier: GPL-3.0-or-later
"""The MCP SDK's server, where it leaves something unsaid: a line that is no message gets an error as JSON-RPC asks for
(the SDK drops it, and the client waits), and arguments that do not fit are refused in one sentence.
"""

from __future__ import annotations

import json
import sys
from io import TextIOWrapper
from typing import Any

import anyio
import mcp_types as types
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

NO_JSON = "The line is not JSON; send one JSON-RPC message a line."
NO_MESSAGE = 'The line is not a JSON-RPC message; send {"jsonrpc": "2.0", "id": ..., "method": ..., "params": ...}.'
HALF = "The message contains half a character (a lone surrogate), which no text can hold; send it without."


class Server(MCPServer):
    async def run_stdio_async(self) -> None:
        lines = Lines()
        async with stdio_server(stdin=lines) as (read, write):  # it is only iterated
            lines.answer_on(write)
            server = self._lowlevel_server
            await server.run(read, write, server.create_initialization_options())

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None) -> Any:
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                raise ToolError(misfit(name, error.__cause__)) from None
            raise


class Lines:
    """The lines of stdin that are messages. Every other one that is not blank is answered with an error."""

    def __init__(self) -> None:
        self._file = anyio.wrap_file(TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="replace"))
        self._open = anyio.Event()
        self._write: Any = None

    def answer_on(self, write: Any) -> None:
        self._write = write
        self._open.set()

    def __aiter__(self) -> Lines:
        return self

    async def __anext__(self) -> str:
        while True:
            line = await self._file.readline()
            if not line:
                raise StopAsyncIteration
            if not line.strip():
                continue
            if _is_message(line):
                return line
            if answer := refusal(line):
                await self._open.wait()
                await self._write.send(SessionMessage(answer))


def _is_message(line: str) -> bool:
    """Whether the SDK takes it for what it is: a request whose id is no word and no whole number would be a
    notification there, which has no answer.
    """
    try:
        message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValueError:  # pydantic's ValidationError is one
        return False
    return not (isinstance(message, types.JSONRPCNotification) and "id" in json.loads(line))


def refusal(line: str) -> types.JSONRPCError | None:
    """What a line that is no message is answered with; None for a reply, which has no answer."""
    code, message, request = types.PARSE_ERROR, NO_JSON, None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    else:
        code, message = types.INVALID_REQUEST, NO_MESSAGE
        if not _whole(found):
            code, message = types.PARSE_ERROR, HALF
    if isinstance(found, dict):
        if "method" not in found and found.keys() & {"result", "error"}:
            return None
        given = found.get("id")
        request = given if type(given) is int or (isinstance(given, str) and _whole(given)) else None
    return types.JSONRPCError(jsonrpc="2.0", id=request, error=types.ErrorData(code=code, message=message))


def _whole(value: Any) -> bool:
    """Whether no text in a value has half a surrogate pair."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def misfit(tool: str, error: ValidationError) -> str:
    """One sentence about the first argument that is missing or of another kind."""
    first = error.errors(include_url=False, include_context=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"{tool} needs {name}; call it again with it."
    wanted = f"{first['msg'][:1].lower()}{first['msg'][1:200]}"
    return f"{tool}: {name} cannot be used ({wanted}); see the tool's description and call it again."
