"""Recent charges and the next one."""

from __future__ import annotations

from decimal import Decimal

from missions.policy import charges


def amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def test_the_largest_recent_quotient_counts():
    for pairs, factor in (
        ([], None),
        ([("0.05", "0.05")], "1"),
        ([("0.05", "0.05"), ("0.50", "0.05")], "10"),
        ([("0.01", "0.05")], "1"),
        ([(None, "0.05")], "1"),
        ([("0.50", None)], "1"),
        ([("0.50", "0")], "1"),
        ([("999999", "0.05"), ("0.10", "0.05")], "2"),
        ([("25", "0.05"), *3 * [("0.10", "0.05")]], "2"),  # one surprise among enough others
        ([("25", "0.05"), *2 * [("0.10", "0.05")]], "500"),
        ([("25", "0.05"), ("5", "0.05"), *8 * [("0.05", "0.05")]], "500"),
    ):
        assert charges.factor((amount(cost), amount(price)) for cost, price in pairs) == amount(factor), pairs


def test_charges_far_above_the_expected_are_odd():
    for cost, expected, is_surprise, is_unbelievable in (
        ("0.05", "0.05", False, False),
        ("0.25", "0.05", False, False),
        ("0.26", "0.05", True, False),
        ("50", "0.05", True, False),
        ("50.01", "0.05", True, True),
        ("0.01", "0", True, False),
        ("50", None, False, False),
        (None, "0.05", False, False),
    ):
        values = amount(cost), amount(expected)
        assert charges.is_surprise(*values) is is_surprise, (cost, expected)
        assert charges.is_unbelievable(*values) is is_unbelievable, (cost, expected)
