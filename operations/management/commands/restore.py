"""``manage.py restore DIR``: replace database and files by those of a backup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from operations import restore
from operations.backup_folder import BackupError


class Command(BaseCommand):
    help = (
        "Replace database, uploads and results by those of the backup in DIR, and pause every account and mission. "
        "Stop workers and web first."
    )
    requires_system_checks = []  # those of the database need one

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR", help="a folder that manage.py backup has written")
        parser.add_argument("--force", action="store_true", help="put the data that is there aside first")

    def handle(self, *args: Any, folder: Path, force: bool, **options: Any) -> None:
        try:
            restore.restore(folder, is_forced=force, say=self.stdout.write)
        except BackupError as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(
                f"The restore was interrupted: {error.filename}: {error.strerror}. Start no workers. "
                "Remove the cause, then run it again with --force."
            ) from error
        call_command("after_restore", stdout=self.stdout)
