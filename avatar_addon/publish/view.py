# SPDX-License-Identifier: GPL-3.0-or-later
"""The avatar in the scene as a page for the browser."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..avatar.scene import Avatar
from ..client.process.tasks import Stage, Steps
from ..errors import AvatarError, reason_of
from ..viewer import page, server
from .steps import examine

LARGE = 64 << 20  # bytes of a VRM file from which a browser would read a page with the avatar in it too slowly


def view(avatar: Avatar) -> Steps:
    """Writes and checks the avatar as a VRM 1.0 file, and its page. Returns the page's address: a file, or for a large
    avatar one of a server in this Blender. Raises AvatarError.
    """
    folder = Path(bpy.app.tempdir) / "avatar_forge_viewer"
    folder.mkdir(exist_ok=True)
    vrm, report = yield from examine(avatar, folder, "1.0", 0.1)
    yield Stage("page", 0.9, "Writing the viewer's page")
    try:
        if vrm.stat().st_size > LARGE:
            return server.serve(page.page_text(avatar.name, report.to_dict(), source=server.FILE), vrm)
        written = page.write_page(vrm.with_suffix(".html"), vrm, avatar.name, report.to_dict())
    except OSError as error:
        raise AvatarError(
            f"The page could not be written ({reason_of(error)}); free some space and try again.",
            "page",
        ) from error
    vrm.unlink(missing_ok=True)
    return written.as_uri()
