"""``manage.py cleanup``: what is kept no longer, and leftovers."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from operations import retention


class Command(BaseCommand):
    help = "Show what the RETENTION_ settings let go, and what is left over; with --apply, remove it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--apply", action="store_true", help="remove it; without this nothing is changed")

    def handle(self, *args: Any, apply: bool, **options: Any) -> None:
        count = size = 0
        for found in retention.clean(now=timezone.now(), apply=apply):
            count, size = count + found.count, size + found.size_bytes
            if found.count:
                room = f", {filesizeformat(found.size_bytes)}" if found.size_bytes else ""
                self.stdout.write(f"{found.count} {found.what}{room}")
        verb = "removed" if apply else "would be removed; nothing was changed (--apply does it)"
        self.stdout.write(f"{count} in all, {filesizeformat(size)}: {verb}.")
