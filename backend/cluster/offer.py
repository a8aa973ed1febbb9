# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster offers, in a sentence, and the command that adds what it lacks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .jobs_api import JobsApi

RESOURCES = {"3d_gen": 1}  # what a generator needs


def missing(nodes: list[dict[str, float]], needed: Mapping[str, float]) -> dict[str, float]:
    """The resources that no single node has enough of."""
    return {name: n for name, n in needed.items() if not any(node.get(name, 0) >= n for node in nodes)}


def advice(short: Mapping[str, float], head: str) -> str:
    """The sentence for resources that are missing. head: where nodes join, HOST:PORT."""
    command = f"ray start --address={head} --resources='{json.dumps(short)}'"
    return f"No worker offers {', '.join(short)}; add one with: {command}"


def describe(api: JobsApi, needed: Mapping[str, float] | None = None) -> dict[str, Any]:
    """{message: a sentence, ray: the version, nodes: how many, offered: resource -> how many nodes have it, short: what
    is missing}. Raises BackendError.
    """
    needed = needed or RESOURCES
    version, nodes = api.check(), api.nodes()
    short = missing(nodes, needed)
    offered = {name: sum(node.get(name, 0) >= n for node in nodes) for name, n in needed.items()}
    cpus = sum(node.get("CPU", 0) for node in nodes)
    able = ", ".join(f"{name}: {count}" for name, count in offered.items())
    message = f"The cluster runs Ray {version} (nodes: {len(nodes)}, CPUs: {cpus:.0f}, nodes with {able})."
    if short:
        message = f"{message} {advice(short, api.join_address())}"
    return {"message": message, "ray": version, "nodes": len(nodes), "offered": offered, "short": short}
