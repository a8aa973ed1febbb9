# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the viewer's page, avatar_addon/viewer/page.html, from viewer/src and the npm packages that it bundles.

    python tools/build_viewer.py            writes viewer/src/rules.json and the page (needs npm)
    python tools/build_viewer.py --check    whether the page was built from these sources; needs no npm

The built page is committed, so that neither `make demo` nor a user of the zip needs npm. A page has the digest of
what it was made of; `npm ci` installs exactly what viewer/package-lock.json names.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from avatar_addon.speech import text as speech  # noqa: E402
from avatar_addon.viewer.page import ABOUT, AVATAR, TEMPLATE, as_json  # noqa: E402
from avatar_addon.vrm.spec.presets import VISEMES  # noqa: E402
from backend import speech as sound  # noqa: E402

FOLDER = ROOT / "viewer"
SOURCES = FOLDER / "src"
RULES = SOURCES / "rules.json"
DIGEST = re.compile(r'<meta name="avatar-forge-sources" content="([0-9a-f]{64})">')


def rules() -> str:
    """The figures and tables of both modules of speech as JSON, for speech.js and sound.js."""
    said = {
        "visemes": list(VISEMES),
        "shut": speech.SHUT,
        "pause": speech.PAUSE,
        "seconds": {
            "vowel": speech.VOWEL,
            "long": speech.LONG,
            "consonant": speech.CONSONANT,
            "pressed": speech.PRESSED,
            "mora": speech.MORA,
            "wordGap": speech.WORD_GAP,
        },
        "pauses": speech.PAUSES,
        "amount": speech.AMOUNT,
        "most": speech.MOST,
        "vowels": speech.VOWELS,
        "magicE": speech.MAGIC_E,
        "words": speech.WORDS,
        "presses": sorted(speech.PRESSES),
        "rounded": speech.ROUNDED,
        "clusters": speech.CLUSTERS,
        "digits": speech.DIGITS,
        "kana": speech.KANA,
        "small": "".join(sorted(speech.SMALL)),
        "kanaPressed": "".join(sorted(speech.KANA_PRESSED)),
        "sound": {
            "rate": sound.RATE,
            "step": sound.STEP,
            "window": sound.WINDOW,
            "first": sound.FIRST,
            "second": sound.SECOND,
            "formants": sound.FORMANTS,
            "spread": sound.SPREAD,
            "range": sound.RANGE,
            "hiss": sound.HISS,
        },
    }
    return json.dumps(said, ensure_ascii=False, indent=1) + "\n"


def sources_digest() -> str:
    """SHA-256 of what the page is made of."""
    found = hashlib.sha256()
    for path in [*sorted(SOURCES.iterdir()), FOLDER / "bundle.mjs", FOLDER / "package-lock.json"]:
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def page() -> str:
    """The template, from a bundle that node makes now."""
    if not (FOLDER / "node_modules/.package-lock.json").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--prefix", str(FOLDER)], check=True)
    run = subprocess.run(["node", str(FOLDER / "bundle.mjs")], check=True, capture_output=True)
    bundle = json.loads(run.stdout)
    script = bundle["script"]
    assert "</script" not in script.lower(), "the script would end the page's script element"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    parts = {
        "STYLE": (SOURCES / "style.css").read_text(encoding="utf-8"),
        "SCRIPT_DIGEST": digest,
        "SOURCES_DIGEST": sources_digest(),
        "LICENCES": licences(bundle["packages"]),
        "SCRIPT": script,
    }
    text = (SOURCES / "index.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts.get(found[1], found[0]), text)


def licences(packages: list[dict[str, str]]) -> str:
    """The names, versions and licences' texts of what is bundled; packages with one text share it."""
    texts: dict[str, list[str]] = {}
    for package in packages:
        texts.setdefault(package["text"], []).append(f"{package['name']} {package['version']} ({package['licence']})")
    return "\n\n".join("\n".join(names) + "\n\n" + text for text, names in texts.items()).replace("<", "&lt;")


def bundled() -> list[tuple[str, str, str]]:
    """(name, version, licence) of the npm packages in the built page."""
    text = TEMPLATE.read_text(encoding="utf-8").partition('id="licence-texts">')[2].partition("</script>")[0]
    return sorted(re.findall(r"^(@?[a-z][a-z0-9./-]*) (\d[\w.-]*) \(([^)]+)\)$", text, re.MULTILINE))


def problems() -> list[str]:
    if RULES.read_text(encoding="utf-8") != rules():
        return ["viewer/src/rules.json is not what the modules of speech say"]
    found = DIGEST.search(TEMPLATE.read_text(encoding="utf-8")[:4000]) if TEMPLATE.exists() else None
    if found is None or found[1] != sources_digest():
        return [f"{TEMPLATE.name} was built from other sources"]
    return []


def main(arguments: list[str]) -> int:
    if "--check" not in arguments:
        RULES.write_text(rules(), encoding="utf-8")
        made = page()
        assert ABOUT in made and AVATAR in made and as_json({}) == "{}"
        TEMPLATE.write_text(made, encoding="utf-8")
        print(f"{TEMPLATE.relative_to(ROOT)}: {len(made) / 1e6:.2f} MB")
    found = problems()
    for problem in found:
        print(f"{problem}; run python tools/build_viewer.py.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
