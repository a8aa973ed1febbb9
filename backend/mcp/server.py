# SPDX-License-Identifier: GPL-3.0-or-later
"""Avatar Forge's own MCP server: `python -m backend mcp`, over stdio. Needs requirements/mcp.txt only.

Every tool asks the add-on in Blender, where the panel's own steps run. No call holds longer than 45 s: what takes
longer is a job, which `wait_for_job` waits for piece by piece.
"""

from __future__ import annotations

import argparse
import base64
import functools
import os
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, TypeVar

import anyio.to_thread
from mcp.server.mcpserver import Context, Image
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from .blender_socket import PORT, PORT_VARIABLE, TIMEOUT, Blender, BlenderBusy, BlenderError
from .sdk import Server

Tool = TypeVar("Tool", bound=Callable[..., Any])

WAIT = 40.0  # seconds that a call waits for a job at most
ENDED = ("done", "failed", "cancelled")
STATE = ("job", "status")  # what the state of a job has at least

INSTRUCTIONS = """\
Avatar Forge makes a rigged, talking VRM avatar in Blender from one picture of a character (whole body, from the
front, plain background).

Usual order: `avatar_status`, then `make_avatar` with the absolute path of the picture, then `wait_for_job` until it is
done, then `preview_expression` to look at the result, `validate_avatar` for the report card, `export_vrm` to write
the file. Tell the user about warnings and checks that are not PASS. Each says how to fix it: correct wrong eyes or a
wrong mouth with `set_face_landmarks`, wrong bones with `assign_humanoid_bones`, then call `export_vrm` again.

Long tasks return a job. Jobs run one after the other. Do not start a job again because it takes long; call
`wait_for_job` again."""

server = Server("avatar-forge", title="Avatar Forge", instructions=INSTRUCTIONS)
blender = Blender(PORT, "")  # `main` says which

Avatar = Annotated[str | None, Field(description="Name of the avatar; omit it for the selected or only one.")]
Picture = Annotated[
    str, Field(description="Absolute path of a picture file on the computer that Blender runs on (PNG, JPEG or WebP).")
]
Pictures = Annotated[
    dict[Literal["left", "back", "right"], str] | None,
    Field(description="Absolute paths of pictures of the character's own left side, back and right side."),
]
Sheet = Annotated[
    bool | None,
    Field(
        description="Set to true if the picture is a sheet that shows the character from several sides. The result's"
        " `sheet` says which figures are used, and why others are not."
    ),
]
Replace = Annotated[
    bool | None,
    Field(description="Set to true to replace an existing file that these tools did not write. Ask the user first."),
]
Seed = Annotated[
    int | None,
    Field(
        ge=0, description="A different number gives a different result. The same picture and seed give the same result."
    ),
]
Engine = Annotated[
    str | None,
    Field(description=("Generator, from the list in `avatar_status`; omit it for the best one that can run.")),
]
Rigger = Annotated[
    str | None, Field(description="Rigger, from the list in `avatar_status`; omit it for the user's choice.")
]
Options = Annotated[
    dict[str, Any] | None,
    Field(description='Options of the generator, from the list in `avatar_status`, such as {"height": 1.5}.'),
]
Version = Annotated[
    Literal["1.0", "0.0"] | None, Field(description="VRM version; omit it for the user's choice, usually 1.0.")
]
Point = Annotated[
    list[float],
    Field(min_length=3, max_length=3, description="[x, y, z] in metres: Z up, the character faces -Y, its left is +X."),
]


def _reads(title: str) -> ToolAnnotations:
    return ToolAnnotations(title=title, read_only_hint=True, destructive_hint=False, open_world_hint=False)


def _changes(title: str, destructive: bool = False, idempotent: bool = False, world: bool = False) -> ToolAnnotations:
    return ToolAnnotations(
        title=title,
        read_only_hint=False,
        destructive_hint=destructive,
        idempotent_hint=idempotent,
        open_world_hint=world,
    )


