"""``manage.py after_restore``: pause everything in a restored database for a person to check."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Max

from missions import services
from missions.models import ItemEvent, Mission
from workers import heartbeat


class Command(BaseCommand):
    help = "Pause every account and every mission after the database was restored, before workers start."

    def handle(self, *args: Any, **options: Any) -> None:
        if heartbeat.is_any_alive():
            raise CommandError(
                "Workers are running, and may be sending. Stop them, restore the backup, and run this again."
            )
        latest = ItemEvent.objects.aggregate(latest=Max("at"))["latest"]  # before the events of the pauses below
        count = services.pause_after_restore()
        self.stdout.write(f"Every account is paused. Paused missions that had not ended: {count}.")
        if latest is None:
            return
        self.stdout.write(
            f"Submissions after {latest:%Y-%m-%d %H:%M:%S} UTC are not in this database. They may be any of:"
        )
        waiting = Mission.objects.filter(pending_count__gt=0).order_by("pk")
        for mission in waiting:
            self.stdout.write(f"  mission {mission.pk}: {mission.pending_count} items of {mission.name!r}")
        self.stdout.write("Compare with the provider's task list, then continue as in the operator guide (Restore).")
