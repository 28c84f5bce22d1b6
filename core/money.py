"""Amounts of money as text for programs; pages use the template filter ``money``."""

from __future__ import annotations

from decimal import Decimal


def amount_text(amount: Decimal | None) -> str | None:
    """Return an amount with two to six decimals: ``12.50``, ``0.015``. None stays None."""
    if amount is None:
        return None
    whole, _, fraction = f"{amount:.6f}".rstrip("0").partition(".")
    return f"{whole}.{fraction:0<2}"
