# SPDX-License-Identifier: GPL-3.0-or-later
"""`make gui`: the built extension in a real Blender window, driven by mouse and keyboard, with screenshots.

GUI_BLENDER names the tool that runs Blender under Xvfb: `TOOL shot --addon ZIP --script DRIVER --out DIR [--share
DIR] [--env K=V]` runs a generator `drive(g)` inside Blender. Each scenario is a module in tests/gui/scenarios and a
Blender of its own; they share one user folder, so that the backend which the first one installs in the window is
there for the others.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from PIL import Image, ImageDraw

from tests.cluster import local
from tests.records import servers

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "examples/companion.png"
HERE = ROOT / "tests/gui"
SCENARIOS = (
    "install",
    "newcomer",
    "markers",
    "mesh_markers",
    "entry",
    "humanoid",
    "pose",
    "look",
    "weights",
    "publish",
    "japanese",
    "cancel",
    "steps",
    "mistakes",
    "frames",
    "sides",
    "candidates",
    "mouths",
    "text",
    "vscode",
    "remote",
    "cluster",
)
SIZES = {"frames": "800x600"}  # without a graphics card, drawing a larger window alone takes longer than a frame may
BUCKET = "avatars"
SECONDS = 1200  # for one scenario; an installation may have to download, and a busy machine is slow
# What a package index needs; the window's root has neither the host's settings nor its certificates.
PASSED_ON = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
)
CERTIFICATES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")


def newest_zip() -> Path:
    zips = sorted((ROOT / "dist").glob("avatar_forge-*.zip"), key=lambda path: path.stat().st_mtime)
    if not zips:
        sys.exit("There is no extension in dist/; run `make extension` first.")
    return zips[-1]


def hide_face(path: Path) -> Image.Image:
    """The sample picture with nothing where its eyes and mouth are."""
    picture = Image.open(path).convert("RGBA")
    width, height = picture.size
    ImageDraw.Draw(picture).ellipse(
        (0.396 * width, 0.144 * height, 0.602 * width, 0.243 * height), fill=(196, 132, 118)
    )
    return picture


def prepare(shared: Path, fresh: bool) -> dict[str, str]:
    """Fills the folder that the window sees under the same path; returns the environment variables for the window."""
    if fresh:
        shutil.rmtree(shared, ignore_errors=True)
    for name in ("user", "files", "tools"):
        (shared / name).mkdir(parents=True, exist_ok=True)
    shutil.copytree(HERE, shared / "drivers", dirs_exist_ok=True)
    shutil.copy(PICTURE, shared / "files")
    hide_face(PICTURE).save(shared / "files/masked.png")
    (shared / "files/letter.png").write_text("Dear reader, this is a letter and no picture.\n")
    if not (shared / "tools/bin/uv").exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(shared / "tools")]
        subprocess.run([*command, "-r", str(ROOT / "tests/requirements-gui.txt")], check=True)
    env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    bundle = next((os.environ[name] for name in CERTIFICATES if Path(os.environ.get(name, "")).is_file()), "")
    if bundle:
        shutil.copy(bundle, shared / "tools/certificates.pem")
        env["SSL_CERT_FILE"] = str(shared / "tools/certificates.pem")
    return env | {
        "AVATAR_FORGE_GUI": str(shared),
        "BLENDER_USER_EXTENSIONS": str(shared / "user"),
        "PATH": f"{shared / 'tools/bin'}:/usr/local/bin:/usr/bin:/bin",
        "UV_CACHE_DIR": str(shared / "tools/cache"),
        "UV_CONCURRENT_DOWNLOADS": "1",  # slow enough to be cancelled with the mouse
    }


@contextlib.contextmanager
def bucket(folder: Path):
    """A real S3 server with an empty bucket on this machine's loopback, which the window's is as well; what the
    window must know of it.
    """
    folder.mkdir(exist_ok=True)
    keys = {
        "AWS_ACCESS_KEY_ID": servers.KEY,
        "AWS_SECRET_ACCESS_KEY": servers.SECRET,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with tempfile.TemporaryDirectory(dir=folder) as data, servers.seaweed(Path(data)) as endpoint:
        access = {"aws_access_key_id": servers.KEY, "aws_secret_access_key": servers.SECRET}
        servers.make_bucket(endpoint, BUCKET, **access)
        yield keys | {"AVATAR_FORGE_BUCKET": BUCKET, "AVATAR_FORGE_ENDPOINT": endpoint}
        listed = servers.client(endpoint, **access).list_objects_v2(Bucket=BUCKET).get("Contents", [])
        print("In the bucket:", ", ".join(f"{entry['Key']} ({entry['Size']:,} bytes)" for entry in listed))


@contextlib.contextmanager
def conversation(folder: Path):
    """The real MCP servers beside the window, and who speaks through them; they wait until it listens."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(PICTURE, folder)
    command = [
        ROOT / ".venv/mcp/bin/python",
        "-m",
        "tests.mcp.record",
        "--folder",
        folder,
        "--picture",
        folder / PICTURE.name,
    ]
    command += ["--port", "9888", "--linger", "60"]
    speaker = subprocess.Popen([str(part) for part in command], cwd=ROOT)
    try:
        yield {}
        print("The conversation:", "ended" if speaker.wait(30) == 0 else "FAILED", folder / "conversation.md")
    finally:
        if speaker.poll() is None:
            speaker.kill()