def _tool(annotations: ToolAnnotations, structured_output: bool | None = None) -> Callable[[Tool], Tool]:
    """Declares a tool; its docstring, as one line, is what the model reads."""

    def declare(function: Tool) -> Tool:
        description = " ".join((function.__doc__ or "").split())
        return server.tool(annotations=annotations, description=description, structured_output=structured_output)(
            function
        )

    return declare


def _ask(command: str, timeout: float = TIMEOUT, needs: Sequence[str] = (), **params: Any) -> dict[str, Any]:
    try:
        return blender.ask(command, timeout, needs, **params)
    except BlenderError as error:
        raise ToolError(str(error)) from error


async def _ask_soon(command: str, **params: Any) -> dict[str, Any]:
    """As `_ask`, without holding up other calls."""
    return await anyio.to_thread.run_sync(lambda: _ask(command, **params))


def _job(command: str, **params: Any) -> dict[str, Any]:
    """The state of a job that the command starts."""
    return _hint(_ask(command, needs=STATE, **params))


def _hint(state: dict[str, Any]) -> dict[str, Any]:
    """The state of a job, with what to do next while it is not done."""
    if state["status"] not in ENDED:
        state["next"] = f"Call wait_for_job(job={state['job']!r}); do not start it again."
    return state


async def _until_done(job: str, until: float, context: Context | None = None) -> dict[str, Any]:
    """Waits for a job; its state at the end, or at the time `until` (time.monotonic())."""
    state: dict[str, Any] = {"job": job, "status": "running", "fraction": 0.0}
    while True:
        left = max(until - time.monotonic(), 0.0) + 3.0
        try:
            ask = functools.partial(blender.ask, "avatar_job", min(left, TIMEOUT), STATE, job=job)
            state = await anyio.to_thread.run_sync(ask)
        except BlenderBusy:  # a step of the job may take all of Blender for a while
            state["message"] = "Blender is busy"
        except BlenderError as error:
            raise ToolError(str(error)) from error
        if state["status"] in ENDED or time.monotonic() > until:
            return _hint(state)
        if context:
            await context.report_progress(state.get("fraction", 0.0), 1.0, state.get("message", ""))
        await anyio.sleep(0.25)


async def _result(command: str, began: float | None = None, **params: Any) -> dict[str, Any]:
    """Starts a job that usually takes seconds and returns its result; a job that takes longer as such. Raises
    ToolError.
    """
    until = (began or time.monotonic()) + WAIT
    state = await _until_done((await _ask_soon(command, needs=STATE, **params))["job"], until)
    if state["status"] == "done":
        return dict(state.get("result") or {})
    if state["status"] in ENDED:
        raise ToolError(state.get("error") or f"The job was {state['status']}.")
    return state


# Looking


@_tool(_reads("Avatar Forge Status"))
def avatar_status() -> dict[str, Any]:
    """Status of Avatar Forge in this Blender: whether the backend is ready, generators and riggers with the reason
    why one cannot run, every avatar with its steps (done, outdated, next, to do) and warnings, and running jobs.
    Call it first.
    """
    return _ask("avatar_status")


@_tool(_reads("Humanoid Bones"))
def list_humanoid_bones(avatar: Avatar = None) -> dict[str, Any]:
    """The VRM humanoid bones with the assigned bones of the avatar's armature, the missing required bones, and all
    bones with their parents.
    """
    return _ask("avatar_bones", avatar=avatar)


@_tool(_reads("Face Landmarks"))
def list_face_landmarks(avatar: Avatar = None) -> dict[str, Any]:
    """Positions of the avatar's eyes, mouth and, if placed, brows and jaw (metres, at rest), and the confidence of the
    detection. If it is below 0.5, look at the face with `preview_expression` and correct the positions.
    """
    return _ask("avatar_landmarks", avatar=avatar)


@_tool(_reads("Expressions"))
def list_expressions(avatar: Avatar = None) -> dict[str, Any]:
    """The expression names that `preview_expression` accepts for this avatar."""
    return _ask("avatar_expressions", avatar=avatar)


