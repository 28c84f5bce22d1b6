"""Uploads and results in S3-compatible storage.

Based on django-storages, with three differences.  A file is streamed from any position and never
held in memory as a whole.  The files below a folder are listed with their sizes.  Every failure is
an OSError, as on a disk, so that callers retry it in the same way.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.base import File
from storages.backends.s3 import S3Storage

CONNECT_SECONDS = 5
READ_SECONDS = 30
TRIES = 3
READ_AHEAD_BYTES = 256 * 1024
# No features that some S3-compatible servers lack.  Checksums are not needed: a result has its
# SHA-256 in its row.
CLIENT = Config(
    connect_timeout=CONNECT_SECONDS,
    read_timeout=READ_SECONDS,
    retries={"mode": "standard", "total_max_attempts": TRIES},
    max_pool_connections=50,
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


@contextlib.contextmanager
def _as_os_error(name: str) -> Iterator[None]:
    """Convert failures to the OSErrors of a file.  No message contains a key."""
    try:
        yield
    except ClientError as error:
        code = str(error.response["Error"]["Code"])
        if code in ("404", "NoSuchKey"):
            raise FileNotFoundError(errno.ENOENT, "No such object", name) from error
        raise OSError(errno.EIO, f"The object storage answered {code}", name) from error
    except (BotoCoreError, Boto3Error) as error:
        raise OSError(errno.EIO, f"The object storage failed ({type(error).__name__})", name) from error


def _with_os_errors(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method of S3Storage whose first argument is a name, with failures as OSErrors."""

    @functools.wraps(method)
    def call(self: S3Storage, name: str, *args: Any, **kwargs: Any) -> Any:
        with _as_os_error(name):
            return method(self, name, *args, **kwargs)

    return call


class Bucket(S3Storage):  # type: ignore[misc]
    """A folder of a private bucket.

    Only the web process serves its files, after checking permissions.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(transfer_config=TransferConfig(use_threads=False), **options)
        self.client_config: Config = self.client_config.merge(CLIENT)

    @functools.cached_property
    def connection(self) -> Any:
        """The connection of all threads of a process, because opening one is slow."""
        return super().connection

    delete = _with_os_errors(S3Storage.delete)
    exists = _with_os_errors(S3Storage.exists)
    get_modified_time = _with_os_errors(S3Storage.get_modified_time)
    listdir = _with_os_errors(S3Storage.listdir)
    size = _with_os_errors(S3Storage.size)
    _save = _with_os_errors(S3Storage._save)

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        """Open an object for reading.  Raises FileNotFoundError at once if it does not exist."""
        if mode != "rb":
            raise ValueError(f"Objects are opened for reading only, not with mode {mode!r}.")
        body = _Body(name, functools.partial(self._get, self._normalize_name(name)))
        return File(io.BufferedReader(body, READ_AHEAD_BYTES), name)

    def _get(self, key: str, first: int) -> dict[str, Any]:
        part = {"Range": f"bytes={first}-"} if first else {}
        response: dict[str, Any] = self.connection.meta.client.get_object(Bucket=self.bucket_name, Key=key, **part)
        return response

    def size_and_time(self, name: str) -> tuple[int, datetime]:
        """Return the size of an object and its time of writing, by one request."""
        with _as_os_error(name):
            entry = self.bucket.Object(self._normalize_name(name))
            return entry.content_length, entry.last_modified

    def files_below(self, folder: str) -> Iterator[list[tuple[str, int, datetime]]]:
        """Yield pages of (name, size, time of writing) of all files below a folder."""
        top = self._normalize_name(f"{folder}/")
        pages = self.connection.meta.client.get_paginator("list_objects_v2")
        with _as_os_error(folder):
            for page in pages.paginate(Bucket=self.bucket_name, Prefix=top):
                yield [
                    (entry["Key"].removeprefix(f"{self.location}/"), entry["Size"], entry["LastModified"])
                    for entry in page.get("Contents", ())
                ]


class _Body(io.RawIOBase):
    """The bytes of an object as a stream.

    Seeking requests the object again from the new position.
    """

    def __init__(self, name: str, get: Callable[[int], dict[str, Any]]) -> None:
        self._name = name
        self._get = get
        self._position = 0
        with _as_os_error(name):
            response = get(0)
        self._size = int(response["ContentLength"])
        self._stream: Any = response["Body"]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if position != self._position:
            self._position = position
            self._close_stream()
        return position

    def readinto(self, buffer: Any) -> int:
        if self._position >= self._size:
            return 0
        with _as_os_error(self._name):
            if self._stream is None:
                self._stream = self._get(self._position)["Body"]
            piece = self._stream.read(len(buffer))
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def close(self) -> None:
        self._close_stream()
        super().close()

    def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
