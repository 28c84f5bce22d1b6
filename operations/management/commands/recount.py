"""Former name of ``reconcile_counts``, kept for one release."""

from operations.management.commands.reconcile_counts import Command

__all__ = ["Command"]
