"""Published prices: amounts by the values of parameters, always Decimal."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, StrictStr, model_validator


class PriceRule(BaseModel):
    """The price of a call: one ``amount``, or ``rows`` by the values of parameters.

    A row holds a value for each parameter of ``by``, then the amount. Amounts are strings, so that
    no float is ever involved. With unit "second" the amount is multiplied by the parameter
    ``duration``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    amount: StrictStr | None = None
    by: tuple[StrictStr, ...] = ()
    rows: tuple[tuple[StrictStr, ...], ...] = ()
    unit: Literal["call", "second"] = "call"

    @model_validator(mode="after")
    def check_rows(self) -> Self:
        if (self.amount is None) == (not self.rows) or bool(self.by) != bool(self.rows):
            raise ValueError("give either amount, or by and rows")
        for row in self.rows:
            if len(row) != len(self.by) + 1:
                raise ValueError(f"row {list(row)} must hold a value for each of {', '.join(self.by)}, then the amount")
        if len(self.amounts) < len(self.rows):
            raise ValueError("two rows have the same values")
        return self

    @property
    def is_per_second(self) -> bool:
        return self.unit == "second"

    @cached_property
    def amounts(self) -> dict[tuple[str, ...], Decimal]:
        """Amounts by the values of ``by``. Raises ValueError for what is no amount of money."""
        rows = self.rows or ((self.amount or "",),)
        return {tuple(values): _money(amount) for *values, amount in rows}


def _money(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a number") from None
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{text!r} is not an amount of money")
    return amount
