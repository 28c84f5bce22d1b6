"""Listing the files of a storage with their sizes and times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from django.core.files.storage import Storage


class StoredFile(NamedTuple):
    name: str
    size: int
    written_at: datetime


def stored_file(storage: Storage, name: str) -> StoredFile:
    """Return a file with its size and time. Raises FileNotFoundError.

    A storage with its own ``size_and_time`` (``core.storage.s3``) is asked once.
    """
    own_facts = getattr(storage, "size_and_time", None)
    size, written_at = own_facts(name) if own_facts else (storage.size(name), storage.get_modified_time(name))
    return StoredFile(name, size, written_at)


def files_below(storage: Storage, folder: str) -> Iterator[Sequence[StoredFile]]:
    """Yield the files at any depth below a folder, in batches; none for a storage that cannot list.

    A storage with its own ``files_below`` (``core.storage.s3``) lists names, sizes and times at
    once.
    """
    own_listing = getattr(storage, "files_below", None)
    if own_listing is not None:
        for page in own_listing(folder):
            yield [StoredFile(*facts) for facts in page]
        return
    try:
        folders, names = storage.listdir(folder)
    except (FileNotFoundError, NotImplementedError):
        return
    files = []
    for name in names:
        path = f"{folder}/{name}"
        try:
            files.append(stored_file(storage, path))
        except FileNotFoundError:  # deleted since it was listed
            continue
    yield files
    for name in folders:
        yield from files_below(storage, f"{folder}/{name}")
