"""The app of the audit log: who did what, when, and from where."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from core.ui import navigation


class AuditConfig(AppConfig):
    name = "accounts.audit"
    verbose_name = _("Audit log")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        navigation.register(
            navigation.ADMINISTRATION,
            navigation.Entry(
                "admin:audit_auditentry_changelist", _("Audit log"), "shield", 85, "audit.view_auditentry"
            ),
        )
