# SPDX-License-Identifier: GPL-3.0-or-later
"""The watcher over many .vrm files that arrive in bursts while it is killed again and again, with a real S3 server:

    .venv/backend/bin/python -m benchmarks.watch --blender .venv/bpy-4.5.15/bin/python --vrm exports/companion.vrm

Each file must be in the journal once and in the bucket's index once. The files differ from --vrm in their author only;
they are checked and promoted. With --picture FILE.png they are copies of a picture that differ in a comment; each needs
a whole run of the preview generator.
"""

import argparse
import json
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path

from tests.records.servers import KEY, ROOT, SECRET, client, make_bucket, seaweed

PNG, END = b"\x89PNG", b"\0\0\0\0IEND\xaeB`\x82"


def variant(source: bytes, k: int) -> bytes:
    """The same avatar by another author, or the same picture with another comment."""
    if source.startswith(PNG):
        text = b"tEXtComment\0" + str(k).encode()
        chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
        return source[: -len(END)] + chunk + END
    (length,) = struct.unpack_from("<I", source, 12)
    content = json.loads(source[20 : 20 + length])
    content["extensions"]["VRMC_vrm"]["meta"]["authors"] = [f"Author {k}"]
    chunk = json.dumps(content, separators=(",", ":")).encode()
    chunk += b" " * (-len(chunk) % 4)
    rest = source[20 + length :]
    return struct.pack("<4sIIII", b"glTF", 2, 20 + len(chunk) + len(rest), len(chunk), 0x4E4F534A) + chunk + rest


def arrive(folder: Path, k: int, data: bytes, end: str) -> None:
    """In pieces under its own name, or under another one that is renamed at the end; every tenth comes twice."""
    path = folder / f"avatar{k:03}{end}"
    if k % 2:
        (folder / f".{path.name}.part").write_bytes(data)
        (folder / f".{path.name}.part").rename(path)
    else:
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
            file.flush()
            time.sleep(0.2)
            file.write(data[len(data) // 2 :])
    if k % 10 == 0:
        (folder / f"copy{k:03}{end}").write_bytes(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blender", type=Path, required=True)
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--vrm", type=Path)
    kind.add_argument("--picture", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--kills", type=int, default=5)
    options = parser.parse_args()
    chosen = options.vrm or options.picture
    source = chosen.read_bytes()
    # A watcher that was killed leaves a process that sends runs to MLflow.
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made,
        seaweed(_folder(Path(made) / "s3")) as endpoint,
    ):
        folder, out = _folder(Path(made) / "in"), Path(made) / "out"
        env = {**os.environ, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        env |= {
            "AVATAR_FORGE_BACKEND_PYTHON": sys.executable,
            "AVATAR_FORGE_RUNS": f"{made}/runs",
            "XDG_DATA_HOME": f"{made}/data",
        }
        os.environ |= env
        bucket = make_bucket(endpoint, "avatars")
        command = [str(options.blender), str(ROOT / "avatar_addon/batch.py"), "--", "--watch", str(folder)]
        command += ["--out", str(out), "--bucket", bucket, "--endpoint", endpoint, "--settle", "1", "--every", "0.5"]
        begun, random_, arrived = time.monotonic(), random.Random(0), 0
        for kill in range(options.kills + 1):
            watcher = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
            until = options.count * (kill + 1) // (options.kills + 1)
            while arrived < until:
                arrive(folder, arrived, variant(source, arrived), chosen.suffix)
                arrived += 1
                time.sleep(random_.choice([0.0, 0.0, 0.5]))
            if kill < options.kills:
                _wait(lambda least=until // 3: _lines(out) > least, 900)
                time.sleep(random_.uniform(0.0, 2.0))
                watcher.kill()
                watcher.wait()
        _wait(lambda: _lines(out) >= options.count, 3600)
        watcher.send_signal(signal.SIGTERM)
        status = watcher.wait(300)
        lines = [json.loads(line) for line in (out / "watch.jsonl").read_text().splitlines()]
        index = json.loads(client(endpoint).get_object(Bucket=bucket, Key="index.json")["Body"].read())["models"]
        objects = client(endpoint).list_objects_v2(Bucket=bucket)["Contents"]
        models = [item for item in objects if item["Key"].endswith(".vrm")]
        runs = list(Path(made, "runs").glob("[!.]*/receipt.json"))
        print(f"{options.count} files, {options.kills} kills, {time.monotonic() - begun:.0f} s, SIGTERM: {status}")
        print(f"journal {len(lines)} {dict(Counter(line['status'] for line in lines))}, runs {len(runs)}")
        print(f"index {len(index)}, objects {len(models)}, versions {dict(Counter(m['version'] for m in index))}")
        digests = Counter(model["sha256"] for model in index)
        assert len(index) == len(models) == len(digests) == options.count and status == 0


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def _lines(out: Path) -> int:
    path = out / "watch.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def _wait(until, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.5)


if __name__ == "__main__":
    main()
