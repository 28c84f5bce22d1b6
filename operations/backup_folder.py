"""The format of a backup, a folder::

backup.json      when, by which version, how many rows each table has; written last
SHA256SUMS       a checksum of every other file, for ``sha256sum --check`` as well
database.sqlite3 or database.dump (PostgreSQL, for ``pg_restore``)
uploads/         \\ absent with STORAGE_URL: the files are in a bucket then
results/         /
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from django.conf import settings
from django.utils.dateparse import parse_datetime

from core.storage import disk
from operations.models import Backup

FACTS = "backup.json"
SUMS = "SHA256SUMS"
DATABASES = {"sqlite": "database.sqlite3", "postgresql": "database.dump"}
FORMAT = 1


class BackupError(Exception):
    """A backup cannot be made or restored. The message is for operators."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The content of ``backup.json``.

    ``tables`` holds the number of rows of each table, ``migrations`` those that were applied.
    """

    made_at: datetime
    version: str
    host: str
    vendor: str
    tables: Mapping[str, int]
    migrations: Sequence[str]
    has_files: bool
    file_count: int
    size_bytes: int

    def to_json(self) -> dict[str, Any]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return values | {"made_at": self.made_at.isoformat()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the facts in a ``backup.json``. Raises KeyError or TypeError if it lacks some."""
        values = {field.name: content[field.name] for field in fields(cls)}
        return cls(**values | {"made_at": parse_datetime(content["made_at"])})


def verify(source: Path) -> Facts:
    """Read a whole backup and return its facts. Raises BackupError if anything has changed."""
    try:
        content = json.loads((source / FACTS).read_bytes())
        facts = Facts.from_json(content)
        is_known = content["format"] == FORMAT
    except FileNotFoundError:
        raise BackupError(f"{source} is not a complete backup: it has no {FACTS}.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{source / FACTS} cannot be read: {error}.") from error
    if not is_known:
        raise BackupError(f"{source} was made by version {facts.version}, which this one cannot read.")
    try:
        if digest(source / SUMS) != content["sums_sha256"]:
            raise BackupError(f"{source / SUMS} was changed after it was written.")
        sums = read_sums(source)
        for name, sha256 in sums.items():
            if digest(source / name) != sha256:
                raise BackupError(f"{source / name} was changed after it was written.")
    except OSError as error:
        raise BackupError(f"{error.filename} cannot be read: {error.strerror}.") from error
    if len(sums) != facts.file_count + 1:
        raise BackupError(f"{source / SUMS} has {len(sums)} lines; {facts.file_count + 1} were written.")
    return facts


def data_folders() -> dict[str, Path]:
    """Return the folders of uploads and results; none when they are in a bucket."""
    if settings.STORAGE_URL:
        return {}
    return {"uploads": Path(settings.MEDIA_ROOT), "results": Path(settings.RESULTS_ROOT)}


def require_owner() -> None:
    """Raise BackupError for root in a data folder of somebody else, who could not use the files."""
    folder = Path(settings.DATA_DIR)
    if folder.exists() and os.geteuid() == 0 and folder.stat().st_uid != 0:
        owner = folder.owner()
        raise BackupError(f"{folder} belongs to {owner}. Run this as {owner}: runuser -u {owner} -- …")


def files_in(folder: Path) -> Iterator[Path]:
    """Yield the files at any depth below a folder; none if it does not exist."""
    for root, _folders, names in os.walk(folder):
        for name in sorted(names):
            yield Path(root, name)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a backup, by its name."""
    text = (folder / SUMS).read_text(encoding="utf-8", errors="surrogateescape")
    return {line[66:]: line[:64] for line in text.split("\n") if line}


def megabytes(size: int) -> str:
    return f"{size / disk.MEGABYTE:,.0f} MB"


def note(facts: Facts, folder: Path) -> None:
    """Store a row about a backup, for ``doctor`` and the metrics."""
    Backup.objects.get_or_create(
        made_at=facts.made_at,
        host=facts.host,
        folder=str(folder),
        defaults={"size_bytes": facts.size_bytes, "file_count": facts.file_count},
    )
