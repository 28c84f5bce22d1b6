from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MissionsConfig(AppConfig):
    name = "missions"
    verbose_name = _("Missions")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.db.models import Q

        from accounts import people
        from billing.selectors import register_source
        from media.uses import register_open_uses
        from missions import account_load, reasons, selectors, services  # noqa: F401  reasons registers its own
        from missions.lifecycle import OPEN
        from notifications import services as notifications
        from providers import added_models, slots
        from workers import hooks, queue

        people.register_work(
            people.Work(services.pause_missions_of, services.missions_block_deletion, services.work_facts)
        )
        register_source(selectors.spending_of)
        notifications.register_missions(selectors.describe_missions)
        register_open_uses(Q(mission__status__in=OPEN))
        slots.register_in_flight(Q(status__in=account_load.IN_FLIGHT))
        added_models.register_use_check(selectors.has_open_missions_with)
        for task in (
            "tick",
            "dispatch",
            "submit",
            "poll_due",
            "poll_unanswered",
            "rescue",
            "cancel_waiting",
            "reap",
            "archive",
            "purge_mission",
            "check_account",
            "index_search",
            "watchdog",
        ):
            queue.register(task, f"missions.tasks.{task}")
        hooks.register("missions.worker_hooks.MissionHooks")
