from django.apps import AppConfig, apps
from django.utils.translation import gettext_lazy as _

from core.ui import navigation
from core.ui import notices as page_notices


class OperationsConfig(AppConfig):
    name = "operations"
    verbose_name = _("Operations")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.db.models.signals import post_migrate

        from core.admin import bulk
        from operations import checks, notices  # noqa: F401  checks registers its own
        from operations.groups import create_groups
        from workers import hooks, queue

        post_migrate.connect(create_groups, sender=apps.get_app_config("missions"))  # the last app with permissions
        for task in ("bulk_step", "cleanup", "tally"):
            queue.register(task, f"operations.tasks.{task}")
        bulk.register_sender(lambda bulk_id: queue.send("bulk_step", bulk_id))
        hooks.register("operations.tasks.OperationsHooks")
        page_notices.register(notices.current)
        navigation.register(
            navigation.ADMINISTRATION,
            navigation.Entry("control_room:show", _("Control room"), "bolt", 20, "missions.view_mission"),
        )
