"""``manage.py cleanup``: delete expired data and leftovers."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from operations import retention


class Command(BaseCommand):
    help = "Show what the RETENTION_ settings no longer keep, and leftovers; with --apply, delete it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--apply", action="store_true", help="delete it; without this nothing is changed")

    def handle(self, *args: Any, apply: bool, **options: Any) -> None:
        count = size = 0
        for cleaned in retention.clean(now=timezone.now(), apply=apply):
            count, size = count + cleaned.count, size + cleaned.size_bytes
            if cleaned.count:
                room = f", {filesizeformat(cleaned.size_bytes)}" if cleaned.size_bytes else ""
                self.stdout.write(f"{cleaned.kind}: {cleaned.count}{room}")
        if not count:
            self.stdout.write("There is nothing to delete.")
            return
        result = "deleted" if apply else "would be deleted; nothing was changed (--apply deletes it)"
        room = f", {filesizeformat(size)}" if size else ""
        self.stdout.write(f"In total {count}{room}: {result}.")
