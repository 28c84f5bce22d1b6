from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from core.ui import navigation, statuses

# The tone and the icon of each status, of any model.
STATUS_LOOKS = {
    "scheduled": ("neutral", "clock"),
    "queued": ("neutral", "dashed-circle"),
    "pending": ("neutral", "dashed-circle"),
    "submitting": ("busy", "up-circle"),
    "processing": ("busy", "loader"),
    "running": ("busy", "loader"),
    "paused": ("warn", "pause-circle"),
    "completed": ("good", "check-circle"),
    "stored": ("good", "check-circle"),
    "failed": ("bad", "x-circle"),
    "lost": ("bad", "x-circle"),
    "removed": ("still", "slash-circle"),
    "cancelled": ("still", "slash-circle"),
    "unconfirmed": ("warn", "question-circle"),
}
# From finished to not started.
BAR_ORDER = ("completed", "failed", "unconfirmed", "cancelled", "processing", "submitting", "pending")


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
        from missions.models import ItemStatus, MissionStatus, OutputStatus
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
        statuses.register("mission", MissionStatus, STATUS_LOOKS)
        statuses.register("item", ItemStatus, STATUS_LOOKS, bar_order=BAR_ORDER)
        statuses.register("output", OutputStatus, STATUS_LOOKS)
        navigation.register(
            navigation.SITE,
            navigation.Entry("missions:list", _("Missions"), "missions", order=10),
            navigation.Entry("missions:results", _("Results"), "grid", order=15),
            navigation.Entry("missions:new", _("New mission"), "add", order=20),
        )
        navigation.register(
            navigation.ADMINISTRATION,
            navigation.Entry(
                "admin:missions_mission_changelist", _("Missions"), "missions", 30, "missions.view_mission"
            ),
            navigation.Entry(
                "admin:missions_missionitem_changelist", _("Items"), "list", 40, "missions.view_missionitem"
            ),
        )
