from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DevToolsConfig(AppConfig):
    name = "devtools"
    verbose_name = _("Development tools")
    default_auto_field = "django.db.models.BigAutoField"
