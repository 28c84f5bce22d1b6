"""Backups of the database and the files, and their restoration.

A backup is a folder::

    backup.json      when, by which version, how many rows each table has; written last
    SHA256SUMS       a checksum of every other file, for ``sha256sum --check`` as well
    database.sqlite3 or database.dump (PostgreSQL, for ``pg_restore``)
    uploads/         \\ absent with STORAGE_URL: the files are in a bucket then
    results/         /

It is written beside its place under another name and renamed when it is complete and checked, so a
folder with the name that was asked for is always whole. The database comes first: every file that
it names is then in the later copy of the files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connection, connections, transaction
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from core.storage import disk
from core.version import VERSION
from operations.models import Backup
from workers import heartbeat

FACTS = "backup.json"
SUMS = "SHA256SUMS"
DATABASES = {"sqlite": "database.sqlite3", "postgresql": "database.dump"}
FORMAT = 1
READ_BYTES = 1024**2
OLD_SCHEMA = "before_restore_"


class BackupError(Exception):
    """A backup cannot be made, or not be restored. The message is for operators."""


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


# --- Back up ---


def back_up(target: Path) -> Facts:
    """Write a backup of database and files to the new folder ``target``, and store a row about it.

    Everything may run meanwhile. Files are hard links where the disk is the same, links to the
    newest complete backup beside ``target`` where a file has not changed since, and copies
    otherwise. Raises BackupError, and then ``target`` does not exist.
    """
    target = target.absolute()
    sources = _file_folders()
    _require_owner()
    if target.exists():
        raise BackupError(f"{target} exists. Name a new folder.")
    if any(target.is_relative_to(folder) for folder in sources.values()):
        raise BackupError(f"{target} is inside a folder that is backed up. Name a folder outside of it.")
    partial = target.with_name(f".{target.name}.partial")
    previous = _newest_backup(target.parent)
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
        tables = _dump_sqlite(dump) if connection.vendor == "sqlite" else _dump_postgresql(dump)
        if missing := {model._meta.db_table for model in _stored_models()} - set(tables):
            raise BackupError(f"The copy of the database lacks the tables {', '.join(sorted(missing))}.")
        sums = {dump.name: _digest(dump)}
        size = dump.stat().st_size
        known = _read_sums(previous) if previous else {}
        for kind, folder in sources.items():
            for path in _files_in(folder):
                name = f"{kind}/{path.relative_to(folder)}"
                with suppress(FileNotFoundError):  # deleted since it was listed
                    sums[name] = _add_file(path, partial / name, previous / name if previous else None, known.get(name))
                    size += path.stat().st_size
        lines = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
        (partial / SUMS).write_text(lines, encoding="utf-8", errors="surrogateescape")
        facts = Facts(
            made_at=timezone.now(),
            version=VERSION,
            host=os.uname().nodename,
            vendor=connection.vendor,
            tables=tables,
            migrations=sorted(".".join(key) for key in MigrationLoader(connection).applied_migrations),
            has_files=bool(sources),
            file_count=len(sums) - 1,
            size_bytes=size,
        )
        content = {"format": FORMAT, "sums_sha256": _digest(partial / SUMS), **_as_json(facts)}
        (partial / FACTS).write_text(json.dumps(content, indent=2) + "\n")
        os.sync()
        partial.rename(target)
    except OSError as error:
        raise BackupError(f"The backup could not be written: {error.strerror}. Nothing is left of it.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _note(facts, target)
    return facts


def _file_folders() -> dict[str, Path]:
    """Return the folders of uploads and results; none when they are in a bucket."""
    if settings.STORAGE_URL:
        return {}
    return {"uploads": Path(settings.MEDIA_ROOT), "results": Path(settings.RESULTS_ROOT)}


def _require_owner() -> None:
    """Raise BackupError for root in a data folder of somebody else, who could not use the files."""
    folder = Path(settings.DATA_DIR)
    if folder.exists() and os.geteuid() == 0 and folder.stat().st_uid != 0:
        owner = folder.owner()
        raise BackupError(f"{folder} belongs to {owner}. Run this as {owner}: runuser -u {owner} -- …")


def _require_room(parent: Path, sources: Mapping[str, Path], previous: Path | None) -> None:
    """Raise BackupError unless the disk of ``parent`` has room for a backup."""
    device = parent.stat().st_dev
    need = _database_bytes()
    for kind, folder in sources.items():
        if folder.exists() and folder.stat().st_dev != device:
            need += sum(
                path.stat().st_size
                for path in _files_in(folder)
                if not previous or not _is_same(path, previous / kind / path.relative_to(folder))
            )
    data = Path(settings.DATA_DIR)
    reserve = disk.threshold_bytes() if data.exists() and data.stat().st_dev == device else 0
    free = shutil.disk_usage(parent).free
    if free < need + reserve:
        text = f"The backup needs up to {_megabytes(need)}, and {_megabytes(free)} are free in {parent}"
        kept = f", of which {_megabytes(reserve)} are kept free for results (MIN_FREE_DISK_MB)" if reserve else ""
        raise BackupError(f"{text}{kept}. Free some space, or name another disk.")


def _dump_sqlite(target: Path) -> dict[str, int]:
    """Copy the database while others write to it. Return the rows of each table of the copy."""
    with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=60)) as source:
        source.execute("VACUUM INTO ?", [str(target)])
    return _check_sqlite(target)


def _check_sqlite(path: Path) -> dict[str, int]:
    """Return the rows of each table. Raises BackupError if the file is damaged."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as copy:
        try:
            result = copy.execute("PRAGMA integrity_check").fetchone()[0]
            names = [row[0] for row in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            counts = {name: copy.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0] for name in names}  # noqa: S608
        except sqlite3.DatabaseError as error:
            raise BackupError(f"{path} is damaged: {error}.") from error
    if result != "ok":
        raise BackupError(f"{path} is damaged: {result}.")
    return {name: count for name, count in counts.items() if not name.startswith("sqlite_")}


