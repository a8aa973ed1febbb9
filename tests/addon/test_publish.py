"""From the avatar to its report, its run folder and the frontend's lists, with the real worker."""

import json
from pathlib import Path

import pytest


@pytest.fixture
def run(addon, monkeypatch, tmp_path):
    monkeypatch.setenv("AVATAR_FORGE_RUNS", str(tmp_path / "runs"))
    return lambda steps: addon("client.process.tasks").Task("Test", steps, addon("client.session").worker).wait()


def statuses(avatar):
    return {check.name: check.status for check in avatar.record.checks}


def test_the_card_is_kept_and_tells_of_what_was_spoilt(avatar, addon, run, tmp_path):
    report = run(addon("publish.steps").check(avatar))
    assert report.promotable and statuses(avatar)["viseme_aa"] == "PASS"
    key = avatar.mesh.data.shape_keys.key_blocks["aa"]
    for point, rest in zip(key.data, avatar.mesh.data.shape_keys.reference_key.data, strict=True):
        point.co = rest.co
    run(addon("publish.steps").check(avatar))
    assert statuses(avatar)["viseme_aa"] == "FAIL" and statuses(avatar)["viseme_oh"] == "PASS"
    assert not list((tmp_path / "runs" / "jobs").iterdir())


def test_a_step_done_again_outdates_the_card(avatar, addon, run, bpy):
    run(addon("publish.steps").check(avatar))
    assert not avatar.record.card_outdated
    for step in (bpy.ops.avatar_forge.face, bpy.ops.avatar_forge.set_up_vrm):
        assert step() == {"FINISHED"} and avatar.record.card_outdated
        run(addon("publish.steps").check(avatar))
        assert not avatar.record.card_outdated and statuses(avatar)["viseme_oh"] == "PASS"


def test_a_failed_check_is_not_promoted_without_a_reason(avatar, addon, run):
    publish, refused = addon("publish.steps"), addon("errors").AvatarError
    with pytest.raises(refused, match="bucket"):
        run(publish.promote(avatar, "companion", publish.Target()))
    avatar.mesh.data.shape_keys.key_blocks["oh"].name = "renamed"
    addon("workflow").set_up_vrm(avatar, "Tester")
    with pytest.raises(refused, match="for example 'my-avatar'"):  # before the avatar is exported
        run(publish.promote(avatar, "My Avatar!", publish.Target(bucket="models")))
    with pytest.raises(refused) as refused:
        run(publish.promote(avatar, "companion", publish.Target(bucket="models")))
    assert refused.value.code == "report" and "Viseme oh" in str(refused.value)


def test_a_run_folder_has_everything(avatar, addon, run, tmp_path, made):
    publish = addon("publish.steps")
    path, report = run(publish.examine(avatar, tmp_path))
    result = run(publish.record(avatar, {"vrm": path, "sheet": made.sheet}, report, publish.Target()))
    folder = Path(result["run_folder"])
    receipt = json.loads((folder / "receipt.json").read_text())
    there = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert {
        "reference.png",
        "companion.vrm",
        "companion_rigged.glb",
        "previews/companion_sheet.png",
        "request.json",
    } <= there
    assert (
        receipt["parameters"]["engine"] == "preview" and receipt["parameters"]["engine_options"]["texture_size"] == 1024
    )
    assert receipt["report"]["counts"]["FAIL"] == 0
    assert {"generate", "rig", "export"} <= receipt["seconds"].keys() and receipt["versions"]["blender"]
    assert run(publish.run_address(avatar)).startswith("file:")


def test_the_frontends_lists_are_shown_before_they_are_written(avatar, addon, run, tmp_path):
    publish = addon("publish.steps")
    page = tmp_path / "models.js"
    page.write_text('export const AllowedAvatarModels = [\n  "Old-v1.vrm",\n];\n')
    target = publish.Target(lists=[page])
    with pytest.raises(addon("errors").AvatarError, match="promote it first"):
        run(publish.register(avatar, target, apply=True))
    avatar.record.promoted_key = "avatars/companion-v2.vrm"
    before = page.read_text()
    assert "+" in run(publish.register(avatar, target, apply=False))["diff"] and page.read_text() == before
    run(publish.register(avatar, target, apply=True))
    assert '"Old-v1.vrm",\n  "companion-v2.vrm",\n]' in page.read_text()