@_tool(_reads("Preview Expression"), structured_output=False)
def preview_expression(
    expression: Annotated[
        str, Field(description="rest, a viseme (aa ih ou ee oh), blink, happy, angry, sad, relaxed, surprised, ...")
    ] = "rest",
    weight: Annotated[float, Field(ge=0, le=1, description="1 is the full expression.")] = 1.0,
    view: Annotated[Literal["face", "body"], Field(description="The head, or the whole body.")] = "face",
    size: Annotated[int, Field(ge=64, le=768, description="Width and height in pixels.")] = 384,
    avatar: Avatar = None,
) -> Image:
    """A front view of the avatar with an expression. Does not change the scene. Use it to look at the result."""
    what = {"avatar": avatar, "expression": expression, "weight": weight, "view": view, "size": size}
    shown = _ask("avatar_preview_expression", WAIT, ("image", "format"), **what)
    return Image(data=base64.b64decode(shown["image"]), format=shown["format"])


@_tool(_reads("Runs"))
def list_runs(limit: Annotated[int, Field(ge=1, le=200)] = 20) -> dict[str, Any]:
    """Avatars that were made before, newest first: name, time, engine, result of the checks, the paths of the run
    folder and the VRM file, and the address if it was promoted.
    """
    return _ask("avatar_runs", limit=limit)


@_tool(_reads("Jobs"))
def list_jobs() -> dict[str, Any]:
    """The jobs since Blender was started, newest first, with their states. `wait_for_job` returns their results."""
    return _ask("avatar_jobs")


@_tool(_reads("Wait for Job"))
async def wait_for_job(
    context: Context,
    job: Annotated[str, Field(description="The job id that the tool that started the job returned.")],
    seconds: Annotated[
        float, Field(ge=0, le=WAIT, description="Maximum time to wait; 0 returns the state at once.")
    ] = 30.0,
) -> dict[str, Any]:
    """Waits until a job has finished, for at most 40 s. Returns `status` (waiting, running, done, failed, cancelled),
    the progress, then `result` or `error`. If the job has not finished, call this again.
    """
    return await _until_done(job, time.monotonic() + min(seconds, WAIT), context)


# Making


@_tool(_changes("Make Avatar"))
def make_avatar(
    picture: Picture,
    name: Annotated[str | None, Field(description="Name of the avatar; default: the picture's name.")] = None,
    vrm_path: Annotated[
        str | None, Field(description="Absolute path of a .vrm file or a folder; also writes the VRM file.")
    ] = None,
    replace: Replace = None,
    engine: Engine = None,
    rigger: Rigger = None,
    seed: Seed = None,
    author: Annotated[str | None, Field(description="Author, written to the VRM file.")] = None,
    engine_options: Options = None,
    perfect_sync: Annotated[
        bool | None, Field(description="Also make the 52 face shapes of ARKit, for face trackers.")
    ] = None,
    pictures: Pictures = None,
    sheet: Sheet = None,
) -> dict[str, Any]:
    """Makes a finished avatar from a picture in Blender's scene: mesh, skeleton, T-pose, talking face, VRM settings,
    checks. Returns a job at once; then call `wait_for_job`. Takes seconds with the preview engine, minutes with
    others.
    """
    return _job(
        "avatar_make", picture=picture, name=name, path=vrm_path, replace=replace, engine=engine, rigger=rigger,
        seed=seed, author=author, engine_options=engine_options, perfect_sync=perfect_sync,
        pictures=pictures, sheet=sheet,
    )  # fmt: skip


