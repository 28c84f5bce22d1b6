from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from core.ui import navigation


class MediaConfig(AppConfig):
    name = "media"
    verbose_name = _("Media")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from media import reasons  # noqa: F401  registers them

        navigation.register(navigation.SITE, navigation.Entry("media:library", _("Media"), "image", order=40))