@contextlib.contextmanager
def ray_cluster(folder: Path):
    """A real Ray head beside the window; a node that generates joins when the window asks for it with a file."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    python, over = ROOT / ".venv/cluster/bin/python", threading.Event()
    with contextlib.ExitStack() as nodes:

        def join_when_asked():
            while not over.wait(0.2):
                if (folder / "join").exists():
                    nodes.enter_context(local.node(python))
                    return

        with local.head(python) as address:
            watcher = threading.Thread(target=join_when_asked)
            watcher.start()
            try:
                yield {
                    "AVATAR_FORGE_RAY": address,
                    "AVATAR_FORGE_ROOT": str(ROOT),
                    "AVATAR_FORGE_RAY_FOLDER": str(folder),
                }
            finally:
                over.set()
                watcher.join()
                nodes.close()


def run(tool: str, scenario: str, addon: Path, out: Path, shared: Path, env: dict[str, str]) -> int:
    command = [tool, "shot", "--addon", str(addon), "--script", str(HERE / "driver.py"), "--out", str(out / scenario)]
    size = SIZES.get(scenario, "1600x1000")
    command += ["--share", str(shared), "--timeout", str(SECONDS), "--size", size]
    for name, value in {**env, "AVATAR_FORGE_SCENARIO": scenario, "AVATAR_FORGE_SCREEN": size}.items():
        command += ["--env", f"{name}={value}"]
    return subprocess.run(command).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "build/gui")
    parser.add_argument(
        "--only", nargs="+", choices=SCENARIOS, default=SCENARIOS, help="all but `install` need an earlier `install`"
    )
    options = parser.parse_args()
    tool = os.environ.get("GUI_BLENDER")
    if not tool:
        print(
            "GUI_BLENDER is not set: it names the tool that runs Blender under Xvfb (docs/development.md). Nothing was"
            " tested."
        )
        return 2
    wanted = [name for name in SCENARIOS if name in options.only]  # `install` comes first
    out = options.out.resolve()
    shared = out / "shared"
    env = prepare(shared, "install" in wanted)
    failed = []
    for name in wanted:
        beside = {"publish": lambda: bucket(out / "servers"), "vscode": lambda: conversation(shared / "talk")}
        beside["cluster"] = lambda: ray_cluster(shared / "ray")
        with beside.get(name, lambda: contextlib.nullcontext({}))() as more:
            if run(tool, name, newest_zip(), out, shared, env | more):
                failed.append(name)
    print(f"{len(wanted) - len(failed)} of {len(wanted)} scenarios passed; look at the screenshots in {out}")
    if failed:
        print("Failed:", ", ".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
