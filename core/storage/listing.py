"""Looking through a storage: which files are below a folder, how large each is, and since when it is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from django.core.files.storage import Storage


class StoredFile(NamedTuple):
    name: str
    size: int
    written_at: datetime


def files_below(storage: Storage, folder: str) -> Iterator[Sequence[StoredFile]]:
    """The files at any depth below a folder, some at a time; none of a storage that cannot list them.

    A storage that has them at hand with their sizes (``core.storage.s3``) is asked for them so.
    """
    listing = getattr(storage, "files_below", None)
    if listing is not None:
        for page in listing(folder):
            yield [StoredFile(*facts) for facts in page]
        return
    try:
        folders, names = storage.listdir(folder)
    except (FileNotFoundError, NotImplementedError):
        return
    yield [found for name in names if (found := _look(storage, f"{folder}/{name}"))]
    for name in folders:
        yield from files_below(storage, f"{folder}/{name}")


def _look(storage: Storage, name: str) -> StoredFile | None:
    """None when the file has gone since it was listed."""
    try:
        return StoredFile(name, storage.size(name), storage.get_modified_time(name))
    except FileNotFoundError:
        return None
