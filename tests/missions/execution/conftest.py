"""A scripted provider in the registry, and its account."""

from __future__ import annotations

import pytest

from providers import provider_accounts
from providers.adapters.base import Capabilities
from providers.adapters.registry import PROVIDERS
from providers.models import ProviderAccount
from tests.missions.execution.scripted_provider import Script, ScriptedProvider


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Register a scripted provider that needs no key, and return its script."""
    monkeypatch.setitem(PROVIDERS, ScriptedProvider.name, ScriptedProvider)
    ScriptedProvider.script = Script()
    ScriptedProvider.capabilities = Capabilities(needs_key=False)
    return ScriptedProvider.script


@pytest.fixture
def scripted(script: Script, db: None) -> ProviderAccount:
    """Return an account of the scripted provider."""
    account = ProviderAccount(name="scripted two", provider="scripted")
    provider_accounts.store(account)
    return ProviderAccount.objects.get(pk=account.pk)
