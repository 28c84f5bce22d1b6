"""What may still be spent within a limit: pure arithmetic.

What is at stake is what was charged, and the expected price of everything that may still be charged: it holds a slot, its fate is
unknown, or it succeeded and the provider has not said what it cost.  So fifty tasks in flight cannot overshoot a limit together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import gettext_noop

MISSION_REACHED = gettext_noop("The spending limit of this mission is reached: nothing more is sent.")
MISSION_REMEDY = gettext_noop("To go on, raise the limit in the mission's settings, then resume it.")
OWNER_REACHED = gettext_noop("The spending limit of the mission's owner is reached: nothing more is sent.")
OWNER_REMEDY = gettext_noop("To go on, an operator raises the limit, or its period passes; then resume the mission.")
NO_PRICE = gettext_noop(
    "The price of the next item is not known, so its spending limit cannot be kept: nothing more is sent."
)
LIMIT = gettext_noop("Limit:")
CHARGED = gettext_noop("Charged so far:")
EXPECTED = gettext_noop("Expected for what may still be charged:")


@dataclass(slots=True)
class Budget:
    """One limit and what counts against it, in one currency.  ``in_flight`` tasks may turn out cheaper than expected."""

    limit: Decimal
    charged: Decimal
    expected: Decimal
    in_flight: int
    currency: str
    is_owners: bool = False

    @property
    def left(self) -> Decimal:
        """What is neither charged nor expected; below 0 when the limit was lowered."""
        return self.limit - self.charged - self.expected

    def affordable(self, prices: Sequence[Decimal | None]) -> int:
        """How many of the first ``prices`` may be added.  One that is not known never fits."""
        left = self.left
        for count, price in enumerate(prices):
            if price is None or price > left:
                return count
            left -= price
        return len(prices)

    def reserve(self, prices: Sequence[Decimal | None]) -> None:
        self.expected += sum((price or Decimal(0) for price in prices), Decimal(0))
        self.in_flight += len(prices)

    def exhausted_reason(self, price: Decimal | None) -> str:
        """For people, sentence by sentence (``core.translated_reasons``): why something of this price does not fit."""
        if price is None:
            return NO_PRICE
        reached, remedy = (OWNER_REACHED, OWNER_REMEDY) if self.is_owners else (MISSION_REACHED, MISSION_REMEDY)
        sums = ((LIMIT, self.limit), (CHARGED, self.charged), (EXPECTED, self.expected))
        return " ".join([reached, *(f"{word} {amount:.2f} {self.currency}." for word, amount in sums), remedy])
