"""A mission that fails again and again for the same cause is paused before more of it is paid for: the rule, and the words."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.utils.translation import gettext_noop

BROKEN = gettext_noop(
    "The latest items all failed for the same cause, so the mission was paused: nothing more is sent."
)
COUNT = gettext_noop("Failed in a row:")
CAUSE = gettext_noop("Cause:")
CHARGED = gettext_noop("Charged for them:")
REMEDY = gettext_noop("Look at the failures, remove the cause, then resume.")


def trips(failures_in_a_row: int) -> bool:
    """Whether so many ends of items, each a failure with the same code and none else between, are too many."""
    return 0 < settings.FAILURE_BREAKER_ITEMS <= failures_in_a_row


def why(*, count: int, code: str, message: str, charged: Decimal, currency: str) -> str:
    """For people, sentence by sentence (``core.translated_reasons``)."""
    facts = f"{COUNT} {count}. {CHARGED} {charged:.2f} {currency}. {CAUSE} {code}."
    return " ".join(part for part in (BROKEN, facts, message, REMEDY) if part)
