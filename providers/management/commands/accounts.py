"""Former name of ``provider_accounts``, kept for one release."""

from providers.management.commands.provider_accounts import Command

__all__ = ["Command"]
