"""Markers on the picture: shown, dragged, mirrored, accepted, discarded, and what Make Avatar takes of them."""

import importlib
import json

import numpy as np
import pytest


@pytest.fixture
def ready(bpy, picture):
    settings = bpy.context.scene.avatar_forge
    settings.picture = str(picture)
    assert bpy.ops.avatar_forge.check_markers() == {"FINISHED"}
    return settings


def markers(addon, bpy):
    module = addon("picture.markers")
    return module.shown(module.root_of(bpy.context.scene))


def save(bpy, path, pixels):
    """(H, W, 3) from 0 to 1, top row first."""
    height, width = pixels.shape[:2]
    image = bpy.data.images.new("drawn", width, height)
    image.pixels.foreach_set(np.dstack([pixels[::-1], np.ones((height, width))]).astype(np.float32).ravel())
    image.filepath_raw, image.file_format = str(path), "PNG"
    image.save()
    bpy.data.images.remove(image)


def soldier():
    """A capsule figure that stands to attention, 700 pixels tall: the arms lie on the body."""
    y, x = np.mgrid[:800, :600].astype(float)
    picture = np.ones((800, 600, 3))

    def capsule(a, b, radius, colour):
        a, along = np.array(a, float), np.subtract(b, a).astype(float)
        t = np.clip(((x - a[0]) * along[0] + (y - a[1]) * along[1]) / max(along @ along, 1), 0, 1)
        picture[np.hypot(x - a[0] - t * along[0], y - a[1] - t * along[1]) < radius] = colour

    for side in (-1, 1):
        capsule((300 + 30 * side, 420), (300 + 42 * side, 730), 24, (0.25, 0.3, 0.5))
        capsule((300 + 68 * side, 210), (300 + 76 * side, 430), 20, (0.8, 0.5, 0.4))
    capsule((300, 220), (300, 400), 66, (0.2, 0.45, 0.7))
    capsule((300, 105), (300, 110), 56, (0.9, 0.7, 0.55))
    capsule((300, 150), (300, 200), 22, (0.9, 0.7, 0.55))
    return picture


def request(extension, bpy):
    module = importlib.import_module(f"{extension.__name__}.operators.make_avatar")
    return module.request(bpy.context)


def test_the_picture_is_shown_with_what_was_found_on_it(bpy, addon, ready):
    empties = markers(addon, bpy)
    assert len(empties) == 18 and bpy.context.active_object.name in ("Mouth", "Left Eye", "Right Eye")
    root = addon("picture.markers").root_of(bpy.context.scene)
    image = root.data
    assert image.packed_file and image.filepath_raw == "" and root.empty_display_type == "IMAGE"
    # On the picture's ink: the mouth lies below the eyes on the body's axis, the character's left on the right of the
    # picture.
    at = {name: empty.matrix_world.translation for name, empty in empties.items()}
    assert at["leftHand"].x > 0.2 > -0.2 > at["rightHand"].x and abs(at["mouth"].x) < 0.03
    assert at["leftFoot"].z < at["leftLowerLeg"].z < at["hips"].z < at["mouth"].z < at["leftEye"].z
    corner = root.matrix_world @ addon("picture.markers").Vector(
        (root.empty_image_offset[0] * root.empty_display_size * 1100 / 1536, 0, 0)
    )
    assert corner.z == pytest.approx(0) and corner.x < at["rightHand"].x


def test_an_unsure_marker_is_marked_until_it_is_moved(bpy, addon, ready):
    module = addon("picture.markers")
    root = module.root_of(bpy.context.scene)
    kept = json.loads(root[module.ROOT_KEY])
    root[module.ROOT_KEY] = json.dumps(kept | {"unsure": ["leftHand", "mouth"]})
    assert module.unsure(root) == {"leftHand", "mouth"}
    markers(addon, bpy)["leftHand"].location.x += 0.1
    assert module.unsure(root) == {"mouth"}


