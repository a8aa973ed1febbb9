# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender's own API looks like, so that a model need not guess: types, properties, functions, operators, nodes."""

from __future__ import annotations

import difflib
from typing import Any

import bpy

from .protocol.registry import Refusal, command

MOST_ENUM_ITEMS = 100
TREES = ("ShaderNodeTree", "GeometryNodeTree", "CompositorNodeTree", "TextureNodeTree")


@command("describe_node_type")
def describe_node_type(bl_idname: str | None = None, property_overrides: dict | None = None) -> dict[str, Any]:
    """The node's properties and sockets, as they are with the overrides; read from a node that is removed again."""
    if not bl_idname:
        raise Refusal("describe_node_type needs bl_idname, such as ShaderNodeMix.")
    for kind in TREES:
        tree = bpy.data.node_groups.new("Avatar Forge Probe", kind)
        try:
            try:
                node = tree.nodes.new(bl_idname)
            except RuntimeError:  # of another kind of tree, or of none
                continue
            refused = _override(node, property_overrides or {})
            return _node(node, kind) | ({"refused_overrides": refused} if refused else {})
        finally:
            bpy.data.node_groups.remove(tree)
    names = [name for name in dir(bpy.types) if "Node" in name]
    return {
        "error": f"There is no node type {bl_idname}.",
        "did_you_mean": difflib.get_close_matches(bl_idname, names, 5),
    }


def _override(node, overrides: dict[str, Any]) -> dict[str, str]:
    """Sets them; returns those that could not be set, with the reason."""
    refused = {}
    for name, value in overrides.items():
        try:
            setattr(node, name, value)
        except (AttributeError, TypeError, ValueError) as problem:
            refused[name] = str(problem)
    return refused


def _node(node, tree: str) -> dict[str, Any]:
    common = {prop.identifier for prop in bpy.types.Node.bl_rna.properties}
    own = [prop for prop in node.bl_rna.properties if prop.identifier not in common]
    return {
        "bl_idname": node.bl_idname,
        "label": node.bl_label,
        "tree": tree,
        "properties": [_property(prop) | {"value": _plain(getattr(node, prop.identifier, None))} for prop in own],
        "inputs": [_socket(index, socket) for index, socket in enumerate(node.inputs)],
        "outputs": [_socket(index, socket) for index, socket in enumerate(node.outputs)],
    }


def _socket(index: int, socket) -> dict[str, Any]:
    said = {
        "index": index,
        "name": socket.name,
        "identifier": socket.identifier,
        "type": socket.type,
        "enabled": socket.enabled,
    }
    return said | ({"default_value": _plain(socket.default_value)} if hasattr(socket, "default_value") else {})


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, set):
        return sorted(value)
    try:
        return [_plain(item) for item in value][:32]
    except TypeError:
        return str(value)


@command("bpy_api_lookup")
def bpy_api_lookup(query: str | None = None) -> dict[str, Any]:
    """query: a type, Type.member, or an operator, with or without "bpy.types." or "bpy.ops." in front."""
    if not query or not query.strip():
        raise Refusal("bpy_api_lookup needs a query, such as Object.ray_cast or bpy.ops.mesh.primitive_cube_add.")
    sought = query.strip().removesuffix("()").removeprefix("bpy.")
    first, _, rest = sought.removeprefix("types.").removeprefix("ops.").partition(".")
    cls = None if sought.startswith("ops.") else getattr(bpy.types, first, None)
    if cls is not None:
        return _member(cls, rest) if rest else _type(cls)
    if rest and first in dir(bpy.ops) and rest in dir(getattr(bpy.ops, first)):
        return _operator(getattr(getattr(bpy.ops, first), rest).get_rna_type(), f"{first}.{rest}")
    names = (
        dir(bpy.types)
        if not rest or first not in dir(bpy.ops)
        else [f"{first}.{name}" for name in dir(getattr(bpy.ops, first))]
    )
    return {
        "error": f"Blender {bpy.app.version_string} has no {query}.",
        "did_you_mean": difflib.get_close_matches(sought, names, 8, 0.5),
    }


def _type(cls) -> dict[str, Any]:
    rna = cls.bl_rna
    return {
        "kind": "type",
        "name": rna.identifier,
        "description": rna.description,
        "base": rna.base.identifier if rna.base else None,
        "properties": [_property(prop) for prop in rna.properties if prop.identifier != "rna_type"],
        "functions": [_function(function) for function in rna.functions],
    }


def _member(cls, name: str) -> dict[str, Any]:
    rna = cls.bl_rna
    head = {"of": rna.identifier}
    if name in rna.properties:
        return {"kind": "property"} | head | _property(rna.properties[name])
    if name in rna.functions:
        return {"kind": "function"} | head | _function(rna.functions[name])
    if hasattr(cls, name):
        return {"kind": "method"} | head | {"name": name, "description": (getattr(cls, name).__doc__ or "")[:2000]}
    names = [*rna.properties.keys(), *rna.functions.keys()]
    return {"error": f"{rna.identifier} has no {name}.", "did_you_mean": difflib.get_close_matches(name, names, 8, 0.4)}


def _operator(rna, name: str) -> dict[str, Any]:
    parameters = [_property(prop) for prop in rna.properties if prop.identifier != "rna_type"]
    return {
        "kind": "operator",
        "name": f"bpy.ops.{name}",
        "label": rna.name,
        "description": rna.description,
        "parameters": parameters,
    }


def _function(function) -> dict[str, Any]:
    parameters = [
        _property(prop) | {"required": prop.is_required} for prop in function.parameters if not prop.is_output
    ]
    returned = [_property(prop) for prop in function.parameters if prop.is_output]
    return {
        "name": function.identifier,
        "description": function.description,
        "parameters": parameters,
        "returns": returned,
    }


def _property(prop) -> dict[str, Any]:
    said: dict[str, Any] = {"name": prop.identifier, "type": prop.type.lower(), "description": prop.description}
    if prop.is_readonly:
        said["readonly"] = True
    if prop.type in {"INT", "FLOAT"}:
        said |= {"min": prop.hard_min, "max": prop.hard_max}
    if prop.type in {"INT", "FLOAT", "BOOLEAN"}:
        said["default"] = list(prop.default_array) if prop.is_array else prop.default
        if prop.subtype != "NONE":
            said["subtype"] = prop.subtype.lower()
    elif prop.type == "STRING":
        said["default"] = prop.default
    elif prop.type == "ENUM":
        said["items"] = [item.identifier for item in prop.enum_items][:MOST_ENUM_ITEMS]
        said["default"] = sorted(prop.default_flag) if prop.is_enum_flag else prop.default
    elif prop.type in {"POINTER", "COLLECTION"} and prop.fixed_type:
        said["of"] = prop.fixed_type.identifier
    return said
