"""The form of a provider account. It accepts a key but never shows it."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.core.validators import RegexValidator
from django.utils.translation import gettext, gettext_lazy

from providers import encryption, provider_accounts
from providers.adapters.base import Provider
from providers.adapters.registry import PROVIDERS
from providers.models import ProviderAccount

_WEB_ADDRESS = re.compile(r"https?://[^?#\s]+")


class AccountForm(forms.ModelForm):  # type: ignore[type-arg]
    """The fields that the provider needs.

    Name, address and key of an account from the environment stay there.
    """

    base_url = forms.URLField(
        label=gettext_lazy("Address"),
        required=False,
        initial=next(iter(PROVIDERS.values())).defaults.base_url,
        assume_scheme="https",
        widget=forms.URLInput(attrs={"class": "vTextField"}),
    )
    api_key = forms.CharField(
        label=gettext_lazy("API key"),
        required=False,
        max_length=500,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "class": "vTextField"}),
        validators=[RegexValidator(r"^[!-~]+$", gettext_lazy("It contains characters that cannot be part of a key."))],
        help_text=gettext_lazy("It is stored encrypted and never shown again."),
    )

    class Meta:
        model = ProviderAccount
        fields = [
            "name",
            "provider",
            "base_url",
            "concurrency",
            "options",
            "is_enabled",
            "is_draining",
            "shows_balance",
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        is_new = not self.instance.pk
        kinds = list(PROVIDERS.values()) if is_new else [PROVIDERS[self.instance.provider]]
        if "provider" in self.fields:
            self.fields["provider"].widget = forms.Select(choices=[(kind.name, kind.label) for kind in kinds])
        if "options" in self.fields:
            names = [f"{kind.label}: {', '.join(provider_accounts.option_names(kind))}." for kind in kinds]
            self.fields["options"].required = False
            self.fields["options"].help_text = " ".join([gettext("A JSON object of settings by name."), *names])
        addresses = [f"{kind.label}: {gettext(kind.address_help)}" for kind in kinds if kind.address_help]
        self.fields["base_url"].help_text = " ".join(addresses)
        if is_new:
            keyless = [kind.label for kind in kinds if not kind.capabilities.needs_key]
            if keyless:
                self.fields["api_key"].help_text = " ".join(
                    [str(self.fields["api_key"].help_text), gettext("Not required for: %s.") % ", ".join(keyless)]
                )
            return
        self.fields["api_key"].label = gettext_lazy("New API key")
        self.fields["api_key"].help_text = gettext_lazy("Leave it empty to keep the present one.")
        is_local = not kinds[0].address_help and not kinds[0].capabilities.needs_key
        if is_local or provider_accounts.is_from_environment(self.instance):
            del self.fields["api_key"], self.fields["base_url"]

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"].strip()
        if name in provider_accounts.environment_account_names():
            raise forms.ValidationError(gettext("This is the name of an account that the environment describes."))
        return name

    def clean_provider(self) -> str:
        name: str = self.cleaned_data["provider"]
        if name not in PROVIDERS:
            raise forms.ValidationError(gettext("Choose one of %s.") % ", ".join(PROVIDERS))
        return name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        kind = PROVIDERS.get(cleaned.get("provider") or self.instance.provider)
        if kind is None:
            return cleaned
        if "options" in cleaned:
            if cleaned["options"] is None:
                cleaned["options"] = {}
            if problem := provider_accounts.options_problem(kind, cleaned["options"]):
                self.add_error("options", problem)
        if "base_url" not in cleaned:
            return cleaned
        cleaned["base_url"] = cleaned["base_url"].rstrip("/") if kind.address_help else ""
        if kind.address_help and not _WEB_ADDRESS.fullmatch(cleaned["base_url"]):
            example = kind.defaults.base_url or "https://llm.example.org/v1"
            message = gettext("Write scheme, host and path, such as %s, and nothing after them.") % example
            self.add_error("base_url", message)
        elif "api_key" in cleaned and (problem := self._key_problem(kind, cleaned["api_key"], cleaned["base_url"])):
            self.add_error("api_key", problem)
        return cleaned

    def _key_problem(self, kind: type[Provider], api_key: str, base_url: str) -> str:
        """Return why the account cannot have this key at this address, "" if it can."""
        if not api_key:
            if not self.instance.sealed_key:
                return gettext("Enter the key.") if kind.capabilities.needs_key else ""
            if base_url != self.instance.base_url:
                return gettext("Enter the key again: a stored key is never sent to another address.")
            return ""
        if not encryption.is_possible():
            return gettext(
                "No encryption key is set, so no API key can be stored: put ENCRYPTION_KEYS into .env and restart. "
                "`manage.py provider_accounts new-key` prints one."
            )
        if provider_accounts.is_simulated(kind) and base_url != provider_accounts.environment_address(kind):
            message = gettext(
                "This site runs on the simulator, and its missions would become real and cost money. Put the key into "
                ".env as %s, restart, and add further accounts then."
            )
            return message % kind.environment["api_key"]
        self.instance.provider = kind.name
        if duplicate_of := provider_accounts.duplicate_of(self.instance, base_url=base_url, api_key=api_key):
            return (
                gettext(
                    "The account “%s” already uses this key. Two accounts with one key would exceed the key's limit."
                )
                % duplicate_of.name
            )
        return ""
