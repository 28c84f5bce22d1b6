"""Copies of the database in a backup: SQLite as a file, PostgreSQL as a dump."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from django.db import DatabaseError, connection, connections, transaction

from operations.backup_folder import BackupError, Facts

OLD_SCHEMA = "before_restore_"


def dump(target: Path) -> dict[str, int]:
    """Copy the database while others write to it. Return the number of rows of each table.

    The copy is read back. Raises BackupError if it differs.
    """
    if connection.vendor == "sqlite":
        with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=60)) as source:
            source.execute("VACUUM INTO ?", [str(target)])
        return _rows_in_sqlite(target)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.execute("SELECT pg_export_snapshot()")
        snapshot = cursor.fetchone()[0]
        tables = _count_rows()
        options = ("--format=custom", "--no-owner", "--no-privileges", f"--exclude-schema={OLD_SCHEMA}*")
        _postgres("pg_dump", *options, f"--snapshot={snapshot}", f"--file={target}")
    rows = _rows_in_dump(target)
    if different := sorted(name for name, count in tables.items() if rows.get(name) != count):
        raise BackupError(f"The dump differs from the database in the tables {', '.join(different)}.")
    return tables


def size_bytes() -> int:
    """Return the size of the database."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
        else:
            cursor.execute("SELECT pg_database_size(current_database())")
        return int(cursor.fetchone()[0])


def existing_tables() -> list[str]:
    """Return the tables of the database. Raises BackupError if it does not answer."""
    if connection.vendor == "sqlite" and not Path(connection.settings_dict["NAME"]).exists():
        return []
    try:
        return list(connection.introspection.table_names())
    except DatabaseError as error:
        raise BackupError(f"The database does not answer: {type(error).__name__}. See DATABASE_URL.") from error


def restore(copy: Path, facts: Facts, tables: list[str], mark: str, say: Callable[[str], None]) -> None:
    """Put the database of a backup into the place of the present one.

    A present one with ``tables`` is put aside under a name with ``mark``; ``say`` tells where.
    Raises BackupError, and then nothing has changed.
    """
    if connection.vendor == "sqlite":
        _restore_sqlite(copy, facts, mark if tables else "", say)
    else:
        _restore_postgresql(copy, facts, tables, mark, say)


def _rows_in_sqlite(path: Path) -> dict[str, int]:
    """Return the number of rows of each table. Raises BackupError if the file is damaged."""
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


def _count_rows() -> dict[str, int]:
    """Return the exact number of rows of each table of the database."""
    with connection.cursor() as cursor:
        counts = {}
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT COUNT(*) FROM {connection.ops.quote_name(table)}")  # noqa: S608
            counts[table] = int(cursor.fetchone()[0])
    return counts


def _rows_in_dump(dump: Path) -> dict[str, int]:
    """Read a whole dump, as a restore would. Return the number of rows of each table."""
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


def _restore_sqlite(copy: Path, facts: Facts, mark: str, say: Callable[[str], None]) -> None:
    name = Path(connection.settings_dict["NAME"])
    new = name.with_name(f".{name.name}.restoring")
    new.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(copy, new)
    if _rows_in_sqlite(new) != facts.tables:
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
    process = subprocess.run(command, env=env, capture_output=True)  # noqa: S603
    if process.returncode:
        raise BackupError(f"{name} failed: {_last_line(process.stderr)}")


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return next((line for line in lines if "error:" in line), lines[-1] if lines else "it says nothing.")