@_tool(_changes("Make Avatar from Text"))
def avatar_from_text(
    text: Annotated[str, Field(description="The character in a sentence: who, hair, clothes, colours, style.")],
    name: Annotated[str | None, Field(description="Name of the avatar.")] = None,
    vrm_path: Annotated[
        str | None, Field(description="Absolute path of a .vrm file or a folder; also writes the VRM file.")
    ] = None,
    replace: Replace = None,
    seed: Seed = None,
) -> dict[str, Any]:
    """Makes a reference picture by the picture server that the user has set in the preferences, then the avatar from
    it. Returns a job at once; then call `wait_for_job`. Refused where no picture server is set.
    """
    return _job("avatar_from_text", text=text, name=name, path=vrm_path, replace=replace, seed=seed)


@_tool(_changes("Generate Mesh"))
def generate_mesh(
    picture: Picture,
    name: Annotated[str | None, Field(description="Name of the object; default: the picture's name.")] = None,
    engine: Engine = None,
    seed: Seed = None,
    engine_options: Options = None,
    pictures: Pictures = None,
    sheet: Sheet = None,
) -> dict[str, Any]:
    """Makes a textured mesh without a skeleton from a picture: only the first step of `make_avatar`. Returns a job at
    once.
    """
    return _job(
        "avatar_generate", picture=picture, name=name, engine=engine, seed=seed, engine_options=engine_options,
        pictures=pictures, sheet=sheet,
    )  # fmt: skip


@_tool(_changes("Rig Avatar", destructive=True))
def rig_avatar(
    avatar: Avatar = None,
    rigger: Rigger = None,
    seed: Seed = None,
    t_pose: Annotated[
        bool, Field(description="Straighten arms and legs and make this the rest pose, as VRM requires.")
    ] = True,
) -> dict[str, Any]:
    """Gives the avatar a skeleton, weights and humanoid bones. Existing ones are replaced. Returns a job at once."""
    return _job("avatar_rig", avatar=avatar, rigger=rigger, seed=seed, t_pose=t_pose)


@_tool(_changes("Assign Humanoid Bones", idempotent=True))
def assign_humanoid_bones(
    bones: Annotated[
        dict[str, str | None] | None,
        Field(
            description=(
                'VRM 1.0 bone -> bone of the armature, or null to unassign: {"leftHand": "hand.L"}. Others stay as they'
                " are."
            )
        ),
    ] = None,
    automatic: Annotated[bool, Field(description="First find all bones by the skeleton's shape and names.")] = False,
    avatar: Avatar = None,
) -> dict[str, Any]:
    """Corrects the assignment of the humanoid bones. If VRM forbids the result, nothing is changed and the reason is
    returned.
    """
    return _ask("avatar_set_bones", avatar=avatar, bones=bones, automatic=automatic)


@_tool(_changes("Set Face Landmarks", idempotent=True))
async def set_face_landmarks(
    left_eye: Point | None = None,
    right_eye: Point | None = None,
    mouth: Point | None = None,
    mouth_width: Annotated[float | None, Field(gt=0, description="Width in metres.")] = None,
    left_brow: Point | None = None,
    right_brow: Point | None = None,
    jaw: Point | None = None,
    make_face: Annotated[
        bool, Field(description="Also make mouth, blinks and expressions again if the avatar is rigged.")
    ] = True,
    avatar: Avatar = None,
) -> dict[str, Any]:
    """Corrects the positions of eyes and mouth (left and right are the character's), then makes the face again. Start
    from the values of `list_face_landmarks`.
    """
    began = time.monotonic()
    given = {"leftEye": left_eye, "rightEye": right_eye, "leftBrow": left_brow, "rightBrow": right_brow, "jaw": jaw}
    face: dict[str, Any] = {name: point for name, point in given.items() if point is not None}
    if mouth_width is not None and mouth is None:
        mouth = (
            (await _ask_soon("avatar_landmarks", needs=("face",), avatar=avatar))["face"].get("mouth", {}).get("center")
        )
    if mouth is not None:
        face["mouth"] = {"center": mouth} | ({"width": mouth_width} if mouth_width is not None else {})
    landmarks = await _ask_soon("avatar_set_landmarks", needs=("avatar",), avatar=avatar, face=face)
    if not make_face:
        return landmarks
    return {"landmarks": landmarks, "face": await _result("avatar_face", began, avatar=landmarks["avatar"])}


