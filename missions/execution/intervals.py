"""The time at which a task is polled next."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from missions import durations
from missions.policy import polling
from providers import provider_accounts
from providers.adapters.registry import PROVIDERS
from providers.models import ProviderAccount


def next_interval(elapsed: float, model: str, account: ProviderAccount) -> float:
    """Return the seconds until the next poll of a task accepted ``elapsed`` seconds ago."""
    return polling.next_interval(
        elapsed,
        durations.expectation(account.provider, model),
        floor=poll_floor(account),
        has_webhook=bool(settings.PUBLIC_BASE_URL) and PROVIDERS[account.provider].capabilities.webhooks,
    )


def poll_floor(account: ProviderAccount) -> float:
    """Return the shortest time between two polls of a task, in seconds."""
    return provider_accounts.public_settings(account).poll_floor_seconds


def seconds_from_now(seconds: float) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)
