"""The app of links that show results to people without an account."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from core.ui import actions


class SharingConfig(AppConfig):
    name = "sharing"
    verbose_name = _("Share links")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        actions.register(actions.MISSION, actions.Action("sharing:links", _("Share"), "share"))
        actions.register(actions.SELECTED_RESULTS, actions.Action("sharing:new", _("Share"), "share"))
