# SPDX-License-Identifier: GPL-3.0-or-later
"""Promotion: a checked VRM file goes into the bucket as `{name}-v{N}.vrm`, once and for ever, and into the bucket's
index.json.

A promoted name never changes meaning: objects are only ever created, readers may cache them for a year. An upload
that was killed, even between the model and its index entry, resumes when the same file is promoted
again (`Pending`).

    promote(Promotion(file, Target("avatars", "https://storage.example"), "companion", run_id, report), progress)
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import time
import urllib.parse
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..engines import Progress
from ..errors import BackendError, Cancelled, reason_of
from ..models.store import data_folder
from ..staging import hold
from . import index
from .names import LAST, model_name, parsed, versioned
from .store import PROMOTION_ID, ExistsError, MissingError, Store, Target

log = logging.getLogger(__name__)

CONTENT_TYPE, CACHE_CONTROL = "model/gltf-binary", "public, max-age=31536000, immutable"
MODEL, CLIP = ".vrm", ".vrma"
PART = 5 << 20  # bytes: the smallest that S3 allows; what is lost of a killed upload
MAX_PARTS = 10_000
ATTEMPTS = 200  # versions to try when others are always faster
REFUSALS = {"not_kept", "no_permission", "refused", "unsupported"}  # of what the server will not do later either
SPANS = {"check": 0.02, "upload": 0.75, "verify": 0.95, "index": 1.0}  # where each stage ends


@dataclass
class Promotion:
    """What to promote, as what, where to. report: the report card `{"checks": [{"id", "status": PASS|WARN|FAIL}]}`.

    override: the user's reason to promote in spite of a FAIL or without a report; it is recorded with the model.
    once: content that is the newest version under this name already is not promoted again.
    state: folder that remembers unfinished promotions.
    """

    file: Path
    target: Target
    name: str
    run_id: str = ""
    report: dict[str, Any] | None = None
    override: str = ""
    once: bool = False
    details: dict[str, Any] = field(default_factory=dict)  # more for the index entry, such as the licence
    state: Path = field(default_factory=lambda: data_folder() / "promotions")

    @property
    def suffix(self) -> str:
        """Of the name in the bucket: animation clips keep theirs."""
        return CLIP if self.file.suffix.lower() == CLIP else MODEL


def promote(promotion: Promotion, progress: Progress, store: Store | None = None) -> dict[str, Any]:
    """Uploads, reads back, compares, indexes. Returns the index entry plus `bucket` and `resumed`.

    Raises BackendError (bad_name, not_vrm, report_failed, no_report, and what promotion_store says of servers) or
    Cancelled; a cancelled upload leaves nothing in the bucket.
    """
    promotion.name = model_name(promotion.name)
    verdict = check_report(promotion.report, promotion.override)
    progress("check", 0.0, "Reading the file")
    size, sha256 = check_file(promotion.file)
    if (promotion.report or {}).get("sha256", sha256) != sha256:
        raise BackendError(
            "stale_report",
            ("The report card is for another version of this file."),
            "Check the file again, then promote.",
        )
    store = store or Store(promotion.target)
    try:
        with Pending(promotion, sha256) as pending:
            if promotion.once and "key" not in pending.data:
                store.check_bucket()
                found = already_promoted(store, promotion.name, sha256)
                if found and "promoted_at" in found:
                    pending.forget()
                    return {**found, "bucket": promotion.target.bucket, "resumed": True}
                if found:
                    pending.update(**found)
            upload = _Upload(promotion, store, pending, size, sha256, verdict, progress)
            return upload.run()
    except MissingError as error:  # a bucket that vanished, or an object that somebody deletes under us
        message = f"Something in the bucket {promotion.target.bucket} was deleted during the promotion."
        raise BackendError("no_bucket", message, "Check the bucket, then promote again.") from error
    except ExistsError as error:
        raise BackendError(
            "exists", "Other clients keep writing to the bucket.", "Promote again: it resumes."
        ) from error


def check_report(report: dict[str, Any] | None, override: str) -> dict[str, Any]:
    """How many checks passed, warned and failed, by status. Raises BackendError(report_failed or no_report) unless
    there is a reason.
    """
    checks = (report or {}).get("checks")
    if not isinstance(checks, list) or not checks:
        if override.strip():
            return {}
        raise BackendError(
            "no_report", "The file has no report card.", "Check it first, or give a reason to promote it unchecked."
        )
    status = {str(check.get("id", "?")): check.get("status") for check in checks if isinstance(check, dict)}
    # A status that nobody knows is no pass.
    failed = [name for name, found in status.items() if found not in ("PASS", "WARN")]
    if failed and not override.strip():
        listed = ", ".join(failed[:5]) + (f" and {len(failed) - 5} more" if len(failed) > 5 else "")
        raise BackendError(
            "report_failed", f"The report card fails: {listed}.", "Correct the avatar or give a reason to promote it."
        )
    values = list(status.values())
    return {"pass": values.count("PASS"), "warn": values.count("WARN"), "fail": len(failed)}


def check_file(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a GLB file that is complete. Raises BackendError(unreadable or not_vrm)."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
            sha256 = hashlib.file_digest(_rewound(file), "sha256").hexdigest()
            size = file.tell()
    except OSError as error:
        reason = reason_of(error)
        raise BackendError(
            "unreadable", f"The file {path} cannot be read: {reason}.", "Check the path and its permissions."
        ) from error
    if len(head) < 12 or head[:4] != b"glTF" or int.from_bytes(head[8:12], "little") != size:
        raise BackendError("not_vrm", f"{path.name} is not a complete VRM file.", "Export the avatar again.")
    return size, sha256


def _rewound(file: Any) -> Any:
    file.seek(0)
    return file


class Pending:
    """What is known of an unfinished promotion, in a small file: `token`, `key`, `version`, `upload`, `parts`
    {number: ETag}, `committed`.

    Two at once with the same content get a file each; the next one after a killed process gets that process's.
    """

    def __init__(self, promotion: Promotion, sha256: str) -> None:
        target = promotion.target
        words = (target.endpoint, target.bucket, target.prefix, promotion.name, promotion.run_id, sha256)
        self._stem = hashlib.sha256("\0".join(words).encode("utf-8", "replace")).hexdigest()[:24]
        self._folder = promotion.state
        self.path = self._folder
        self.data: dict[str, Any] = {}

    def __enter__(self) -> Pending:
        self._folder.mkdir(parents=True, exist_ok=True)
        for k in range(1000):
            self.path = self._folder / f"{self._stem}-{k}.json"
            lock = hold(self.path.with_suffix(".lock"))
            if lock is not None:
                self._lock = lock
                break
        else:
            raise BackendError(
                "folder_in_use",
                ("This file is being promoted too many times at once."),
                "Wait until the other promotions have finished.",
            )
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self.path.read_text(encoding="utf-8"))
            self.data = found if isinstance(found, dict) and "token" in found else {}
        self.data.setdefault("token", uuid.uuid4().hex)
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def update(self, **values: Any) -> None:
        self.data |= values
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.data), encoding="utf-8")
        temporary.replace(self.path)

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)


class _Upload:
    """One promotion under way."""

    def __init__(
        self,
        promotion: Promotion,
        store: Store,
        pending: Pending,
        size: int,
        sha256: str,
        verdict: dict[str, Any],
        progress: Progress,
    ) -> None:
        self.promotion, self.store, self.pending, self.progress = promotion, store, pending, progress
        self.size, self.sha256, self.verdict = size, sha256, verdict
        self.part = max(PART, -(-size // MAX_PARTS))
        self.multipart = size > self.part
        self.resumed = "key" in pending.data
        self.chosen = 0
        self.committing = bool(pending.data.get("committed"))

    def run(self) -> dict[str, Any]:
        self.progress("check", SPANS["check"], "Checking the server's features")
        self.store.check_bucket()
        conditional = self.store.has_conditional_writes(self.multipart)
        try:
            for _ in range(ATTEMPTS):
                if self._committed():
                    break
                self._choose_version()
                if self.multipart:
                    self._send_parts()
                with self._turn(conditional) as still_mine:
                    if conditional or self.store.promotion_id(self.key) is None:
                        still_mine()
                        if self._commit(conditional):
                            with self._or_back():
                                self._check_kept()
            else:
                raise ExistsError
        except (Cancelled, KeyboardInterrupt):
            self._give_up()
            raise
        with self._or_back():
            self._verify()
            self.progress("index", SPANS["verify"], "Adding it to the index")
            entry = self._entry()
            with self._turn(conditional):
                index.add(self.store, entry, conditional)
        self.pending.forget()
        self.progress("index", SPANS["index"], f"Promoted as {entry['file']}")
        return {**entry, "bucket": self.promotion.target.bucket, "resumed": self.resumed}

    @property
    def key(self) -> str:
        return self.pending.data["key"]

    def _turn(self, conditional: bool) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext(lambda: None) if conditional else self.store.turn()

    def _committed(self) -> bool:
        """The object is there and ours: after a commit, also one whose answer got lost or whose process was killed."""
        if "key" in self.pending.data and not self.pending.data.get("committed"):
            found = self.store.promotion_id(self.key)
            if found == self.pending.data["token"]:
                self.pending.update(committed=True)
            elif found is not None:  # somebody else was faster
                self._drop_upload()
                self.pending.data.pop("key")
            self.committing = found == self.pending.data["token"]
        return bool(self.pending.data.get("committed"))

    def _choose_version(self) -> None:
        if "key" in self.pending.data:
            self.chosen = self.pending.data["version"]
            return
        free = next_version(self.store, self.promotion.name, self.promotion.suffix)
        self.chosen = max(free, self.chosen + 1)
        self.pending.update(
            version=self.chosen,
            key=self.promotion.target.key(versioned(self.promotion.name, self.chosen) + self.promotion.suffix),
        )

    def _headers(self) -> dict[str, Any]:
        metadata = {
            "sha256": self.sha256,
            "run-id": _ascii(self.promotion.run_id),
            PROMOTION_ID: self.pending.data["token"],
        }
        if self.promotion.override.strip():
            metadata["override-reason"] = _ascii(self.promotion.override.strip())
        return {"ContentType": CONTENT_TYPE, "CacheControl": CACHE_CONTROL, "Metadata": metadata}

    def _send_parts(self) -> None:
        """The parts that the server has not got yet. What they become is only decided at the commit."""
        upload = self.pending.data.get("upload")
        present = self._present_parts(upload) if upload else None
        if present is None:
            upload, present = self.store.value("create_multipart_upload", self.key, "UploadId", **self._headers()), {}
            self.pending.update(upload=upload, parts={})
        count = -(-self.size // self.part)
        with self.promotion.file.open("rb") as file:
            for number in range(1, count + 1):
                self._say_sent(
                    min(self.part * number, self.size) if str(number) in present else self.part * (number - 1)
                )
                if str(number) in present:
                    continue
                file.seek(self.part * (number - 1))
                try:
                    tag = self.store.value(
                        "upload_part", self.key, "ETag", UploadId=upload, PartNumber=number, Body=file.read(self.part)
                    )
                except (BackendError, MissingError) as error:
                    if getattr(error, "code", "no_upload") == "no_upload":
                        self.pending.update(upload=None)
                    raise
                self.pending.update(parts={**self.pending.data["parts"], str(number): tag})
        self._say_sent(self.size)

    def _present_parts(self, upload: str) -> dict[str, str] | None:
        """Parts that arrived and are ours, {number: ETag}; None when the server does not know the upload any more."""
        found = self.store.parts(self.key, upload)
        if found is None:
            return None
        ours = self.pending.data.get("parts") or {}
        kept = {number: tag for number, tag in ours.items() if found.get(number) == tag}
        self.pending.update(parts=kept)
        return kept

    def _say_sent(self, done: int) -> None:
        span = SPANS["upload"] - SPANS["check"]
        self.progress(
            "upload",
            SPANS["check"] + span * done / self.size,
            f"Uploading {done / 1e6:.1f} of {self.size / 1e6:.1f} MB",
        )

    def _commit(self, conditional: bool) -> bool:
        """The moment at which the object appears; whether the server says that it wrote it. When the name was taken
        meanwhile, or the answer got lost, `_committed` finds that out.
        """
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if conditional else {}
        self._say_sent(self.size if self.multipart else 0)  # the last moment at which it can be cancelled
        self.committing = True
        with contextlib.suppress(ExistsError):
            if not self.multipart:
                body = self.promotion.file.read_bytes()
                if hashlib.sha256(body).hexdigest() != self.sha256:
                    raise BackendError(
                        "changed", f"{self.promotion.file.name} changed during the promotion.", "Promote it again."
                    )
                self.store.put(self.key, body, **self._headers(), **condition)
                return True
            parts = [{"PartNumber": int(number), "ETag": tag} for number, tag in self.pending.data["parts"].items()]
            parts.sort(key=lambda part: part["PartNumber"])
            upload = self.pending.data["upload"]
            try:
                self.store.call(
                    "complete_multipart_upload",
                    self.key,
                    UploadId=upload,
                    MultipartUpload={"Parts": parts},
                    **condition,
                )
            except BackendError as error:
                # After a repeated request: it was completed by the first, whose answer got lost.
                if error.code != "no_upload" or self.store.promotion_id(self.key) != self.pending.data["token"]:
                    raise
            return True
        return False

    def _check_kept(self) -> None:
        """What the server says it wrote under a free name is there and known as ours; else this is no place to
        promote to, and nothing is left there. Raises BackendError("not_kept").
        """
        found = self.store.promotion_id(self.key)
        if found == self.pending.data["token"]:
            return
        where = self.store.target.where
        lost = f"The server {where} lost the file that it had just accepted."
        message = lost if found is None else f"The server {where} does not keep the metadata of a file."
        self._take_back()
        raise BackendError("not_kept", message, "Use another S3-compatible server.")

    @contextlib.contextmanager
    def _or_back(self) -> Iterator[None]:
        """After a refusal that a second try would meet again, the object goes, if the index surely lacks it."""
        try:
            yield
        except BackendError as error:
            if error.code in REFUSALS:
                with contextlib.suppress(BackendError):
                    if all(model["key"] != self.key for model in index.read(self.store)["models"]):
                        self._take_back()
            raise

    def _take_back(self) -> None:
        """Removes an object of ours that nobody was told of. Where that fails, the promotion stays one to resume."""
        with contextlib.suppress(BackendError, MissingError, ExistsError):
            self.store.call("delete_object", self.key)
            self._drop_upload()
            self.pending.forget()

    def _verify(self) -> None:
        """Reads the whole object back: what is public now is what was checked."""
        span = SPANS["verify"] - SPANS["upload"]

        def say(done: int) -> None:
            with contextlib.suppress(
                Cancelled
            ):  # too late: it is public, and stopping now would only leave it out of the index
                self.progress("verify", SPANS["upload"] + span * min(done / self.size, 1.0), "Verifying the upload")

        digest, answer = self.store.digest(self.key, self.size, say)
        kept = answer.get("Metadata", {})
        if digest != self.sha256 or kept.get(PROMOTION_ID) != self.pending.data["token"]:
            if kept.get(PROMOTION_ID) == self.pending.data["token"]:
                self._take_back()
            self.pending.forget()
            raise BackendError(
                "damaged",
                f"{self.key} on the server differs from what was sent.",
                "Promote again; if this happens again, check the server.",
            )
        if (answer.get("ContentType"), answer.get("CacheControl")) != (CONTENT_TYPE, CACHE_CONTROL):
            log.warning("%s: the server did not keep content type or cache control", self.key)

    def _entry(self) -> dict[str, Any]:
        promotion, target = self.promotion, self.promotion.target
        entry = {
            "name": promotion.name,
            "version": self.pending.data["version"],
            "key": self.key,
            "file": self.key.rpartition("/")[2],
            "sha256": self.sha256,
            "size": self.size,
            "run_id": promotion.run_id,
            "promoted_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "report": self.verdict,
            "override": promotion.override.strip(),
            **promotion.details,
        }
        log.info("promoted %s to %s", self.key, target.bucket)
        return {key: value for key, value in entry.items() if value not in ("", {}, None)}

    def _drop_upload(self) -> None:
        if upload := self.pending.data.pop("upload", None):
            self.store.abort(self.key, upload)
        self.pending.data.pop("parts", None)

    def _give_up(self) -> None:
        """Cancelled: what was sent so far is thrown away. What is beyond recall is remembered, for when it is
        promoted again after all.
        """
        upload = self.pending.data.get("upload")
        if not self.committing and (not upload or self.store.abort(self.key, upload)):
            self.pending.forget()


def next_version(store: Store, name: str, suffix: str = ".vrm") -> int:
    """The number after the highest that was ever used: by objects, or by the index, which remembers what was
    deleted.
    """
    used = []
    for key in store.keys(store.target.key(versioned(name, ""))):
        file = key.removeprefix(store.target.key(""))
        found, version = parsed(file.removesuffix(suffix))
        if file.endswith(suffix) and found == name:
            used.append(version)
    used += [index.version_of(entry) for entry in index.read(store)["models"] if entry.get("name") == name]
    newest = max(used, default=0)
    if newest >= LAST:
        message = f"There is no version of {name} after {newest}."
        raise BackendError("bad_name", message, "Promote it under another name.")
    return newest + 1


def already_promoted(store: Store, name: str, sha256: str) -> dict[str, Any] | None:
    """The index entry of the newest version of `name` where that has this content; where it lacks its entry, since a
    process on another machine was killed in between, what `Pending` has to know to add it. None for new content.
    """
    newest = next_version(store, name) - 1
    entries = [entry for entry in index.read(store)["models"] if entry.get("name") == name]
    entry = next((entry for entry in entries if index.version_of(entry) == newest), None)
    if entry:
        return entry if entry.get("sha256") == sha256 else None
    if not newest:
        return None
    key = store.target.key(versioned(name, newest) + ".vrm")
    with contextlib.suppress(MissingError):
        kept = store.call("head_object", key).get("Metadata", {})
        if kept.get("sha256") == sha256 and kept.get(PROMOTION_ID):
            return {"key": key, "version": newest, "token": kept[PROMOTION_ID], "committed": True}
    return None


def _ascii(text: str) -> str:
    """For an HTTP header: percent-encoded where it is not plain ASCII."""
    return urllib.parse.quote(text, safe=" !#$&'()*+,/:;=?@[]-._~", errors="replace")[:1000]
