"""Amounts of money: their precision, and their texts for people and for programs."""

from __future__ import annotations

from decimal import Decimal

MILLIONTH = Decimal("0.000001")  # the precision of stored amounts
SIGNS = {"CNY": "¥", "USD": "$", "EUR": "€"}


def money_text(amount: Decimal, currency: str) -> str:
    """Return an amount for people: ``¥12.00``, with two to six decimals; ``12.00 GBP``."""
    whole, _, decimals = f"{round(amount, 6) or 0:,.6f}".partition(".")
    figures = f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"
    return f"{SIGNS[currency]}{figures}" if currency in SIGNS else f"{figures} {currency}".rstrip()


def amount_text(amount: Decimal | None) -> str | None:
    """Return an amount with two to six decimals: ``12.50``, ``0.015``. None stays None.

    SQLite adds in floating point, so a sum that is nothing may arrive as minus zero: it is
    ``0.00``, too.
    """
    if amount is None:
        return None
    whole, _, fraction = f"{round(amount, 6) or 0:.6f}".rstrip("0").partition(".")
    return f"{whole}.{fraction:0<2}"
