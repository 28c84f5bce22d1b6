"""Every provider keeps the contract of ``providers.adapters.base``."""

from __future__ import annotations

import dataclasses

import pytest
from django.conf import settings

from providers.adapters.base import Provider, ProviderSettings
from providers.adapters.registry import PROVIDERS

FIELDS = {field.name for field in dataclasses.fields(ProviderSettings)}
METHODS = {"uploads": "upload", "webhooks": "parse_webhook", "finds_by_our_id": "find"}  # by capability


def test_accounts_of_providers_have_names_of_their_own():
    assert len({kind.account_name for kind in PROVIDERS.values()}) == len(PROVIDERS)


@pytest.mark.parametrize("name", PROVIDERS)
def test_environment_names_settings_that_exist(name):
    kind = PROVIDERS[name]
    assert kind.name == name
    assert set(kind.environment) <= FIELDS | set(kind.defaults.options)
    assert [setting for setting in kind.environment.values() if not hasattr(settings, setting)] == []
    assert "api_key" in kind.environment or not kind.capabilities.needs_key


@pytest.mark.parametrize("name", PROVIDERS)
def test_capabilities_have_their_methods(name):
    kind, capabilities = PROVIDERS[name], PROVIDERS[name].capabilities
    methods = [method for capability, method in METHODS.items() if getattr(capabilities, capability)]
    if not capabilities.finishes_in_submit:
        methods += ["query", "cancel"] if capabilities.cancels else ["query"]
    assert [
        method for method in methods if vars(kind).get(method, vars(Provider)[method]) is vars(Provider)[method]
    ] == []
