"""The frontend's two lists get one more model, in their own style, once."""

import subprocess

import pytest

from backend.errors import BackendError
from backend.promotion.registration import apply, plan, public_urls

GO = """package avatars

// AllowedAvatarModels = []string{"old"} was here.
var AllowedAvatarModels = []string{
\t"companion-v1.vrm", // the first, with } and "quotes"
\t"guide-v2.vrm",
}

var other = []string{"x"}
"""
CASES = {
    "go": ("a.go", GO, GO.replace('vrm",\n}', 'vrm",\n\t"new-v1.vrm",\n}')),
    "go, one line": (
        "a.go",
        'var (\n\tA = 1\n\tNAME = []string{"a.vrm"}\n)\n',
        'var (\n\tA = 1\n\tNAME = []string{"a.vrm", "new-v1.vrm"}\n)\n',
    ),
    "go, empty": ("a.go", "var NAME = []string{}\n", 'var NAME = []string{"new-v1.vrm"}\n'),
    "go, typed and empty lines": (
        "a.go",
        "\tvar NAME []string = []string{\n\t}\n",
        '\tvar NAME []string = []string{\n\t\t"new-v1.vrm",\n\t}\n',
    ),
    "js": (
        "a.js",
        "export const NAME = [\n  'a-v1.vrm',\n  'b-v1.vrm'\n];\n",
        "export const NAME = [\n  'a-v1.vrm',\n  'b-v1.vrm',\n  'new-v1.vrm'\n];\n",
    ),
    "js, trailing comma and CRLF": (
        "a.mjs",
        "const NAME = [\r\n    `a.vrm`, // one\r\n];\r\n",
        "const NAME = [\r\n    `a.vrm`, // one\r\n    `new-v1.vrm`,\r\n];\r\n",
    ),
    "js, comment after the last": (
        "a.js",
        'NAME = [\n  "a.vrm" // ]\n]',
        'NAME = [\n  "a.vrm", // ]\n  "new-v1.vrm"\n]',
    ),
    "js, one line": ("a.js", "let NAME = [ 'a.vrm', 'b.vrm' ]", "let NAME = [ 'a.vrm', 'b.vrm', 'new-v1.vrm' ]"),
    "ts, frozen set, bare names": (
        "a.ts",
        "const NAME: Set<string> = new Set<string>(['a-v1', 'b-v1']) // é\n",
        "const NAME: Set<string> = new Set<string>(['a-v1', 'b-v1', 'new-v1']) // é\n",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_list_grows_in_its_own_style(tmp_path, case):
    name, before, after = CASES[case]
    path = tmp_path / name
    path.write_bytes(before.replace("NAME", "AllowedAvatarModels").encode())
    [patch] = plan([path], "new-v1.vrm")
    assert patch.after.decode() == after.replace("NAME", "AllowedAvatarModels")
    assert path.read_bytes() == patch.before
    assert apply([patch]) == [path] and path.read_bytes() == patch.after
    [again] = plan([path], "new-v1.vrm")
    assert not again.changes and again.diff() == "" and apply([again]) == []


def test_the_patch_is_one_that_patch_applies(tmp_path):
    for name, before, _ in CASES.values():
        path = tmp_path / name
        path.write_bytes(before.replace("NAME", "AllowedAvatarModels").encode())
        [patch] = plan([path], "new-v1.vrm")
        subprocess.run(["git", "apply", "--unsafe-paths", "-"], input=patch.diff().encode(), cwd=tmp_path, check=True)
        assert path.read_bytes() == patch.after


def test_nothing_is_written_that_was_not_shown(tmp_path):
    go, script, elsewhere = tmp_path / "a.go", tmp_path / "a.js", tmp_path / "b.js"
    go.write_text(GO)
    script.write_text("const Other = []\n")
    with pytest.raises(BackendError, match=r"a\.js has no JavaScript array AllowedAvatarModels"):
        plan([go, script], "new-v1.vrm")
    script.write_text(
        "// AllowedAvatarModels = []\nconst x = ['AllowedAvatarModels = [']\nconst AllowedAvatarModels = ["
    )
    with pytest.raises(BackendError, match="does not end"):
        plan([script], "new-v1.vrm")
    elsewhere.write_text("const Models = []\n")
    elsewhere.chmod(0o640)
    patches = plan([go], "new-v1.vrm") + plan([elsewhere], "new-v1.vrm", "Models")
    go.write_text(GO + "// edited\n")
    with pytest.raises(BackendError, match="changed meanwhile"):
        apply(patches)
    assert elsewhere.read_text() == "const Models = []\n"
    apply(patches[1:])
    assert elsewhere.read_text() == 'const Models = ["new-v1.vrm"]\n' and elsewhere.stat().st_mode & 0o777 == 0o640
    with pytest.raises(BackendError):
        plan([go], 'evil", os.Exit(1), "')


def test_public_urls():
    templates = {
        "lan": "/avatars/{file}",
        "cdn": "https://cdn.example/",
        "direct": "http://nas.example:9000/{bucket}/{key}",
        "none": "",
    }
    assert public_urls(templates, "avatars", "models/a b-v1.vrm") == {
        "lan": "/avatars/a%20b-v1.vrm",
        "cdn": "https://cdn.example/models/a%20b-v1.vrm",
        "direct": "http://nas.example:9000/avatars/models/a%20b-v1.vrm",
    }
    for wrong in ("https://cdn.example/{name}", "https://cdn.example/{", "cdn.example/{key}", "javascript:{key}"):
        with pytest.raises(BackendError):
            public_urls({"cdn": wrong}, "b", "k")
