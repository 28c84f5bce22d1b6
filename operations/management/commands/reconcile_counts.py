"""``manage.py recount``: prove that the counts on the missions are true, or make them so."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from missions.maintenance import reconcile_counts
from missions.models import Mission


class Command(BaseCommand):
    help = "Compare the counts and costs of all missions with their items, and correct them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a number is not true")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        wrong = list(reconcile_counts.differences())
        for difference in wrong:
            self.stdout.write(str(difference))
        if not check:
            for mission_id in sorted({difference.mission_id for difference in wrong}):
                reconcile_counts.correct(mission_id)
        self.stdout.write(self._summary(len(wrong), check=check))
        if check and wrong:
            raise SystemExit(1)

    def _summary(self, wrong: int, *, check: bool) -> str:
        checked = f"{Mission.objects.count()} missions checked"
        if not wrong:
            return f"{checked}: every count and cost is true."
        return f"{checked}: {wrong} numbers are wrong." if check else f"{checked}: {wrong} numbers corrected."
