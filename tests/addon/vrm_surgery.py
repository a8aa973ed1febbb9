"""Takes a .vrm apart and puts it together again, to break it on purpose."""

import copy
import json
import struct

import numpy as np

TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}


class Surgery:
    """json: the file's document; `array(index)` an accessor's content, `replace(index, array)` puts another one in
    its place.
    """

    def __init__(self, file):
        self.file = file
        self.json = copy.deepcopy(file.json)
        self.binary = bytearray(file.binary)
        self.vrm = self.json["extensions"]["VRMC_vrm"]
        self.mesh = self.json["meshes"][0]
        self.presets = self.vrm["expressions"]["preset"]
        self.bones = self.vrm["humanoid"]["humanBones"]

    def node(self, bone):
        return self.json["nodes"][self.bones[bone]["node"]]

    def skin_index(self, bone):
        return self.json["skins"][0]["joints"].index(self.bones[bone]["node"])

    def array(self, index):
        return self.file.accessor(index).copy()

    def replace(self, index, array):
        kind = {"f": 5126, "u": {1: 5121, 2: 5123, 4: 5125}[array.dtype.itemsize]}[array.dtype.kind]
        self.binary += b"\0" * (-len(self.binary) % 4)
        self.json["bufferViews"].append({"buffer": 0, "byteOffset": len(self.binary), "byteLength": array.nbytes})
        self.binary += array.tobytes()
        view = len(self.json["bufferViews"]) - 1
        width = array.shape[1]
        self.json["accessors"][index] = {
            "bufferView": view,
            "componentType": kind,
            "count": len(array),
            "type": TYPES[width],
        }

    def each(self, name, change):
        """`change(array)` for an attribute of every primitive."""
        for index in dict.fromkeys(primitive["attributes"][name] for primitive in self.mesh["primitives"]):
            self.replace(index, change(self.array(index)))

    def expression(self, name, change):
        """`change(displacements, positions)` for what an expression moves, in every primitive."""
        for bind in self.presets[name]["morphTargetBinds"]:
            for primitive in self.mesh["primitives"]:
                accessor = primitive["targets"][bind["index"]]["POSITION"]
                positions = self.array(primitive["attributes"]["POSITION"])
                self.replace(accessor, change(self.array(accessor), positions).astype(np.float32))

    def weights(self, change):
        """`change(joints, weights, positions)` -> both, for every primitive."""
        for primitive in self.mesh["primitives"]:
            names = [primitive["attributes"][key] for key in ("JOINTS_0", "WEIGHTS_0", "POSITION")]
            joints, weights = change(*(self.array(index) for index in names))
            self.replace(names[0], joints.astype(np.uint16))
            self.replace(names[1], weights.astype(np.float32))

    def write(self, path):
        self.json["buffers"][0]["byteLength"] = len(self.binary)
        document = json.dumps(self.json).encode()
        document += b" " * (-len(document) % 4)
        binary = bytes(self.binary) + b"\0" * (-len(self.binary) % 4)
        chunks = (
            struct.pack("<II", len(document), 0x4E4F534A)
            + document
            + struct.pack("<II", len(binary), 0x004E4942)
            + binary
        )
        path.write_bytes(b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks)
        return path
