from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NotificationsConfig(AppConfig):
    name = "notifications"
    verbose_name = _("Notifications")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from core.ui import notices, statuses
        from notifications import channels
        from notifications.models import DeliveryState
        from providers import provider_accounts
        from workers import hooks, queue

        for task in ("notify", "expire_deliveries"):
            queue.register(task, f"notifications.tasks.{task}")
        hooks.register("notifications.tasks.NotificationHooks")
        notices.register(channels.page_notices)
        provider_accounts.register_sealed(channels.reseal)
        looks = {"waiting": ("busy", "clock"), "delivered": ("good", "check-circle"), "failed": ("bad", "x-circle")}
        statuses.register("delivery", DeliveryState, looks)
