"""A checkpoint folder of the published layout, made of a golden vector's tiny networks."""

import json
from pathlib import Path

from safetensors import safe_open

VECTOR = Path(__file__).resolve().parents[1] / "golden" / "skintokens" / "ar_skeleton_strict.safetensors"

with safe_open(VECTOR, "pt") as _file:
    CONFIG = json.loads(_file.metadata()["meta"])["config"]
    _STATE = {key.removeprefix("w."): _file.get_tensor(key) for key in _file.keys() if key.startswith("w.")}  # noqa: SIM118
CODES = 64  # levels 4, 4, 4


def tiny_state():
    """The networks' weights, exact in bfloat16 like the released ones."""
    return {name: value.bfloat16().float() for name, value in _STATE.items() if "lm_head" not in name}
