"""Restoration of a backup: database and files are replaced, and everything is paused."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from core.storage import disk
from core.version import VERSION
from media.models import MediaFile
from missions.models import Mission
from operations import database_copies
from operations.backup_folder import (
    DATABASES,
    BackupError,
    Facts,
    data_folders,
    files_in,
    megabytes,
    note,
    require_owner,
    verify,
)
from workers import heartbeat


def restore(source: Path, *, is_forced: bool = False, say: Callable[[str], None] = print) -> Facts:
    """Replace database and files by those of a backup, and pause all of it.

    ``is_forced`` allows a target that holds data. That data is put aside and not deleted; ``say``
    tells where, and where everything else is. Raises BackupError, and then nothing has changed.
    """
    require_owner()
    source = source.absolute()
    with suppress(DatabaseError):
        if heartbeat.is_any_alive():
            raise BackupError("Workers are running. Stop workers and web, then run this again.")
    facts = verify(source)
    say(f"The backup of {facts.made_at:%Y-%m-%d %H:%M:%S} UTC is whole: {facts.file_count} files.")
    if facts.vendor != connection.vendor:
        raise BackupError(f"The backup holds a {facts.vendor} database, and DATABASE_URL names {connection.vendor}.")
    if unknown := set(facts.migrations) - {".".join(key) for key in MigrationLoader(None).disk_migrations}:
        raise BackupError(
            f"The backup was made by version {facts.version}, and this one is {VERSION} and lacks "
            f"{len(unknown)} of its migrations. Install that version first."
        )
    folders = data_folders() if facts.has_files else {}
    if mounted := [str(folder) for folder in folders.values() if folder.is_mount()]:
        raise BackupError(f"{mounted[0]} is a mount point and cannot be replaced. Mount the disk at DATA_DIR instead.")
    occupied = [kind for kind, folder in folders.items() if any(files_in(folder))]
    tables = database_copies.existing_tables()
    if tables and _holds_data():
        occupied.insert(0, "database")
    if occupied and not is_forced:
        raise BackupError(
            f"There is data already: {', '.join(occupied)}. To put it aside and restore, run this with --force."
        )
    need = facts.size_bytes if folders else (source / DATABASES[facts.vendor]).stat().st_size
    Path(settings.DATA_DIR).mkdir(parents=True, exist_ok=True)
    free = disk.free_bytes()
    if free < need:
        raise BackupError(f"The restore needs {megabytes(need)}, and {megabytes(free)} are free.")
    mark = f"{timezone.now():%Y%m%d%H%M%S%f}"  # two restores may follow each other within a second
    with contextlib.ExitStack() as stack:
        staged = {}
        for kind, folder in folders.items():
            staged[kind] = folder.with_name(f".{folder.name}.restoring")
            shutil.rmtree(staged[kind], ignore_errors=True)
            stack.callback(shutil.rmtree, staged[kind], ignore_errors=True)
            staged[kind].mkdir(parents=True)
            if (source / kind).exists():
                shutil.copytree(source / kind, staged[kind], dirs_exist_ok=True)
        database_copies.restore(source / DATABASES[facts.vendor], facts, tables, mark, say)
        for kind, folder in folders.items():
            if folder.exists():
                if any(files_in(folder)):
                    aside = folder.with_name(f"{folder.name}.before-restore-{mark}")
                    folder.rename(aside)
                    say(f"The {kind} that were there are now in {aside}.")
                else:
                    shutil.rmtree(folder)
            staged[kind].rename(folder)
    call_command("migrate", verbosity=0, interactive=False)
    note(facts, source)
    return facts


def _holds_data() -> bool:
    """Return False for tables that were only installed: without a person, a mission or an image."""
    try:
        return any(model._default_manager.exists() for model in (User, Mission, MediaFile))
    except DatabaseError:  # other tables, or those of another version
        return True