@_tool(_changes("Make Face", idempotent=True))
async def make_face(avatar: Avatar = None) -> dict[str, Any]:
    """Cuts the mouth and makes visemes, blinks, emotions and gaze at the face landmarks. The landmarks are detected
    if there are none.
    """
    return await _result("avatar_face", avatar=avatar)


@_tool(_changes("Set Up VRM", idempotent=True))
async def set_up_vrm(
    avatar: Avatar = None,
    author: Annotated[str | None, Field(description="Author, written to the VRM's metadata.")] = None,
) -> dict[str, Any]:
    """Binds the expressions and sets look-at, materials, metadata and thumbnail in the VRM Add-on. Call it after
    `rig_avatar` and `make_face`.
    """
    return await _result("avatar_set_up_vrm", avatar=avatar, author=author)


@_tool(_changes("Cancel", destructive=True))
def cancel_job(
    job: Annotated[str | None, Field(description="Omit it to cancel all running and waiting jobs.")] = None,
) -> dict[str, Any]:
    """Cancels a job. Its unfinished changes are undone."""
    return _ask("avatar_cancel", job=job)


# Checking and giving away


@_tool(_reads("Validate Avatar"))
async def validate_avatar(avatar: Avatar = None, vrm_version: Version = None) -> dict[str, Any]:
    """The report card of the avatar as a VRM file: `to_fix` lists every check that is WARN or FAIL with its value, its
    meaning and how to fix it; `passed` lists the others.
    """
    report = await _result("avatar_validate", avatar=avatar, vrm_version=vrm_version)
    if "checks" not in report:
        return report  # a job that goes on
    checks = report.pop("checks")
    passed = [f"{check['title']}: {check['figure']}" for check in checks if check["status"] == "PASS"]
    return report | {"to_fix": [check for check in checks if check["status"] != "PASS"], "passed": passed}


@_tool(_changes("Export VRM", destructive=True, idempotent=True))
async def export_vrm(
    path: Annotated[str, Field(description="Absolute path of the .vrm file, or of a folder for NAME.vrm.")],
    avatar: Avatar = None,
    vrm_version: Version = None,
    replace: Replace = None,
) -> dict[str, Any]:
    """Writes the avatar to a .vrm file in a folder that the user allows."""
    return await _result("avatar_export", avatar=avatar, path=path, vrm_version=vrm_version, replace=replace)


@_tool(_changes("Promote Avatar", world=True))
def promote_avatar(
    avatar: Avatar = None,
    name: Annotated[
        str | None,
        Field(description="Name of the model in the bucket; default: the avatar's name."),
    ] = None,
    reason: Annotated[
        str | None, Field(description="The user's reason, only if checks failed and the user still wants to promote.")
    ] = None,
) -> dict[str, Any]:
    """Checks the avatar and uploads it to the bucket in the user's preferences as NAME-v1.vrm, NAME-v2.vrm and so on.
    This makes the avatar public: use it only if the user asks for it. Returns a job at once. Its result has `address`,
    the public address of the file, or null if the preferences have none; then tell the user the bucket and the key.
    An avatar with failed checks is rejected with the names of the checks.
    """
    return _job("avatar_promote", avatar=avatar, name=name, override=reason)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text[:6]) < 65536:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not the number of a port; give one from 1 to 65535")
    return int(text)


def main(arguments: list[str]) -> int:
    """The MCP server for VS Code and other clients, over stdin and stdout."""
    global blender
    parser = argparse.ArgumentParser(prog="python -m backend mcp", description=main.__doc__)
    parser.add_argument(
        "--port",
        type=_port,
        default=os.environ.get(PORT_VARIABLE) or str(PORT),
        help="port of Blender's server (default: BLENDER_PORT, else 9876); a token is read from AVATAR_FORGE_TOKEN",
    )
    blender = Blender(parser.parse_args(arguments).port)
    server.run("stdio")
    return 0
