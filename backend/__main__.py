# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m backend [command]`. Without a command it is the worker that Blender talks to."""

from __future__ import annotations

import importlib
import sys

# name -> module:function taking the remaining arguments and returning the exit status; imported only when asked for.
COMMANDS = {
    "worker": "backend.commands:worker",
    "hello": "backend.commands:hello",
    "promote": "backend.records.commands:promote",
    "register": "backend.records.commands:register",
    "sync": "backend.records.commands:sync",
    "rerun": "backend.records.commands:rerun",
    "models": "backend.commands:models",
    "step": "backend.records.commands:step",
    "mcp": "backend.mcp.server:main",
    "rig-eval": "backend.rig_metrics:rig_eval",
}


def main(arguments: list[str]) -> int:
    name = arguments[0] if arguments else "worker"
    if name in ("-h", "--help"):
        print(f"usage: python -m backend COMMAND\n\nCommands: {', '.join(COMMANDS)}. COMMAND --help describes one.")
        return 0
    if name not in COMMANDS:
        print(f"Unknown command {name!r}. Commands: {', '.join(COMMANDS)}.", file=sys.stderr)
        return 2
    module, function = COMMANDS[name].split(":")
    return getattr(importlib.import_module(module), function)(arguments[1:])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
