# SPDX-License-Identifier: GPL-3.0-or-later
"""A conversation as a model in VS Code would have it, through the real servers, BlenderMCP's of today and ours.

    .venv/mcp/bin/python -m tests.mcp.record --port 9876 --picture PICTURE --folder FOLDER [--docs docs/vscode.md]

The prompts and which tool answers them are written down here; every reply is what the server said. FOLDER is seen by
Blender under the same path. With --docs the part of the file between its two marks is replaced.
"""

import argparse
import contextlib
import json
import os
import re
import socket
import textwrap
import time
from pathlib import Path

from tests.mcp.talk import Talk

ROOT = Path(__file__).resolve().parents[2]
START, END = "<!-- recorded by tests/mcp/record.py -->", "<!-- end of the recording -->"
LONGEST = 900  # characters of a reply that are shown
WIDTH = 140


class Recorder:
    """Calls tools and writes down what was said."""

    def __init__(self, options):
        self.options, self.lines = options, []
        self.seconds = 0.0
        environment = {
            "HOME": str(options.folder),
            "BLENDER_PORT": str(options.port),
            "BLENDER_HOST": "127.0.0.1",
            "DISABLE_TELEMETRY": "true",
        }
        os.environ["TMPDIR"] = str(options.folder)  # screenshots travel as files
        venvs = ROOT / ".venv"
        self.servers = {
            "blender": Talk([venvs / "mcp-2.2.4/bin/mcp-for-blender"], environment, options.folder / "blender.log"),
            "avatar-forge": Talk(
                [venvs / "mcp/bin/python", "-m", "backend", "mcp"],
                environment,
                options.folder / "avatar-forge.log",
                ROOT,
            ),
        }

    def prompt(self, text):
        self.lines += ["", f"**You:** {text}"]

    def call(self, server, tool, **arguments):
        began = time.perf_counter()
        reply = self.servers[server].call(tool, **arguments)
        seconds = time.perf_counter() - began
        self.seconds += seconds
        shown = json.dumps(arguments, ensure_ascii=False) if arguments else ""
        self.lines += ["", f"`{server}` → `{tool}({self._clean(shown)})` ({seconds:.1f} s)", ""]
        if reply.error:
            raise SystemExit(f"{tool}: {reply.text}")
        text = self._clean(_short(reply.text.strip()))
        if text:
            self.lines += [
                "```text",
                *(part for line in text.splitlines() for part in textwrap.wrap(line, WIDTH) or [""]),
                "```",
            ]
        self.lines += [f"*(a picture, {len(picture) / 1000:.0f} kB PNG)*" for picture in reply.pictures]
        for number, picture in enumerate(reply.pictures):
            (self.options.folder / f"{tool}-{number}.png").write_bytes(picture)
        return reply

    def _clean(self, text):
        """Without this machine's folders."""
        text = text.replace(str(self.options.folder), "/home/you/mia")
        return re.sub(r"/[^\s\"]*/(?=runs/\d{8}-)", "/home/you/avatar_forge/", text)

    def close(self):
        for talk in self.servers.values():
            talk.close()


def _short(text):
    """JSON on few lines; what is long is cut, and says so, and so is what the server wants the user to buy."""
    text, offer, _ = text.partition("\n\nOnce in this chat, briefly tell the user:")
    if offer:
        return text + "\n… (the server's paid offer is left out)"
    with contextlib.suppress(ValueError):
        text = json.dumps(json.loads(text), ensure_ascii=False)
    return text if len(text) <= LONGEST else text[:LONGEST].rstrip() + f" … ({len(text) - LONGEST} characters more)"


def converse(recorder, picture, folder):
    call = recorder.call
    recorder.prompt("What is open in Blender, and can it make avatars?")
    call("blender", "get_scene_info")
    call("avatar-forge", "avatar_status")
    recorder.prompt(f"Make an avatar called Mia from `{recorder._clean(str(picture))}`. The author is Jo.")
    job = call("avatar-forge", "make_avatar", picture=str(picture), name="Mia", author="Jo").json["job"]
    while call("avatar-forge", "wait_for_job", job=job, seconds=20).json["status"] in ("waiting", "running"):
        pass
    recorder.prompt("Let me see her, and how she looks when she is happy.")
    call("blender", "look", mode="angles", target=["Mia"])
    call("avatar-forge", "preview_expression", expression="happy")
    recorder.prompt("Is anything wrong with her? If not, write the VRM file.")
    call("avatar-forge", "validate_avatar")
    call("avatar-forge", "export_vrm", path=str(folder / "mia.vrm"))
    recorder.prompt(
        "Now use only the Blender server: generate a model from the same picture, call it Statue, and put it behind her"
        " on the left."
    )
    call("blender", "generate_3d", image=str(picture), name="Statue")
    call(
        "blender",
        "execute_blender_code",
        code=(
            "import bpy\nstatue = bpy.data.objects['Statue']\nstatue.location = (1.1, 0.9,"
            " 0)\nprint(statue.location[:])"
        ),
    )
    call("blender", "look", mode="viewport")


def wait_for(port, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.5)
    raise SystemExit(f"Nobody listens on 127.0.0.1:{port}.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9876)
    parser.add_argument("--picture", type=Path, default=ROOT / "examples/companion.png")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--docs", type=Path)
    parser.add_argument("--patience", type=float, default=300.0, help="seconds to wait for Blender")
    parser.add_argument("--linger", type=float, default=0.0, help="seconds to stay connected until FOLDER/seen appears")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    done = options.folder / "done"
    try:
        wait_for(options.port, options.patience)
        recorder = Recorder(options)
        converse(recorder, options.picture, options.folder)
        done.touch()
        until = time.monotonic() + options.linger
        while time.monotonic() < until and not (options.folder / "seen").exists():
            time.sleep(0.1)
        recorder.close()
        (options.folder / "conversation.md").write_text("\n".join(recorder.lines).strip() + "\n")
        print(f"{recorder.seconds:.0f} s in tools; {options.folder / 'conversation.md'}")
        if options.docs:
            text = options.docs.read_text()
            before, after = text[: text.index(START) + len(START)], text[text.index(END) :]
            options.docs.write_text(before + "\n" + "\n".join(recorder.lines) + "\n\n" + after)
    finally:
        done.touch()


if __name__ == "__main__":
    main()
