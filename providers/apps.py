from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from core.ui import navigation


class ProvidersConfig(AppConfig):
    name = "providers"
    verbose_name = _("Providers")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        navigation.register(
            navigation.ADMINISTRATION,
            navigation.Entry(
                "admin:providers_provideraccount_changelist",
                _("Provider accounts"),
                "key",
                50,
                "providers.view_provideraccount",
            ),
            navigation.Entry("admin-models", _("Models"), "sliders", order=60),
        )
