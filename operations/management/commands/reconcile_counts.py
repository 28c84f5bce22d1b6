"""``manage.py reconcile_counts``: correct the counts on missions that differ from their items."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from missions.maintenance import reconcile_counts
from missions.models import Mission


class Command(BaseCommand):
    help = "Compare the counts and costs of all missions with their items, and correct them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 when a number is wrong")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        wrong = list(reconcile_counts.differences())
        for difference in wrong:
            self.stdout.write(str(difference))
        if not check:
            for mission_id in sorted({difference.mission_id for difference in wrong}):
                reconcile_counts.correct(mission_id)
        result = "every count and cost matches"
        if wrong:
            result = f"{len(wrong)} numbers are wrong" if check else f"{len(wrong)} numbers corrected"
        self.stdout.write(f"{Mission.objects.count()} missions checked: {result}.")
        if check and wrong:
            raise SystemExit(1)