def _dump_postgresql(target: Path) -> dict[str, int]:
    """Dump one snapshot of the database, and read the dump back. Return the rows of each table.

    Raises BackupError if the dump differs from the snapshot.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.execute("SELECT pg_export_snapshot()")
        snapshot = cursor.fetchone()[0]
        tables = _count_rows()
        options = ("--format=custom", "--no-owner", "--no-privileges", f"--exclude-schema={OLD_SCHEMA}*")
        _postgres("pg_dump", *options, f"--snapshot={snapshot}", f"--file={target}")
    dumped = _rows_in_dump(target)
    if different := sorted(name for name, count in tables.items() if dumped.get(name) != count):
        raise BackupError(f"The dump differs from the database in the tables {', '.join(different)}.")
    return tables


def _count_rows() -> dict[str, int]:
    """Return the rows of each table of the database, exactly."""
    with connection.cursor() as cursor:
        counts = {}
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT COUNT(*) FROM {connection.ops.quote_name(table)}")  # noqa: S608
            counts[table] = int(cursor.fetchone()[0])
    return counts


def _rows_in_dump(dump: Path) -> dict[str, int]:
    """Read a whole dump, as a restore would. Return the rows of each table in it."""
    command, _env = _postgres_command("pg_restore", "--data-only", "--file=-", str(dump), connects=False)
    counts: dict[str, int] = {}
    table = ""
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process:  # noqa: S603
            for line in process.stdout or ():
                if table and line == b"\\.\n":
                    table = ""
                elif table:
                    counts[table] += 1
                elif line.startswith(b"COPY "):
                    table = line.split()[1].decode().rpartition(".")[2].strip('"')
                    counts[table] = 0
        errors.seek(0)
        if process.returncode:
            raise BackupError(f"The dump cannot be read: {_last_line(errors.read())}")
    return counts


def _database_bytes() -> int:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
        else:
            cursor.execute("SELECT pg_database_size(current_database())")
        return int(cursor.fetchone()[0])


def _add_file(source: Path, target: Path, earlier: Path | None, digest: str | None) -> str:
    """Link or copy a file into a backup. Return its SHA-256: ``digest`` if it is unchanged."""
    target.parent.mkdir(parents=True, exist_ok=True)
    is_unchanged = bool(earlier and digest and _is_same(source, earlier))
    candidates = (source, earlier) if is_unchanged and earlier else (source,)
    for origin in candidates:
        with suppress(OSError):  # another disk, or one without links
            os.link(origin, target)
            break
    else:
        shutil.copy2(source, target)
    return digest if is_unchanged and digest else _digest(target)


def _is_same(file: Path, other: Path) -> bool:
    """Return True if two files have one size and one time of change."""
    try:
        first, second = file.stat(), other.stat()
    except OSError:
        return False
    return (first.st_size, first.st_mtime_ns) == (second.st_size, second.st_mtime_ns)


def _newest_backup(folder: Path) -> Path | None:
    """Return the newest complete backup with files in a folder, or None."""
    found = [path for path in folder.glob(f"*/{FACTS}") if (path.parent / SUMS).exists()]
    return max(found, key=lambda path: path.stat().st_mtime).parent if found else None


def _note(facts: Facts, folder: Path) -> None:
    Backup.objects.get_or_create(
        made_at=facts.made_at,
        host=facts.host,
        folder=str(folder),
        defaults={"size_bytes": facts.size_bytes, "file_count": facts.file_count},
    )


# --- Restore ---


def verify(source: Path) -> Facts:
    """Read a whole backup and return its facts. Raises BackupError if anything has changed."""
    try:
        content = json.loads((source / FACTS).read_bytes())
        facts = _from_json(content)
        is_known = content["format"] == FORMAT
    except FileNotFoundError:
        raise BackupError(f"{source} is not a complete backup: it has no {FACTS}.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{source / FACTS} cannot be read: {error}.") from error
    if not is_known:
        raise BackupError(f"{source} was made by version {facts.version}, which this one cannot read.")
    try:
        if _digest(source / SUMS) != content["sums_sha256"]:
            raise BackupError(f"{source / SUMS} was changed after it was written.")
        sums = _read_sums(source)
        for name, digest in sums.items():
            if _digest(source / name) != digest:
                raise BackupError(f"{source / name} was changed after it was written.")
    except OSError as error:
        raise BackupError(f"{error.filename} cannot be read: {error.strerror}.") from error
    if len(sums) != facts.file_count + 1:
        raise BackupError(f"{source / SUMS} has {len(sums)} lines; {facts.file_count + 1} were written.")
    return facts


def restore(source: Path, *, is_forced: bool = False, say: Callable[[str], None] = print) -> Facts:
    """Replace database and files by those of a backup, and pause all of it.

    ``is_forced`` allows a target that holds data. That data is put aside and not deleted; ``say``
    tells where, and where everything else is. Raises BackupError, and then nothing has changed.
    """
    _require_owner()
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
    folders = _file_folders() if facts.has_files else {}
    if mounted := [str(folder) for folder in folders.values() if folder.is_mount()]:
        raise BackupError(f"{mounted[0]} is a mount point and cannot be replaced. Mount the disk at DATA_DIR instead.")
    occupied = [kind for kind, folder in folders.items() if any(_files_in(folder))]
    if tables := _existing_tables():
        occupied.insert(0, "database")
    if occupied and not is_forced:
        raise BackupError(
            f"There is data already: {', '.join(occupied)}. To put it aside and restore, run this with --force."
        )
    need = facts.size_bytes if folders else (source / DATABASES[facts.vendor]).stat().st_size
    Path(settings.DATA_DIR).mkdir(parents=True, exist_ok=True)
    free = disk.free_bytes()
    if free < need:
        raise BackupError(f"The restore needs {_megabytes(need)}, and {_megabytes(free)} are free.")
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
        if connection.vendor == "sqlite":
            _restore_sqlite(source / DATABASES["sqlite"], facts, mark if tables else "", say)
        else:
            _restore_postgresql(source / DATABASES["postgresql"], facts, tables, mark, say)
        for kind, folder in folders.items():
            if folder.exists():
                if any(_files_in(folder)):
                    say(f"The {kind} that were there are now in {_put_aside(folder, mark)}.")
                else:
                    shutil.rmtree(folder)
            staged[kind].rename(folder)
    call_command("migrate", verbosity=0, interactive=False)
    _note(facts, source)
    return facts


def _existing_tables() -> list[str]:
    """Return the tables of the database. Raises BackupError if it does not answer."""
    if connection.vendor == "sqlite" and not Path(connection.settings_dict["NAME"]).exists():
        return []
    try:
        return list(connection.introspection.table_names())
    except DatabaseError as error:
        raise BackupError(f"The database does not answer: {type(error).__name__}. See DATABASE_URL.") from error


def _restore_sqlite(copy: Path, facts: Facts, mark: str, say: Callable[[str], None]) -> None:
    name = Path(connection.settings_dict["NAME"])
    new = name.with_name(f".{name.name}.restoring")
    new.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(copy, new)
    if _check_sqlite(new) != facts.tables:
        new.unlink()
        raise BackupError("The copy of the database differs from what was backed up.")
    connections.close_all()
    for ending in ("-shm", "-wal", ""):
        path = Path(f"{name}{ending}")
        if path.exists():
            if mark:
                path.rename(f"{name}.before-restore-{mark}{ending}")
            else:
                path.unlink()
    new.rename(name)
    if mark:
        say(f"The database that was there is now {name}.before-restore-{mark}.")


def _restore_postgresql(dump: Path, facts: Facts, tables: list[str], mark: str, say: Callable[[str], None]) -> None:
    """Restore a dump in one transaction. Existing tables go to a schema of their own first."""
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        schema = str(cursor.fetchone()[0])
    aside = f"{OLD_SCHEMA}{mark}"
    if tables:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"CREATE SCHEMA {quote(aside)}")
                for table in tables:
                    cursor.execute(f"ALTER TABLE {quote(schema)}.{quote(table)} SET SCHEMA {quote(aside)}")
        except DatabaseError as error:
            raise BackupError(
                f"The tables that are there could not be put aside: {str(error).splitlines()[0]}. "
                "The role of DATABASE_URL must own the database and its tables. Nothing was changed."
            ) from error
    try:
        connections.close_all()
        options = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
        _postgres("pg_restore", *options, str(dump))
        if _count_rows() != facts.tables:
            raise BackupError("The restored database differs from what was backed up.")
    except BackupError:
        with transaction.atomic(), connection.cursor() as cursor:
            for table in connection.introspection.table_names(cursor):
                cursor.execute(f"DROP TABLE IF EXISTS {quote(schema)}.{quote(table)} CASCADE")
            for table in tables:
                cursor.execute(f"ALTER TABLE {quote(aside)}.{quote(table)} SET SCHEMA {quote(schema)}")
            cursor.execute(f"DROP SCHEMA IF EXISTS {quote(aside)}")
        raise
    if tables:
        say(f"The tables that were there are now in the schema {aside}. To delete them: DROP SCHEMA {aside} CASCADE;")


def _put_aside(folder: Path, mark: str) -> Path:
    aside = folder.with_name(f"{folder.name}.before-restore-{mark}")
    folder.rename(aside)
    return aside


# --- Tools ---


def _postgres_command(name: str, *arguments: str, connects: bool = True) -> tuple[list[str], dict[str, str]]:
    """Return a command of PostgreSQL with the connection of the settings, and its environment."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    program = str(installed[-1]) if installed else shutil.which(name)
    if not program:
        raise BackupError(f"{name} is not installed: apt install postgresql-client")
    if not connects:
        return [program, *arguments], dict(os.environ)
    command, env = connection.client.settings_to_cmd_args_env(connection.settings_dict, [])
    *address, database = command[1:]
    return [program, "--no-password", *address, f"--dbname={database}", *arguments], {**os.environ, **(env or {})}


