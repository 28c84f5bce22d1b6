"""Forms of the account pages."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import Scope
from accounts.preferences import time_zone_names
from core.ui.themes import Theme

LIFETIMES = [("30", _("30 days")), ("90", _("90 days")), ("365", _("One year")), ("", _("Until revoked"))]


def time_zone_choices() -> list[tuple[str, str | Promise]]:
    """Return the time zones of places, such as ``Asia/Shanghai``."""
    zones = sorted(name for name in time_zone_names() if "/" in name and not name.startswith(("Etc/", "SystemV/")))
    return [("", _("Follow the browser")), ("UTC", "UTC"), *((name, name.replace("_", " ")) for name in zones)]


class SignInForm(AuthenticationForm):
    """Name and password. After a failure the focus is in the password: it is more often wrong."""

    def full_clean(self) -> None:
        super().full_clean()
        if self.errors and self.data.get("username"):
            self.fields["username"].widget.attrs.pop("autofocus", None)
            self.fields["password"].widget.attrs["autofocus"] = True


class AdminSignInForm(SignInForm, AdminAuthenticationForm):
    """The same at the door of the admin."""


class PreferencesForm(forms.Form):
    language = forms.ChoiceField(
        label=_("Language"), required=False, choices=[("", _("Follow the browser")), *settings.LANGUAGES]
    )
    time_zone = forms.ChoiceField(
        label=_("Time zone"), required=False, choices=time_zone_choices, help_text=_("For all times on the pages.")
    )
    theme = forms.ChoiceField(label=_("Theme"), choices=Theme.choices)


class AppearanceForm(forms.Form):
    """The switches of the account menu.  Each button sends only its own value."""

    language = forms.ChoiceField(required=False, choices=settings.LANGUAGES)
    theme = forms.ChoiceField(required=False, choices=Theme.choices)

    def values(self) -> dict[str, str]:
        return {name: value for name, value in self.cleaned_data.items() if value}


class TokenForm(forms.Form):
    name = forms.CharField(label=_("Purpose"), max_length=100, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    expires_in_days = forms.ChoiceField(label=_("Valid for"), required=False, choices=LIFETIMES, initial="90")

    scopes = forms.MultipleChoiceField(
        label=_("Permissions"), choices=Scope.choices, initial=Scope.values, widget=forms.CheckboxSelectMultiple
    )

    def expires_at(self) -> datetime | None:
        days: Any = self.cleaned_data["expires_in_days"]
        return timezone.now() + timedelta(days=int(days)) if days else None
