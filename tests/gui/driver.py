# SPDX-License-Identifier: GPL-3.0-or-later
"""What the window's tool runs inside Blender: the scenario named by AVATAR_FORGE_SCENARIO."""

import importlib
import os
import sys


def drive(g):
    sys.path.insert(0, os.environ["AVATAR_FORGE_GUI"] + "/drivers")
    yield from importlib.import_module("scenarios." + os.environ["AVATAR_FORGE_SCENARIO"]).drive(g)
