"""Our own MCP server and a real S3 server: an avatar is made public under the next free name, a faulty one only for a
reason.
"""

import hashlib
import json

import pytest

from tests.mcp.conftest import serve, start
from tests.mcp.test_ours import wait
from tests.records import servers

ACCESS = {"aws_access_key_id": servers.KEY, "aws_secret_access_key": servers.SECRET}
BUCKET = "avatars"
PREFERENCES = """\
import bpy
# The add-on's entry, which a checkout that runs without being installed has not.
addon = bpy.context.preferences.addons.new()
addon.module = "avatar_forge"
for name, value in {}.items():
    setattr(addon.preferences, name, value)
"""
FLATTEN = """\
import bpy
keys = next(obj for obj in bpy.data.objects if obj.avatar_forge.is_avatar).data.shape_keys
for point, place in zip(keys.key_blocks["oh"].data, keys.reference_key.data, strict=True):
    point.co = place.co
"""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    with servers.seaweed(tmp_path_factory.mktemp("seaweed")) as endpoint:
        servers.make_bucket(endpoint, BUCKET, **ACCESS)
        yield endpoint


@pytest.fixture(scope="module")
def publisher(endpoint, tmp_path_factory):
    """A Blender whose user has named bucket, server and a profile of ~/.aws/credentials."""
    folder = tmp_path_factory.mktemp("publisher")
    keys = "".join(f"{name} = {value}\n" for name, value in ACCESS.items())
    (folder / "credentials").write_text(f"[studio]\n{keys}")
    aws = {"AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"), "AWS_CONFIG_FILE": str(folder / "config")}
    with serve(folder, **aws, AWS_EC2_METADATA_DISABLED="true", XDG_DATA_HOME=str(folder / "data")) as blender:
        chosen = {
            "bucket": BUCKET,
            "endpoint": endpoint,
            "profile_name": "studio",
            "region": "us-east-1",
            "prefix": "models",
        }
        blender.run(PREFERENCES.format(chosen | {"cdn_url": "https://cdn.example/{key}"}))
        yield blender


@pytest.fixture(scope="module")
def ours(publisher, tmp_path_factory):
    talk = start("ours", publisher, tmp_path_factory.mktemp("ours"))
    yield talk
    talk.close()


def promote(ours, **arguments):
    return wait(ours, ours.call("promote_avatar", **arguments).json["job"])


def test_an_avatar_is_promoted_twice_and_a_faulty_one_for_a_reason(ours, publisher, endpoint, picture):
    made = wait(ours, ours.call("make_avatar", picture=str(picture), name="Mia", engine="preview").json["job"])
    assert made["status"] == "done", made
    (run,) = ours.call("list_runs").json["runs"]
    assert (run["name"], run["engine"], run["promoted"]) == ("Mia", "preview", []) and run["vrm"].endswith("Mia.vrm")

    first, second = promote(ours), promote(ours)
    assert first["status"] == second["status"] == "done", (first, second)
    entries = [first["result"], second["result"]]
    for version, entry in enumerate(entries, 1):
        key = f"models/mia-v{version}.vrm"
        assert (entry["version"], entry["key"], entry["bucket"]) == (version, key, BUCKET) and len(
            entry["sha256"]
        ) == 64
        assert entry["address"] == entry["urls"]["CDN"] == f"https://cdn.example/{key}"

    publisher.run(FLATTEN)
    refused = promote(ours)
    assert refused["status"] == "failed" and "Viseme oh" in refused["error"] and "give a reason" in refused["error"]
    accepted = promote(ours, reason="The stream is tonight", name="mia-live")["result"]
    assert accepted["key"] == "models/mia-live-v1.vrm" and accepted["report"]["fail"] == 1
    entries.append(accepted)

    client = servers.client(endpoint, **ACCESS)
    index = json.loads(client.get_object(Bucket=BUCKET, Key="models/index.json")["Body"].read())["models"]
    held = {item["Key"]: item["Size"] for item in client.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert {key for key in held if key.endswith(".vrm")} == {entry["key"] for entry in entries}
    for entry, listed in zip(entries, index, strict=True):
        assert listed.items() <= entry.items()
        found = client.get_object(Bucket=BUCKET, Key=entry["key"])
        assert (
            hashlib.sha256(found["Body"].read()).hexdigest() == entry["sha256"] and held[entry["key"]] == entry["size"]
        )
    assert found["Metadata"]["override-reason"] == entry["override"] == "The stream is tonight"

    runs = ours.call("list_runs").json["runs"]
    assert [[model["key"] for model in run["promoted"]] for run in runs] == [
        [accepted["key"]],
        [entry["key"] for entry in entries[:2]],
    ]
    assert [run["checks"]["FAIL"] for run in runs] == [1, 0] and runs[1]["promoted"][1]["urls"] == second["result"][
        "urls"
    ]
