# SPDX-License-Identifier: GPL-3.0-or-later
"""The bucket that models are promoted to: what boto3 does for us there, what the server can do, and its refusals as
sentences.

Credentials come from boto3's own chain (environment, profile, instance) and are never seen here: no message repeats
what a server said.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import logging
import random
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..addresses import shown
from ..errors import BackendError

log = logging.getLogger(__name__)

PROBE, LOCKS = ".conditional-write-probe", ".locks/"
MOST_PAGES = 1000  # of a listing, 1000 objects each; a server that never ends one is not believed
STALE = 120.0  # seconds after which a lock object belongs to a dead process; who has the turn finishes well before
TURN_TIMEOUT = 300.0
CONNECT_TIMEOUT, READ_TIMEOUT, ATTEMPTS = 5.0, 20.0, 3
EXISTS_CODES = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}
MISSING_CODES = {"NoSuchKey", "NotFound", "404"}
PROMOTION_ID = "promotion-id"


@dataclass(frozen=True)
class Target:
    """Where to. endpoint: URL of an S3-compatible server, "" for Amazon's; prefix: folder in it; profile: of boto3,
    "" for its own.
    """

    bucket: str
    endpoint: str = ""
    prefix: str = ""
    profile: str = ""
    region: str = ""

    @property
    def where(self) -> str:
        """For messages."""
        return shown(self.endpoint) if self.endpoint else "Amazon S3"

    def key(self, name: str) -> str:
        folder = self.prefix.strip("/")
        return f"{folder}/{name}" if folder else name

    def check(self) -> None:
        """Raises BackendError("bad_target")."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}", self.bucket):
            raise BackendError(
                "bad_target",
                f"{self.bucket[:80]!r} is not the name of a bucket.",
                "Correct the bucket in the preferences.",
            )
        words = {"endpoint": self.endpoint, "prefix": self.prefix, "profile": self.profile, "region": self.region}
        if unusable := [name for name, word in words.items() if not word.isprintable()]:
            raise BackendError(
                "bad_target",
                f"The {unusable[0]} has a character that cannot be shown.",
                "Correct it in the preferences.",
            )
        if self.endpoint and not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s@?#]*)?", self.endpoint):
            message = "The endpoint is not a plain URL such as https://storage.example."
            raise BackendError(
                "bad_target", message, "Correct it; keys belong in the environment or a profile, never in the URL."
            )


class ExistsError(Exception):
    """The key is taken, or the object is not what it was when it was read."""


class MissingError(Exception):
    """There is no such object."""


