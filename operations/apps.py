from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OperationsConfig(AppConfig):
    name = "operations"
    verbose_name = _("Operations")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from operations import checks  # noqa: F401  registers them
        from workers import hooks, queue

        for task in ("cleanup", "tally"):
            queue.register(task, f"operations.tasks.{task}")
        hooks.register("operations.tasks.OperationsHooks")
