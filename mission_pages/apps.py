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


class MissionPagesConfig(AppConfig):
    name = "mission_pages"
    verbose_name = _("Pages of missions")

    def ready(self) -> None:
        from missions.models import ItemStatus, MissionStatus, OutputStatus

        statuses.register("mission", MissionStatus, STATUS_LOOKS)
        statuses.register("item", ItemStatus, STATUS_LOOKS, bar_order=BAR_ORDER)
        output_looks = STATUS_LOOKS | {"pending": ("busy", "loader")}
        statuses.register("output", OutputStatus, output_looks, labels={"pending": _("being fetched")})
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
