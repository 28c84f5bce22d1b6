"""``manage.py backup DIR``: copy database and files to a new folder, and check the copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template.defaultfilters import filesizeformat

from operations.backup import back_up
from operations.backup_folder import BackupError


class Command(BaseCommand):
    help = "Back up the database, uploads and results to the new folder DIR, while everything runs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR", help="a folder that does not exist yet")

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        try:
            facts = back_up(folder)
        except BackupError as error:
            raise CommandError(str(error)) from error
        rows = sum(facts.tables.values())
        self.stdout.write(
            f"{folder.absolute()}: {rows} rows in {len(facts.tables)} tables, {facts.file_count} files, "
            f"{filesizeformat(facts.size_bytes)}. Every part was read back and matches."
        )
        if not facts.has_files:
            self.stdout.write("Uploads and results are in the bucket of STORAGE_URL and not in this backup.")
        self.stdout.write("The backup holds no .env. Keep that file, with ENCRYPTION_KEYS, in another place.")