class Store:
    """One bucket. Every method raises BackendError with one sentence when the server or the way to it fails."""

    def __init__(self, target: Target, read_timeout: float = READ_TIMEOUT) -> None:
        target.check()
        self.target = target
        self.client = self._connect(CONNECT_TIMEOUT, read_timeout, ATTEMPTS)

    def _connect(self, connect_timeout: float, read_timeout: float, attempts: int) -> Any:
        with self._explained():
            import boto3
            from botocore.config import Config

            target = self.target
            session = boto3.session.Session(profile_name=target.profile or None, region_name=target.region or None)
            return session.client(
                "s3",
                endpoint_url=target.endpoint or None,
                region_name=session.region_name or ("us-east-1" if target.endpoint else None),
                config=Config(
                    signature_version="s3v4",
                    s3={"addressing_style": "path" if target.endpoint else "auto"},
                    retries={"mode": "standard", "total_max_attempts": attempts},
                    connect_timeout=connect_timeout,
                    read_timeout=read_timeout,
                    # boto3's checksums in trailers are unknown to many servers; what arrived is read back and
                    # compared anyway.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )

    def call(self, operation: str, key: str, **arguments: Any) -> dict[str, Any]:
        """One request. Raises ExistsError (412 or 409), MissingError or BackendError."""
        with self._explained():
            return getattr(self.client, operation)(Bucket=self.target.bucket, Key=key, **arguments)

    def check_bucket(self) -> None:
        """Raises BackendError (no_bucket, wrong_key, ...): some servers would make a bucket out of a typing error.

        By a listing, because the answer to a HEAD request has no body that says what is wrong.
        """
        try:
            with self._explained():
                self.client.list_objects_v2(Bucket=self.target.bucket, MaxKeys=1)
        except MissingError as error:
            raise explain_answer("NoSuchBucket", 404, self.target) from error

    def value(self, operation: str, key: str, name: str, **arguments: Any) -> Any:
        """As `call`, but one field of the answer; an answer without it is no answer of an S3 server."""
        with self._explained():
            return self.call(operation, key, **arguments)[name]

    def keys(self, prefix: str) -> dict[str, datetime]:
        """key -> when it was written, of every object whose key starts with `prefix`."""
        found: dict[str, datetime] = {}
        with self._explained():
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.target.bucket, Prefix=prefix)
            for number, page in enumerate(pages):
                if number >= MOST_PAGES:
                    raise ValueError("a listing without an end")
                found |= {item["Key"]: item["LastModified"] for item in page.get("Contents", [])}
        return {key: written for key, written in found.items() if key.startswith(prefix)}

    def parts(self, key: str, upload: str) -> dict[str, str] | None:
        """The parts of an unfinished upload that have arrived, {number: ETag}; None when the server does not know the
        upload any more.
        """
        found: dict[str, str] = {}
        marker, more = 0, True
        with self._explained():
            while more:
                try:
                    answer = self.call("list_parts", key, UploadId=upload, PartNumberMarker=marker)
                except MissingError:
                    return None
                except BackendError as error:
                    if error.code == "no_upload":
                        return None
                    raise
                found |= {str(part["PartNumber"]): part["ETag"] for part in answer.get("Parts", [])}
                more, before, marker = bool(answer.get("IsTruncated")), marker, answer.get("NextPartNumberMarker", 0)
                if more and marker <= before:
                    raise ValueError("a listing without an end")
        return found

    def promotion_id(self, key: str) -> str | None:
        """Who wrote the object, "" if another program did; None when there is no object."""
        try:
            return self.value("head_object", key, "Metadata").get(PROMOTION_ID, "")
        except MissingError:
            return None

    def read(self, key: str, most: int) -> tuple[bytes, str] | None:
        """A small object, of which one byte more than `most` is read at most, and its ETag; or None."""
        try:
            answer = self.call("get_object", key)
            with self._explained():
                return b"".join(_pieces(answer["Body"], most)), answer["ETag"]
        except MissingError:
            return None

    def digest(self, key: str, most: int, on_bytes: Callable[[int], None]) -> tuple[str, dict[str, Any]]:
        """SHA-256 of an object as the server gives it, up to a little more than `most` bytes, and its headers. Raises
        MissingError.
        """
        answer, digest, done = self.call("get_object", key), hashlib.sha256(), 0
        with self._explained():
            for piece in _pieces(answer["Body"], most):
                digest.update(piece)
                done += len(piece)
                on_bytes(done)
        return digest.hexdigest(), answer

    def put(self, key: str, body: bytes, **arguments: Any) -> None:
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        self.call("put_object", key, Body=body, ChecksumSHA256=checksum, **arguments)

    def has_conditional_writes(self, multipart: bool) -> bool:
        """Whether the server honours If-None-Match and If-Match, tried on an object of our own. Some ignore them and
        overwrite.
        """
        key, body = self.target.key(PROBE), b"Avatar Forge tries here whether this server refuses to overwrite.\n"
        never = {"IfMatch": '"00000000000000000000000000000000"'}
        try:
            self._refused(key, body, {"IfNoneMatch": "*"})  # makes it, if it is not there yet
            refused = all(self._refused(key, body, condition) for condition in ({"IfNoneMatch": "*"}, never))
            return refused and (not multipart or self._multipart_refused(key, body))
        except BackendError as error:
            if error.code == "unsupported":
                return False
            raise

    def _refused(self, key: str, body: bytes, condition: dict[str, str]) -> bool:
        try:
            self.put(key, body, ContentType="text/plain", **condition)
        except ExistsError:
            return True
        return False

    def _multipart_refused(self, key: str, body: bytes) -> bool:
        upload = self.value("create_multipart_upload", key, "UploadId")
        try:
            part = self.value("upload_part", key, "ETag", UploadId=upload, PartNumber=1, Body=body)
            parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
            self.call("complete_multipart_upload", key, UploadId=upload, MultipartUpload=parts, IfNoneMatch="*")
        except ExistsError:
            return True
        finally:
            self.abort(key, upload)
        return False

    def abort(self, key: str, upload: str) -> bool:
        """Throws an unfinished upload away. At once or not at all: it is called when the user wants to stop."""
        try:
            with self._explained():
                self._connect(1.0, 1.0, 1).abort_multipart_upload(Bucket=self.target.bucket, Key=key, UploadId=upload)
        except (BackendError, MissingError, ExistsError):
            return False
        return True

    @contextmanager
    def turn(self, sleep: Callable[[float], None] = time.sleep) -> Iterator[Callable[[], None]]:
        """Mutual exclusion on a server without conditional writes; gives a function that raises when the turn has
        lasted too long.

        Each writes an object of its own, then lists: who sees no other has the turn, who sees another steps back and
        tries later. As a listing shows everything written before it, two cannot both be alone. Who died is recognised
        by the server's own clock.
        """
        folder, mine = self.target.key(LOCKS), self.target.key(f"{LOCKS}{uuid.uuid4().hex}")
        deadline, wait = time.monotonic() + TURN_TIMEOUT, 0.05
        while True:
            began = time.monotonic()
            self.put(mine, b"")
            try:
                if not self._others(folder, mine):
                    yield functools.partial(_still_fresh, began)
                    return
            finally:
                self.call("delete_object", mine)
            if time.monotonic() > deadline:
                raise BackendError("busy", "Other clients keep promoting to this bucket.", "Try again later.")
            sleep(random.uniform(0.0, wait))
            wait = min(wait * 1.6, 1.0)

    def _others(self, folder: str, mine: str) -> list[str]:
        found = self.keys(folder)
        now = found.pop(mine, None)
        if now is None:  # the listing is behind: better wait than believe it
            return [folder]
        stale = [key for key, written in found.items() if (now - written).total_seconds() > STALE]
        for key in stale:
            self.call("delete_object", key)
        return [key for key in found if key not in stale]

    @contextmanager
    def _explained(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            log.info("%s: the server answered %d %s", error.operation_name, status, code[:60])
            if code in EXISTS_CODES or status == 412:
                raise ExistsError from error
            if code in MISSING_CODES:
                raise MissingError from error
            raise explain_answer(code, status, self.target) from error
        except (BotoCoreError, HTTPClientError) as error:
            log.info("%s", type(error).__name__)
            raise explain_way(error, self.target) from error
        except RecursionError as error:  # boto3 asks for ever where a redirect leads that names no region
            raise _redirected(self.target) from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:  # an answer that boto3 does not expect
            log.info("%s", type(error).__name__)
            where = self.target.where
            message = f"The server {where} sent an invalid answer."
            raise BackendError("refused", message, "Check endpoint, region and bucket.") from error


def _pieces(body: Any, most: int) -> Iterator[bytes]:
    """An answer's body; what comes after one byte more than `most` stays unread."""
    left = most + 1
    while left and (piece := body.read(min(left, 1 << 20))):  # the empty read at the end checks the length
        left -= len(piece)
        yield piece
    if not left:
        body.close()


def _still_fresh(began: float) -> None:
    if time.monotonic() - began > STALE / 2:
        raise BackendError(
            "server_silent", "The server is so slow that the write lock expired.", "Promote again: it resumes."
        )


def _redirected(target: Target) -> BackendError:
    hint = "Check the endpoint (https instead of http?) and the region of the bucket."
    return BackendError("redirected", f"The server {target.where} redirects to another address.", hint)


def explain_answer(code: str, status: int, target: Target) -> BackendError:
    """An error answer of an S3 server, by its code (S3 API reference, "Error responses"), as a sentence."""
    where = target.where
    if code in (
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidToken",
        "ExpiredToken",
        "TokenRefreshRequired",
        "AuthFailure",
    ):
        what = "has expired" if code in ("ExpiredToken", "TokenRefreshRequired") else "is wrong"
        return BackendError(
            "wrong_key", f"The access key for {where} {what}.", "Correct it in the environment or in the profile."
        )
    if code in ("RequestTimeTooSkewed", "RequestExpired"):
        return BackendError(
            "clock_skew",
            f"The clocks of this computer and {where} differ too much.",
            "Set the clock, then promote again.",
        )
    if code == "NoSuchBucket":
        return BackendError(
            "no_bucket", f"There is no bucket {target.bucket} at {where}.", "Correct its name, or create the bucket."
        )
    if code == "NoSuchUpload":
        return BackendError(
            "no_upload", "The server no longer knows the upload.", "Promote again: it starts from the beginning."
        )
    if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"):
        return BackendError("wrong_region", f"The bucket {target.bucket} is in another region.", "Set its region.")
    if 300 <= status < 400:
        return _redirected(target)
    if status == 507 or code in (
        "XMinioStorageFull",
        "InsufficientStorage",
        "QuotaExceeded",
        "InsufficientCapacity",
        "NoSpaceLeft",
    ):
        return BackendError(
            "disk_full", f"The storage at {where} is full.", "Free some space there, then promote again: it resumes."
        )
    if status == 501 or code == "NotImplemented":
        return BackendError(
            "unsupported", f"The server {where} lacks a required feature.", "Use another S3-compatible server."
        )
    if code == "AccessDenied" or status in (401, 403):
        message = f"The access key has no permission for this in the bucket {target.bucket}."
        return BackendError(
            "no_permission", message, "The server must allow listing the bucket, and reading and writing objects in it."
        )
    if status >= 500 or code in ("SlowDown", "RequestTimeout"):
        return BackendError(
            "server_error",
            f"The server {where} reports an internal problem ({status}).",
            "Promote again later: it resumes.",
        )
    return BackendError(
        "refused",
        (f"The server {where} rejected the request ({status} {code[:60]})."),
        "Check that it is an S3-compatible server.",
    )


def explain_way(error: Exception, target: Target) -> BackendError:
    """botocore's own exceptions: no answer from a server at all."""
    name, where = type(error).__name__, target.where
    if name in (
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "TokenRetrievalError",
        "SSOTokenLoadError",
    ):
        hint = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile of ~/.aws/credentials."
        return BackendError("no_credentials", "There is no access key for the storage.", hint)
    if name in ("ProfileNotFound", "ConfigParseError", "ConfigNotFound"):
        return BackendError(
            "no_credentials",
            f"The profile {target.profile or 'default'} cannot be read.",
            "Check ~/.aws/credentials and config.",
        )
    if name == "SSLError":
        hint = "Check its address and certificate; AWS_CA_BUNDLE names a file with a certificate authority of your own."
        return BackendError("tls", f"The certificate of {where} cannot be trusted.", hint)
    if name in ("ReadTimeoutError", "ConnectionClosedError", "ResponseStreamingError", "IncompleteReadError"):
        return BackendError(
            "server_silent", f"The server {where} stopped responding.", "Promote again: it resumes where it stopped."
        )
    if name in (
        "EndpointConnectionError",
        "ConnectTimeoutError",
        "ConnectionError",
        "ProxyConnectionError",
        "HTTPClientError",
    ):
        return BackendError(
            "no_network", f"The server {where} cannot be reached.", "Check the network and the endpoint."
        )
    if name in ("NoRegionError", "InvalidRegionError"):
        return BackendError("wrong_region", "The region of the bucket is unknown.", "Set the region.")
    return BackendError(
        "refused", f"The request to {where} could not be made ({name}).", "Check endpoint, region and bucket."
    )
