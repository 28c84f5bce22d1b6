"""Uploads and results in S3-compatible storage.

django-storages talks to it.  Different here: a file is read as it comes, from any place in it, and never lies in memory as a
whole; the files below a folder are listed with their sizes; and whatever goes wrong is an OSError, as it is on a disk, so that it
is tried again where a disk would be.
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
# What S3-compatible servers do not all know is asked for by nobody; a result has its SHA-256 in its row.
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
    """Tell a failure as the operating system tells one of a file.  No message holds a key."""
    try:
        yield
    except ClientError as error:
        code = str(error.response["Error"]["Code"])
        if code in ("404", "NoSuchKey"):
            raise FileNotFoundError(errno.ENOENT, "No such object", name) from error
        raise OSError(errno.EIO, f"The object storage answered {code}", name) from error
    except (BotoCoreError, Boto3Error) as error:
        raise OSError(errno.EIO, f"The object storage failed ({type(error).__name__})", name) from error


def _on_a_file(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of S3Storage whose first argument is a name, with failures told as those of a file."""

    @functools.wraps(method)
    def call(self: S3Storage, name: str, *args: Any, **more: Any) -> Any:
        with _as_os_error(name):
            return method(self, name, *args, **more)

    return call


class Bucket(S3Storage):  # type: ignore[misc]
    """A folder of a private bucket.  Its files leave it through the web process alone, which knows who may see them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(transfer_config=TransferConfig(use_threads=False), **options)
        self.client_config: Config = self.client_config.merge(CLIENT)

    @functools.cached_property
    def connection(self) -> Any:
        """One for all threads of a process: requests and downloads have threads of their own, and making one takes long."""
        return super().connection

    delete = _on_a_file(S3Storage.delete)
    exists = _on_a_file(S3Storage.exists)
    get_modified_time = _on_a_file(S3Storage.get_modified_time)
    listdir = _on_a_file(S3Storage.listdir)
    size = _on_a_file(S3Storage.size)
    _save = _on_a_file(S3Storage._save)

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        """For reading.  Raises FileNotFoundError at once when there is no such object."""
        if mode != "rb":
            raise ValueError(f"An object is read as it is, or saved as a whole: there is no mode {mode!r}.")
        body = _Body(name, functools.partial(self._get, self._normalize_name(name)))
        return File(io.BufferedReader(body, READ_AHEAD_BYTES), name)

    def _get(self, key: str, first: int) -> dict[str, Any]:
        part = {"Range": f"bytes={first}-"} if first else {}
        answer: dict[str, Any] = self.connection.meta.client.get_object(Bucket=self.bucket_name, Key=key, **part)
        return answer

    def files_below(self, folder: str) -> Iterator[list[tuple[str, int, datetime]]]:
        """Page by page: the name of each file at any depth below a folder, its size, and when it was written."""
        top = self._normalize_name(f"{folder}/")
        pages = self.connection.meta.client.get_paginator("list_objects_v2")
        with _as_os_error(folder):
            for page in pages.paginate(Bucket=self.bucket_name, Prefix=top):
                yield [
                    (entry["Key"].removeprefix(f"{self.location}/"), entry["Size"], entry["LastModified"])
                    for entry in page.get("Contents", ())
                ]


class _Body(io.RawIOBase):
    """An object's bytes as they come.  After a step to another place they are asked for from there on."""

    def __init__(self, name: str, get: Callable[[int], dict[str, Any]]) -> None:
        self._name = name
        self._get = get
        self._place = 0
        with _as_os_error(name):
            answer = get(0)
        self._size = int(answer["ContentLength"])
        self._stream: Any = answer["Body"]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        if place != self._place:
            self._place = place
            self._drop()
        return place

    def readinto(self, buffer: Any) -> int:
        if self._place >= self._size:
            return 0
        with _as_os_error(self._name):
            if self._stream is None:
                self._stream = self._get(self._place)["Body"]
            piece = self._stream.read(len(buffer))
        buffer[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)

    def close(self) -> None:
        self._drop()
        super().close()

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
