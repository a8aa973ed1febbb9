# SPDX-License-Identifier: GPL-3.0-or-later
"""The engines' options as properties of the scene's settings, made from the engines' descriptions (engines.json and
what the backend tells).

A built-in engine's options are `settings.<engine>`, those of another package's engine `settings.<kind>_<engine>`. The
names are kept in saved files and presets.
"""

from __future__ import annotations

import contextlib
import re
import traceback
import zlib
from collections.abc import Iterator
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty
from bpy.types import PropertyGroup

from . import engines
from .engines import Row

SETTINGS = {"generators": "engine", "riggers": "rigger"}  # kind -> the setting that chooses one
LARGEST = 2**31 - 1
UNITS = {"m": {"unit": "LENGTH"}, "px": {"subtype": "PIXEL"}}  # a description's unit -> Blender's

_owner: type[PropertyGroup] | None = None  # the settings' class, while it is registered
_groups: dict[str, tuple[type[PropertyGroup], list[Row]]] = {}  # attribute -> its class, and what it was made from


def attribute(kind: str, name: str) -> str:
    """The name of an engine's options among the settings."""
    if name in engines.BUILT_IN[kind]:
        return name
    slug = re.sub(r"\W", "_", name, flags=re.ASCII)[:30]
    return f"{kind[:-1]}_{slug}" if slug == name else f"{kind[:-1]}_{slug}_{zlib.crc32(name.encode()):08x}"


def group_of(settings: PropertyGroup, kind: str) -> PropertyGroup | None:
    """The options of the chosen engine of a kind; None for one that has none."""
    return getattr(settings, attribute(kind, getattr(settings, SETTINGS[kind])), None)


def drawn(settings: PropertyGroup, kind: str, advanced: bool) -> Iterator[str]:
    """The properties of `group_of` to draw; the options below a switch only while it is on."""
    group = group_of(settings, kind)
    if group is None:
        return
    switches = set()
    for option in _shown(engines.options(kind, getattr(settings, SETTINGS[kind]))):
        if option["advanced"] != advanced:
            continue
        switch = (option["switch"] or {}).get("name", "")
        if switch and switch not in switches:
            switches.add(switch)
            yield switch
        if not switch or getattr(group, switch):
            yield option["property"]


def paths() -> list[str]:
    """Every engine's options, seen from the settings; for presets."""
    return sorted(_groups)


def engine_options(settings: PropertyGroup) -> dict[str, Any]:
    """The chosen generator's options as the backend takes them; {} for an engine that describes none."""
    return _values(settings, "generators")


def rigger_options(settings: PropertyGroup) -> dict[str, Any]:
    """The chosen rigger's options; see `engine_options`."""
    return _values(settings, "riggers")


def rigger_seed(settings: PropertyGroup) -> int:
    """The seed of a rigger that asks for one of its own, so that a skeleton can be drawn again for the same mesh; else
    the avatar's.
    """
    group = group_of(settings, "riggers")
    own = [option for option in _shown(engines.options("riggers", settings.rigger)) if option["type"] == "seed"]
    return getattr(group, own[0]["property"]) if group and own else settings.seed


def _values(settings: PropertyGroup, kind: str) -> dict[str, Any]:
    group = group_of(settings, kind)
    if group is None:
        return {}
    options = _shown(engines.options(kind, getattr(settings, SETTINGS[kind])))
    return {
        option["name"]: _value(group, option["property"])
        for option in options
        if option["type"] != "seed" and (not option["switch"] or getattr(group, option["switch"]["name"]))
    }


def _value(group: PropertyGroup, name: str) -> Any:
    """Blender stores single precision: 1.6 comes back as 1.60000002."""
    value = getattr(group, name)
    return round(value, 6) if isinstance(value, float) else value


def _shown(options: list[Row]) -> list[Row]:
    return [option for option in options if option["shown"] and option["type"] != "paths"]


# Descriptions to properties


def _property(option: Row) -> Any:
    kind, default = option["type"], option["initial"] if option["default"] is None else option["default"]
    label, description = option["label"], option["help"]
    shown: dict[str, Any] = {"name": label, "description": description}
    if kind == "seed":
        return IntProperty(**shown, min=0)
    if kind == "enum":
        items = [(choice["value"], choice["label"], choice["help"]) for choice in option["choices"]]
        return EnumProperty(**shown, items=items, default=default or items[0][0])
    if kind == "bool":
        return BoolProperty(**shown, default=bool(default))
    if kind == "str":
        return StringProperty(**shown, default=default or "")
    low, high = option["low"], option["high"]
    shown |= {"default": low if default is None else default} | UNITS.get(option["unit"], {})
    if kind == "int":
        return IntProperty(**shown, min=max(int(low), -LARGEST), max=min(int(high), LARGEST))
    return FloatProperty(**shown, min=low, max=high, precision=option["digits"])


def _properties(options: list[Row]) -> dict[str, Any]:
    """By name, those of switches included."""
    made = {}
    for option in options:
        if switch := option["switch"]:
            label, description = switch["label"], switch["help"]
            made[switch["name"]] = BoolProperty(name=label, description=description)
        made[option["property"]] = _property(option)
    return made


def _update() -> None:
    """Makes the properties of engines that have become known, and makes those again that are described in another
    way; values are kept by name. Groups stay registered, since somebody may hold one.
    """
    for kind, row in engines.all_rows():
        name, options = attribute(kind, row["name"]), _shown(row.get("options", []))
        if not options or (name in _groups and _groups[name][1] == options):
            continue
        try:
            properties = _properties(options)
            if name in _groups:
                group, _ = _groups[name]
                for key, value in properties.items():
                    setattr(group, key, value)
            else:
                body = {"__annotations__": properties, "__module__": __name__}
                group = type(f"AvatarForgeOptions_{name}", (PropertyGroup,), body)
                bpy.utils.register_class(group)
                setattr(_owner, name, PointerProperty(type=group))
        except Exception:  # what another package says; its engine runs with its own defaults
            traceback.print_exc()
            continue
        _groups[name] = group, options


def register(owner: type[PropertyGroup]) -> None:
    """owner: the registered class of the scene's settings."""
    global _owner
    _owner = owner
    _update()
    engines.ON_LEARNED.append(_update)


def unregister() -> None:
    """Call it while the owner is still registered."""
    global _owner
    with contextlib.suppress(ValueError):
        engines.ON_LEARNED.remove(_update)
    for name, (group, _) in _groups.items():
        delattr(_owner, name)
        bpy.utils.unregister_class(group)
    _groups.clear()
    _owner = None
