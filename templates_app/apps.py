from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from core.ui import navigation


class TemplatesConfig(AppConfig):
    name = "templates_app"
    verbose_name = _("Templates")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        navigation.register(navigation.SITE, navigation.Entry("templates:list", _("Templates"), "template", order=30))
