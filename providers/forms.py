"""A provider account as an operator enters it.  The key goes in and never comes out."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.conf import settings
from django.core.validators import RegexValidator
from django.utils.translation import gettext, gettext_lazy

from providers import encryption, provider_accounts
from providers.adapters.base import SIMULATOR_KEY, ProviderSettings
from providers.adapters.registry import PROVIDERS
from providers.models import ProviderAccount

SITE = "https://www.runninghub.cn"
_WEB_ADDRESS = re.compile(r"https?://[^?#\s]+")


class AccountForm(forms.ModelForm):  # type: ignore[type-arg]
    """Name and key of the environment's account are not asked for: they are the environment's."""

    base_url = forms.URLField(
        label=gettext_lazy("Address"),
        initial=SITE,
        assume_scheme="https",
        widget=forms.URLInput(attrs={"class": "vTextField"}),
        help_text=gettext_lazy(
            "https://www.runninghub.cn, or https://www.runninghub.ai. Keys of one open nothing at the other."
        ),
    )
    api_key = forms.CharField(
        label=gettext_lazy("API key"),
        required=False,
        max_length=500,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "class": "vTextField"}),
        validators=[RegexValidator(r"^[!-~]+$", gettext_lazy("It has characters that no key has."))],
        help_text=gettext_lazy("It is stored encrypted and never shown again."),
    )

    class Meta:
        model = ProviderAccount
        fields = ["name", "provider", "base_url", "concurrency", "is_enabled", "is_draining"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "provider" in self.fields:
            self.fields["provider"].widget = forms.Select(choices=[(name, name) for name in PROVIDERS])
        if self.instance.pk:
            self.fields["api_key"].label = gettext_lazy("New API key")
            self.fields["api_key"].help_text = gettext_lazy("Leave it empty to keep the one that there is.")
            if provider_accounts.is_from_environment(self.instance):
                del self.fields["api_key"], self.fields["base_url"]

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"].strip()
        if name in provider_accounts.environment_account_names():
            raise forms.ValidationError(gettext("This is the name of the account that the environment describes."))
        return name

    def clean_provider(self) -> str:
        name: str = self.cleaned_data["provider"]
        if name not in PROVIDERS:
            raise forms.ValidationError(gettext("Choose one of %s.") % ", ".join(PROVIDERS))
        return name

    def clean_base_url(self) -> str:
        address: str = self.cleaned_data["base_url"].rstrip("/")
        if not _WEB_ADDRESS.fullmatch(address):
            raise forms.ValidationError(gettext("Write scheme and host, such as %s, and nothing behind them.") % SITE)
        return address

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if "api_key" in cleaned and "base_url" in cleaned and (problem := self._key_problem(**cleaned)):
            self.add_error("api_key", problem)
        return cleaned

    def _key_problem(self, *, api_key: str, base_url: str, **_: Any) -> str:
        """Why the account cannot have this key at this address; "" if it can."""
        if not api_key:
            return self._missing_key_problem(base_url)
        if not encryption.is_possible():
            return gettext(
                "No encryption key is set, so no API key can be stored: put ENCRYPTION_KEYS into .env and restart. "
                "`manage.py accounts new-key` prints one."
            )
        if settings.RUNNINGHUB_API_KEY == SIMULATOR_KEY and base_url != settings.RUNNINGHUB_BASE_URL:
            return gettext(
                "This site runs on the simulator, and its missions would become real and cost money. Put the key into .env "
                "as RUNNINGHUB_API_KEY, restart, and add further accounts then."
            )
        if duplicate_of := provider_accounts.duplicate_of(self.instance, ProviderSettings(base_url, api_key)):
            return gettext("The account “%s” has this key: two would exceed its limit.") % duplicate_of.name
        return ""

    def _missing_key_problem(self, base_url: str) -> str:
        if not self.instance.sealed_key:
            return gettext("Enter the key.")
        if base_url != self.instance.base_url:
            return gettext("Enter the key again: a stored key is never sent to another address.")
        return ""
