"""Charges beside prices: what to hold back for a task, and which charges are odd.

The catalogue's price may be out of date. What a provider really charged of late is held back
instead, and a charge far above it is not accepted in silence.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

SURPRISE_FACTOR = 5  # a charge above this multiple of what was held pauses its mission
UNBELIEVABLE_FACTOR = 1000  # a charge above this multiple is an error of the answer
OTHERS = 3  # charges beside which a single surprise is taken for an exception
PROBE_ITEMS = 5  # items in flight of a model under a limit, until its first charge is known


def factor(charges: Iterable[tuple[Decimal | None, Decimal | None]]) -> Decimal | None:
    """Return by how much recent charges exceed the price: the largest quotient, at least 1.

    ``charges`` are pairs of cost and price, None where it is unknown. Return None without any pair.
    Pairs in which a part is unknown count as charged by the price. A single surprise among enough
    others is left out: it would make limits unusable until the others are forgotten.
    """
    quotients = sorted(
        (
            cost / price if cost is not None and price and not is_unbelievable(cost, price) else Decimal(1)
            for cost, price in charges
        ),
        reverse=True,
    )
    if len(quotients) > OTHERS and quotients[0] > SURPRISE_FACTOR >= quotients[1]:
        del quotients[0]
    return max(Decimal(1), *quotients) if quotients else None


def is_surprise(cost: Decimal | None, expected: Decimal | None) -> bool:
    """Return True if a charge is far above the amount that was held back for it."""
    return cost is not None and expected is not None and cost > expected * SURPRISE_FACTOR


def is_unbelievable(cost: Decimal | None, expected: Decimal | None) -> bool:
    """Return True if a charge cannot be one of a task that was expected to cost so much."""
    return cost is not None and bool(expected) and cost > (expected or 0) * UNBELIEVABLE_FACTOR
