# SPDX-License-Identifier: GPL-3.0-or-later
"""What the VRM Add-on's own automatic assignment answers: `PYTHON_WITH_BPY -m benchmarks.vrm_addon_bones
SKELETONS.json ANSWERS.json`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import bpy
import numpy as np

from avatar_addon.mesh.armature import Bones, make_armature
from avatar_addon.vrm.spec.human_bones import BONES, snake_case


def main() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.preferences.addon_enable(module="io_scene_vrm")
    answers = []
    for row in json.loads(Path(sys.argv[1]).read_text()):
        names = [f"bone_{k}" for k in range(len(row["parents"]))]
        bones = Bones(names, row["parents"], np.array(row["heads"]), np.array(row["tails"]))
        armature = make_armature("Skeleton", bones, bpy.context.scene.collection)
        bpy.context.view_layer.objects.active = armature
        start = time.perf_counter()
        humanoid = armature.data.vrm_addon_extension
        humanoid.spec_version = "1.0"
        bpy.ops.vrm.assign_vrm1_humanoid_human_bones_automatically(armature_object_name=armature.name)
        seconds = time.perf_counter() - start
        found = {name: getattr(humanoid.vrm1.humanoid.human_bones, snake_case(name)).node.bone_name for name in BONES}
        answers.append({"bones": {name: int(bone[5:]) for name, bone in found.items() if bone}, "seconds": seconds})
        print(f"{len(answers)}: {len(answers[-1]['bones'])} bones, {seconds:.1f} s", flush=True)
        bpy.data.objects.remove(armature)
        Path(sys.argv[2]).write_text(json.dumps(answers))


try:
    main()
    sys.stdout.flush()
finally:
    os._exit(0)
