"""What may still be spent within a limit: pure arithmetic.

What is at stake is what was charged, and the expected price of everything that may still be charged: it holds a slot, its fate is
unknown, or it succeeded and the provider has not said what it cost.  So fifty tasks in flight cannot overshoot a limit together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing import reasons
from core.reasons import Reason


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

    def exhausted_reason(self, price: Decimal | None) -> Reason:
        """Return why something of this price is not affordable."""
        if price is None:
            return reasons.PRICE_UNKNOWN()
        reached = reasons.OWNER_LIMIT_REACHED if self.is_owners else reasons.MISSION_LIMIT_REACHED
        return reached(
            limit=f"{self.limit:.2f}",
            charged=f"{self.charged:.2f}",
            expected=f"{self.expected:.2f}",
            currency=self.currency,
        )
