"""``manage.py reindex_search``: have the index of the search filled again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from missions import search
from missions.models import Mission


class Command(BaseCommand):
    help = "Have workers fill the index of the search again, for words that are not found or wrongly found."

    def handle(self, *args: Any, **options: Any) -> None:
        removed = search.rebuild()
        count = Mission.objects.count()
        self.stdout.write(f"{removed} entries of deleted rows removed. Workers index {count} missions again.")
