"""``manage.py after_restore``: let a database that came from a backup send nothing before somebody has looked."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Max

from missions import services
from missions.models import ItemEvent, Mission
from workers import heartbeat


class Command(BaseCommand):
    help = (
        "Pause every account and every mission, after the database was put back from a copy and before workers start."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if heartbeat.is_any_alive():
            raise CommandError("Workers are running, and may be sending. Stop them, put the copy back, and come again.")
        held = services.pause_after_restore()
        self.stdout.write(f"Every account is paused, and missions that had not ended: {held}.")
        latest = ItemEvent.objects.aggregate(latest=Max("at"))["latest"]
        if latest is None:
            return
        self.stdout.write(f"What was sent after {latest:%Y-%m-%d %H:%M:%S} UTC is not known here. It may be any of:")
        waiting = Mission.objects.filter(pending_count__gt=0).order_by("pk")
        for mission in waiting:
            self.stdout.write(f"  mission {mission.pk}: {mission.pending_count} items of {mission.name!r}")
        self.stdout.write("Compare with the provider's list of tasks, then go on as the operator guide says (Restore).")
