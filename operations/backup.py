"""Backups of the database and the files, while everything runs.

A backup is written beside its place under another name and renamed when it is complete and checked,
so a folder with the name that was asked for is always whole. The database comes first: every file
that it names is then in the later copy of the files. ``backup_folder`` describes the format.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from core.storage import disk
from core.version import VERSION
from operations import database_copies
from operations.backup_folder import (
    DATABASES,
    FACTS,
    FORMAT,
    SUMS,
    BackupError,
    Facts,
    data_folders,
    digest,
    files_in,
    megabytes,
    note,
    read_sums,
    require_owner,
)


def back_up(target: Path) -> Facts:
    """Write a backup of database and files to the new folder ``target``, and store a row about it.

    Everything may run meanwhile. Files are hard links where the disk is the same, links to the
    newest complete backup beside ``target`` where a file has not changed since, and copies
    otherwise. Raises BackupError, and then ``target`` does not exist.
    """
    target = target.absolute()
    sources = data_folders()
    require_owner()
    if target.exists():
        raise BackupError(f"{target} exists. Name a new folder.")
    if any(target.is_relative_to(folder) for folder in sources.values()):
        raise BackupError(f"{target} is inside a folder that is backed up. Name a folder outside of it.")
    partial = target.with_name(f".{target.name}.partial")
    complete = [path for path in target.parent.glob(f"*/{FACTS}") if (path.parent / SUMS).exists()]
    previous = max(complete, key=lambda path: path.stat().st_mtime).parent if complete else None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _require_room(target.parent, sources, previous)
        partial.mkdir(mode=0o700)
    except FileExistsError:
        raise BackupError(
            f"{partial} exists: another backup is being written, or one was interrupted. In the latter case delete it."
        ) from None
    except OSError as error:
        raise BackupError(f"{target.parent} cannot be written: {error.strerror}.") from error
    try:
        dump = partial / DATABASES[connection.vendor]
        tables = database_copies.dump(dump)
        loader = MigrationLoader(connection)
        models = [model for model in apps.get_models(include_auto_created=True) if model._meta.managed]
        stored = {model._meta.db_table for model in models if model._meta.app_label in loader.migrated_apps}
        if missing := stored - set(tables):
            raise BackupError(f"The copy of the database lacks the tables {', '.join(sorted(missing))}.")
        sums = {dump.name: digest(dump)}
        size = dump.stat().st_size
        former_sums = read_sums(previous) if previous else {}
        for kind, folder in sources.items():
            for path in files_in(folder):
                name = f"{kind}/{path.relative_to(folder)}"
                with suppress(FileNotFoundError):  # deleted since it was listed
                    sums[name] = _add_file(
                        path, partial / name, previous / name if previous else None, former_sums.get(name)
                    )
                    size += path.stat().st_size
        lines = "".join(f"{sha256}  {name}\n" for name, sha256 in sums.items())
        (partial / SUMS).write_text(lines, encoding="utf-8", errors="surrogateescape")
        facts = Facts(
            made_at=timezone.now(),
            version=VERSION,
            host=os.uname().nodename,
            vendor=connection.vendor,
            tables=tables,
            migrations=sorted(".".join(key) for key in loader.applied_migrations),
            has_files=bool(sources),
            file_count=len(sums) - 1,
            size_bytes=size,
        )
        content = {"format": FORMAT, "sums_sha256": digest(partial / SUMS), **facts.to_json()}
        (partial / FACTS).write_text(json.dumps(content, indent=2) + "\n")
        os.sync()
        partial.rename(target)
    except OSError as error:
        raise BackupError(f"The backup could not be written: {error.strerror}. Nothing is left of it.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    note(facts, target)
    return facts


def _require_room(parent: Path, sources: Mapping[str, Path], previous: Path | None) -> None:
    """Raise BackupError unless the disk of ``parent`` has room for a backup."""
    device = parent.stat().st_dev
    need = database_copies.size_bytes()
    for kind, folder in sources.items():
        if folder.exists() and folder.stat().st_dev != device:
            need += sum(
                path.stat().st_size
                for path in files_in(folder)
                if not previous or not _is_same(path, previous / kind / path.relative_to(folder))
            )
    data = Path(settings.DATA_DIR)
    reserve = disk.threshold_bytes() if data.exists() and data.stat().st_dev == device else 0
    free = shutil.disk_usage(parent).free
    if free < need + reserve:
        text = f"The backup needs up to {megabytes(need)}, and {megabytes(free)} are free in {parent}"
        text += f", of which {megabytes(reserve)} are kept free for results (MIN_FREE_DISK_MB)" if reserve else ""
        raise BackupError(f"{text}. Free some space, or name another disk.")


def _add_file(source: Path, target: Path, earlier: Path | None, sha256: str | None) -> str:
    """Link or copy a file into a backup. Return its SHA-256: ``sha256`` if it is unchanged."""
    target.parent.mkdir(parents=True, exist_ok=True)
    is_unchanged = bool(earlier and sha256 and _is_same(source, earlier))
    candidates = (source, earlier) if is_unchanged and earlier else (source,)
    for origin in candidates:
        with suppress(OSError):  # another disk, or one without links
            os.link(origin, target)
            break
    else:
        shutil.copy2(source, target)
    return sha256 if is_unchanged and sha256 else digest(target)


def _is_same(file: Path, other: Path) -> bool:
    """Return True if two files have one size and one time of change."""
    try:
        first, second = file.stat(), other.stat()
    except OSError:
        return False
    return (first.st_size, first.st_mtime_ns) == (second.st_size, second.st_mtime_ns)