def test_a_dragged_marker_is_the_requests(bpy, addon, extension, ready):
    before = request(extension, bpy)  # what is on the screen is what is made
    assert not bpy.context.scene.objects and not bpy.data.images and not bpy.data.collections
    bpy.ops.avatar_forge.check_markers()
    markers(addon, bpy)["mouth"].location.z -= 0.05
    assert bpy.ops.avatar_forge.accept_picture_markers() == {"FINISHED"}
    assert not bpy.context.scene.objects and not bpy.data.images and not bpy.data.collections
    after = request(extension, bpy).markers
    assert len(after["joints"]) == 15
    assert after["face"]["mouth"][1] - before.markers["face"]["mouth"][1] == pytest.approx(0.05 * 1536 / 1.8, abs=0.1)
    assert bpy.ops.avatar_forge.forget_picture_markers() == {"FINISHED"}
    assert request(extension, bpy).markers is None


def test_discarding_leaves_nothing_and_another_picture_has_its_own(bpy, addon, extension, ready, picture, tmp_path):
    bpy.ops.avatar_forge.discard_picture_markers()
    assert (
        not bpy.data.objects
        and not bpy.data.images
        and not bpy.data.collections
        and request(extension, bpy).markers is None
    )
    bpy.ops.avatar_forge.check_markers()
    bpy.ops.avatar_forge.accept_picture_markers()
    ready.picture = str(tmp_path / "another.png")
    assert request(extension, bpy).markers is None
    assert not bpy.ops.avatar_forge.accept_picture_markers.poll()


def test_mirroring(bpy, addon, ready):
    empties = markers(addon, bpy)
    axis = np.mean([empties[name].location.x for name in ("hips", "neck", "head")])
    empties["leftHand"].location.x += 0.1
    bpy.context.view_layer.update()
    assert abs(empties["leftHand"].location.x + empties["rightHand"].location.x - 2 * axis) > 0.05
    bpy.ops.avatar_forge.mirror_picture_markers()
    assert empties["leftHand"].location.x + empties["rightHand"].location.x == pytest.approx(2 * axis, abs=1e-5)
    ready.mirror_markers = True
    assert empties["rightHand"].hide_select
    empties["leftFoot"].location.x += 0.07
    bpy.context.view_layer.update()
    assert empties["leftFoot"].location.x + empties["rightFoot"].location.x == pytest.approx(2 * axis, abs=1e-5)
    ready.mirror_markers = False
    empties["leftFoot"].location.x += 0.05
    bpy.context.view_layer.update()
    assert not empties["rightHand"].hide_select
    assert empties["leftFoot"].location.x + empties["rightFoot"].location.x == pytest.approx(2 * axis + 0.05, abs=1e-5)


def test_a_refused_picture_has_markers_and_the_reason(bpy, addon, extension, tmp_path):
    """Nobody that the reader knows: refused by Make Avatar, shown here, and made once the markers are accepted."""
    save(bpy, tmp_path / "arms.png", soldier())
    settings = bpy.context.scene.avatar_forge
    settings.picture = str(tmp_path / "arms.png")
    with pytest.raises(RuntimeError, match="humanoid"):
        bpy.ops.avatar_forge.generate()
    assert bpy.ops.avatar_forge.check_markers() == {"FINISHED"}
    module = addon("picture.markers")
    assert "humanoid" in module.note(module.root_of(bpy.context.scene)) and len(markers(addon, bpy)) == 18
    assert bpy.ops.avatar_forge.generate() == {"FINISHED"}
    assert addon("avatar.scene").find_avatar(bpy.context) and module.root_of(bpy.context.scene) is None


def test_no_picture_at_all_is_one_sentence(bpy, tmp_path):
    save(bpy, tmp_path / "empty.png", np.ones((500, 300, 3)))
    bpy.context.scene.avatar_forge.picture = str(tmp_path / "empty.png")
    with pytest.raises(RuntimeError):
        bpy.ops.avatar_forge.check_markers()
    assert not bpy.data.objects and not bpy.data.images and bpy.context.window_manager.avatar_forge.error.endswith(".")


def test_the_markers_survive_the_file(bpy, addon, extension, ready, tmp_path):
    place = markers(addon, bpy)["leftHand"].location.copy()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "m.blend"), check_existing=False)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "m.blend"))
    assert markers(addon, bpy)["leftHand"].location == place
    bpy.ops.avatar_forge.accept_picture_markers()
    assert json.loads(bpy.context.scene.avatar_forge.checked_markers)["markers"]["joints"]["leftHand"]
