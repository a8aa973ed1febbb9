"""The file for VS Code: merged into what is there, letter by letter."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_addon.errors import AvatarError
from avatar_addon.remote.protocol import jsonc, vscode

EXTENSION = Path("/home/user/avatar_forge")
COMMENTED = """\
// My servers
{
  /* asked for once */
  "inputs": [
    { "id": "key", "type": "promptString", }, // mine
  ],
  "servers": {
    "github": { "type": "http", "url": "https://example.org/mcp//x" }, // "quoted", // twice
    "blender": { // an old one
      "command": "uvx",
      "args": ["blender-mcp"], // unpinned
      "env": { "BLENDER_PORT": "9999", "MINE": "kept" },
    }, // the last
  },
}
"""


def test_a_new_file_has_both_servers(tmp_path):
    files, changed = vscode.write(tmp_path, 9876, EXTENSION)
    assert changed and files == [tmp_path / ".vscode/mcp.json", tmp_path / ".mcp.json"]
    written = json.loads(files[0].read_text())
    assert written == {"servers": vscode.servers(9876, EXTENSION)}
    assert json.loads(files[1].read_text()) == {"mcpServers": vscode.servers(9876, EXTENSION)}
    assert written["servers"]["blender"]["env"]["DISABLE_TELEMETRY"] == "true"
    assert written["servers"]["blender"]["args"] == ["mcp-for-blender==2.2.4"]
    assert vscode.write(tmp_path, 9876, EXTENSION) == (files, False)
    assert [path.name for path in files[0].parent.iterdir()] == ["mcp.json"]


def test_comments_other_servers_and_own_variables_stay(tmp_path):
    file = tmp_path / ".vscode/mcp.json"
    file.parent.mkdir()
    file.write_text(COMMENTED)
    vscode.write(tmp_path, 9876, EXTENSION)
    after = file.read_text()
    for line in COMMENTED.splitlines():
        kept = line.partition("//")[2] if '"args"' in line or '"env"' in line or "blender" in line else line
        assert kept.strip() in after
    value = jsonc.parse(after).value
    assert value["inputs"] == [{"id": "key", "type": "promptString"}] and list(value["servers"]) == [
        "github",
        "blender",
        "avatar-forge",
    ]
    assert value["servers"]["blender"]["env"] == vscode.servers(9876, EXTENSION)["blender"]["env"] | {"MINE": "kept"}
    assert value["servers"]["avatar-forge"] == vscode.servers(9876, EXTENSION)["avatar-forge"]
    assert vscode.write(tmp_path, 9876, EXTENSION)[1] is False
    vscode.write(tmp_path, 9877, EXTENSION)
    assert file.read_text() == after.replace('"9876"', '"9877"')


def test_a_token_is_in_a_file_of_the_user_and_never_in_the_settings(tmp_path):
    kept = vscode.keep_token(tmp_path / "token", "s3cret")
    assert kept.read_text() == "s3cret" and (os.name == "nt" or kept.stat().st_mode & 0o777 == 0o600)
    assert vscode.keep_token(kept, "another").read_text() == "another" and len(list(tmp_path.iterdir())) == 1
    files, _ = vscode.write(tmp_path, 9876, EXTENSION, kept)
    for file, key in zip(files, ("servers", "mcpServers"), strict=True):
        value = json.loads(file.read_text())
        assert value[key]["avatar-forge"]["env"]["AVATAR_FORGE_TOKEN_FILE"] == str(kept) and "inputs" not in value
    assert vscode.write(tmp_path, 9876, EXTENSION, kept)[1] is False


def test_a_token_that_was_asked_for_is_so_no_longer(tmp_path):
    """Files of version 0.1: VS Code does not forward a server that asks to Copilot."""
    file = tmp_path / ".vscode/mcp.json"
    file.parent.mkdir()
    server = vscode.servers(9876, EXTENSION)["avatar-forge"]
    server["env"] = {"MINE": "x", "AVATAR_FORGE_TOKEN": "${input:avatar-forge-token}"}
    file.write_text(json.dumps({"servers": {"avatar-forge": server}}, indent=2))
    vscode.write(tmp_path, 9876, EXTENSION, tmp_path / "token")
    env = json.loads(file.read_text())["servers"]["avatar-forge"]["env"]
    assert "AVATAR_FORGE_TOKEN" not in env and env["MINE"] == "x" and env["AVATAR_FORGE_TOKEN_FILE"]


@pytest.mark.parametrize(
    "text, after",
    [
        ('{"a": 1, "b": 2, "c": 3}', '{"a": 1, "c": 3}'),
        ('{"a": 1, "b": 2}', '{"a": 1}'),
        ('{"b": 2}', "{}"),
        ('{\n  "a": "b", // "b": 1\n  "b": 2, // two\n  "c": 3\n}', '{\n  "a": "b", // "b": 1\n  // two\n  "c": 3\n}'),
        ('{\r\n  "b": [1, 2],\r\n  "c": 3,\r\n}', '{\r\n  "c": 3,\r\n}'),
        ('{"a": 1}', '{"a": 1}'),
    ],
)
def test_a_member_is_removed(text, after):
    assert jsonc.remove(text, ["b"]) == after
    jsonc.parse(after)


@pytest.mark.parametrize(
    "text",
    [
        '{"servers": {',
        "{servers: {}}",
        "[]",
        '{"servers": []}',
        '{"servers": {"blender": 3}}',
        '{"a": 1 "b": 2}',
        "{} x",
        "[" * 1000,
        b"\xff\xfe{}",
    ],
)
def test_what_cannot_be_read_is_left_alone(tmp_path, text):
    file = tmp_path / ".vscode/mcp.json"
    file.parent.mkdir()
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = file.read_bytes()
    with pytest.raises(AvatarError, match="Nothing was changed"):
        vscode.write(tmp_path, 9876, EXTENSION)
    assert file.read_bytes() == before


def test_windows_files_keep_their_line_ends_and_mark(tmp_path):
    file = tmp_path / ".vscode/mcp.json"
    file.parent.mkdir()
    file.write_bytes(b'\xef\xbb\xbf{\r\n    "servers": {\r\n    }\r\n}\r\n')
    vscode.write(tmp_path, 9876, EXTENSION)
    after = file.read_bytes()
    assert after.startswith(b'\xef\xbb\xbf{\r\n    "servers": {\r\n        "blender": {\r\n            "type"')
    assert b"\n" not in after.replace(b"\r\n", b"") and after.endswith(b"}\r\n")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(
    st.dictionaries(st.text(), values),
    st.lists(st.text(), min_size=1, max_size=3),
    values,
    st.sampled_from([None, 2, "\t"]),
)
def test_one_member_is_set_and_the_others_stay(there, path, value, indent):
    expected = json.loads(json.dumps(there))
    at = expected
    for name in path[:-1]:
        if not isinstance(at.setdefault(name, {}), dict):
            return
        at = at[name]
    at[path[-1]] = value
    after = jsonc.put(json.dumps(there, indent=indent, ensure_ascii=False), path, value)
    assert json.loads(after) == expected