def _postgres(name: str, *arguments: str) -> None:
    command, env = _postgres_command(name, *arguments)
    done = subprocess.run(command, env=env, capture_output=True)  # noqa: S603
    if done.returncode:
        raise BackupError(f"{name} failed: {_last_line(done.stderr)}")


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return next((line for line in lines if "error:" in line), lines[-1] if lines else "it says nothing.")


def _stored_models() -> list[Any]:
    """Return the models that have a table as of the migrations of this program."""
    loader = MigrationLoader(connection)
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy and model._meta.app_label in loader.migrated_apps
    ]


def _files_in(folder: Path) -> Iterator[Path]:
    """Yield the files at any depth below a folder; none if it does not exist."""
    for root, _folders, names in os.walk(folder):
        for name in sorted(names):
            yield Path(root, name)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_sums(folder: Path) -> dict[str, str]:
    text = (folder / SUMS).read_text(encoding="utf-8", errors="surrogateescape")
    return {line[66:]: line[:64] for line in text.split("\n") if line}


def _megabytes(size: int) -> str:
    return f"{size / disk.MEGABYTE:,.0f} MB"


def _as_json(facts: Facts) -> dict[str, Any]:
    return {name: getattr(facts, name) for name in Facts.__slots__} | {"made_at": facts.made_at.isoformat()}


def _from_json(content: Mapping[str, Any]) -> Facts:
    values = {name: content[name] for name in Facts.__slots__}
    return Facts(**{**values, "made_at": parse_datetime(content["made_at"])})
