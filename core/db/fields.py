"""Model fields that several apps share."""

from __future__ import annotations

from typing import Any

from django.db import models


def money_field(**options: Any) -> models.DecimalField[Any, Any]:
    """Return the column for a sum of money in the currency of its row, to the millionth."""
    return models.DecimalField(max_digits=16, decimal_places=6, **options)
