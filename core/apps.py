"""The app of shared pages, API and storage."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from core.ui import navigation


class CoreConfig(AppConfig):
    name = "core"
    verbose_name = _("Core")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        navigation.register(
            navigation.ADMINISTRATION,
            navigation.Entry("admin:index", _("Overview"), "shield", order=10),
            navigation.Entry("home", _("Go to the site"), "external", order=90),
        )
