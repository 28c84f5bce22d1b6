"""The amount that may still be spent within a limit: pure arithmetic.

Two things count against a limit: what has been charged, and the expected price of everything that
may still be charged, because it holds a slot, is unconfirmed, or succeeded and its cost is not
reported. So fifty tasks in flight cannot exceed a limit together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing import reasons
from core.reasons import Reason


@dataclass(slots=True)
class Budget:
    """One limit and what counts against it, in one currency.

    ``in_flight`` tasks may turn out cheaper.
    """

    limit: Decimal
    charged: Decimal
    expected: Decimal
    in_flight: int
    currency: str
    is_owners: bool = False

    @property
    def left(self) -> Decimal:
        """The amount neither charged nor expected; below 0 after the limit was lowered."""
        return self.limit - self.charged - self.expected

    def affordable(self, prices: Sequence[Decimal | None], currency: str) -> int:
        """Return how many of the first ``prices`` may be added.

        An unknown price is never affordable. In another currency only a price of 0 is.
        """
        left = self.left if currency == self.currency else Decimal(0)
        for count, price in enumerate(prices):
            if price is None or (price and price > left):
                return count
            left -= price
        return len(prices)

    def reserve(self, prices: Sequence[Decimal | None]) -> None:
        """Add affordable prices to the expected amount."""
        self.expected += sum((price or Decimal(0) for price in prices), Decimal(0))
        self.in_flight += len(prices)

    def is_exhausted(self, price: Decimal | None, currency: str) -> bool:
        """Tell if this price stays unaffordable, however the tasks in flight end."""
        is_final = price is None or currency != self.currency or not self.in_flight
        return is_final and not self.affordable([price], currency)

    def exhausted_reason(self, price: Decimal | None, currency: str) -> Reason:
        """Return the reason why this price is not affordable."""
        if price is None:
            return reasons.PRICE_UNKNOWN()
        if currency != self.currency:
            return reasons.OTHER_CURRENCY(currency=self.currency, price_currency=currency)
        reached = reasons.OWNER_LIMIT_REACHED if self.is_owners else reasons.MISSION_LIMIT_REACHED
        return reached(
            limit=f"{self.limit:.2f}",
            charged=f"{self.charged:.2f}",
            expected=f"{self.expected:.2f}",
            currency=self.currency,
        )
