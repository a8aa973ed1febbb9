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
GO_MAP = """func allowed() map[string]bool {
\tNAME := map[string]bool{
\t\t"long-name-v1.vrm": true,
\t\t"b-v1.vrm":         true, // b
\t}
\treturn NAME
}
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
    "go, map of bool in a function, aligned": (
        "a.go",
        GO_MAP,
        GO_MAP.replace("// b", '// b\n\t\t"new-v1.vrm":       true,'),
    ),
    "go, map of empty structs in a struct": (
        "a.go",
        'var c = Config{\n\tNAME: map[string]struct{}{"a.vrm": {}},\n}\n',
        'var c = Config{\n\tNAME: map[string]struct{}{"a.vrm": {}, "new-v1.vrm": {}},\n}\n',
    ),
    "go, empty map": (
        "a.go",
        "var NAME = map[string]struct{}{\n}\n",
        'var NAME = map[string]struct{}{\n\t"new-v1.vrm": {},\n}\n',
    ),
    "go, a field that is assigned, raw strings": (
        "a.go",
        "func init() { s.NAME = []string{`x/a.vrm`} }\n",
        "func init() { s.NAME = []string{`x/a.vrm`, `x/new-v1.vrm`} }\n",
    ),
    "go, declared before, and a path": (
        "a.go",
        'var NAME []string\n\nfunc init() {\n\tNAME = []string{\n\t\t"/assets/models/Aka.vrm",\n\t}\n}\n',
        'var NAME []string\n\nfunc init() {\n\tNAME = []string{\n\t\t"/assets/models/Aka.vrm",\n'
        '\t\t"/assets/models/new-v1.vrm",\n\t}\n}\n',
    ),
    "js, keys of an object, frozen": (
        "a.js",
        "module.exports.NAME = Object.freeze({\n  'a.vrm': true,\n  'b.vrm': true\n})\n",
        "module.exports.NAME = Object.freeze({\n  'a.vrm': true,\n  'b.vrm': true,\n  'new-v1.vrm': true\n})\n",
    ),
    "js, a key, spread, path": (
        "a.js",
        'const config = {\n    NAME: [\n        ...more,\n        "/m/a.vrm",\n    ],\n}\n',
        'const config = {\n    NAME: [\n        ...more,\n        "/m/a.vrm",\n        "/m/new-v1.vrm",\n    ],\n}\n',
    ),
    "ts, as const": (
        "a.ts",
        "export const NAME: readonly string[] = ['a.vrm'] as const satisfies string[]\n",
        "export const NAME: readonly string[] = ['a.vrm', 'new-v1.vrm'] as const satisfies string[]\n",
    ),
    "ts, frozen set, empty": (
        "a.ts",
        "class A { static readonly NAME = Object.freeze(new Set<string>()) }\n",
        'class A { static readonly NAME = Object.freeze(new Set<string>(["new-v1.vrm"])) }\n',
    ),
    "js, brackets hug lines": (
        "a.js",
        "const NAME = ['a.vrm',\n              'b.vrm']\n",
        "const NAME = ['a.vrm',\n              'b.vrm',\n              'new-v1.vrm']\n",
    ),
    "js, listed but not allowed": ("a.js", "NAME = {'new-v1.vrm': false}", "NAME = {'new-v1.vrm': true}"),
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


def test_the_version_before_is_kept_or_replaced(tmp_path):
    path = tmp_path / "a.ts"
    path.write_text("const L = ['/m/a-v2.vrm', '/m/b-v9.vrm', '/m/a-v10.vrm', '/other/c.vrm']\n")
    [kept] = plan([path], "a-v11.vrm", "L")
    assert kept.after.decode() == path.read_text().replace("c.vrm'", "c.vrm', '/m/a-v11.vrm'")
    [replaced] = plan([path], "models/a-v11.vrm", "L", replace=True)
    assert replaced.after.decode() == path.read_text().replace("a-v10", "a-v11")
    [new] = plan([path], "d-v1.vrm", "L", replace=True)
    assert "'/other/d-v1.vrm']" in new.after.decode()


@pytest.mark.parametrize(
    "name, text, said",
    [
        ("a.go", 'var L = load("x")\n', "a call of load"),
        ("a.go", "var L = []int{1}\n", "something other than strings"),
        ("a.go", 'var L = map[string]string{"a": "b"}\n', "neither bool nor struct"),
        ("a.go", "var L []string\n", "no list L"),
        ("a.js", "const L = [{ file: 'a.vrm' }]\n", "an array with an object in it"),
        ("a.js", "const L = { 'a.vrm': { title: 'A' } }\n", "more than true"),
        ("a.js", "const L = other\n", "another variable"),
        ("a.ts", "type L = 'a.vrm' | 'b.vrm'\n", "a type"),
        ("a.ts", "const L = []\nconst x = { L: [] }\n", "more than one list"),
        ("a.py", "L = []\n", "not a file of Go"),
    ],
)
def test_what_is_no_list_is_named(tmp_path, name, text, said):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(BackendError, match=said) as caught:
        plan([path], "new-v1.vrm", "L")
    assert caught.value.code == "no_list" and caught.value.message.endswith(".")


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
    with pytest.raises(BackendError, match=r"a\.js has no list AllowedAvatarModels"):
        plan([go, script], "new-v1.vrm")
    script.write_text(
        "// AllowedAvatarModels = []\nconst x = ['AllowedAvatarModels = [']\nconst AllowedAvatarModels = ["
    )
    with pytest.raises(BackendError, match="syntax error"):
        plan([script], "new-v1.vrm")
    elsewhere.write_text("const Models = []\n")
    elsewhere.chmod(0o640)
    patches = plan([go], "new-v1.vrm") + plan([elsewhere], "new-v1.vrm", "Models")
    go.write_text(GO + "// edited\n")
    with pytest.raises(BackendError, match="changed in the meantime"):
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
