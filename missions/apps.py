from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MissionsConfig(AppConfig):
    name = "missions"
    verbose_name = _("Missions")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.db.models import Q

        from media.uses import register_open_uses
        from missions.lifecycle import OPEN
        from workers import hooks, queue

        register_open_uses(Q(mission__status__in=OPEN))
        for task in (
            "tick",
            "dispatch",
            "submit",
            "poll_due",
            "rescue",
            "reap",
            "archive",
            "purge_mission",
            "check_account",
            "watchdog",
        ):
            queue.register(task, f"missions.tasks.{task}")
        hooks.register("missions.worker_hooks.MissionHooks")
