"""The reasons that spending limits give for a pause (see ``core.reasons``)."""

from __future__ import annotations

from core.reasons import define

MISSION_LIMIT_REACHED = define(
    "mission_limit_reached",
    "The mission's spending limit of %(limit_money)s is reached; nothing more is sent. "
    "Charged: %(charged_money)s. Still running: up to %(expected_money)s. "
    "To continue, raise the limit and resume.",
)
OWNER_LIMIT_REACHED = define(
    "owner_limit_reached",
    "The owner's spending limit of %(limit_money)s is reached; nothing more is sent. "
    "Charged: %(charged_money)s. Still running: up to %(expected_money)s. "
    "Ask an operator to raise the limit, or wait for the next period; then resume the mission.",
)
PRICE_UNKNOWN = define(
    "price_unknown",
    "The price of the next item is unknown, so the spending limit cannot be enforced. Nothing more is sent.",
)
OTHER_CURRENCY = define(
    "other_currency",
    "The spending limit of the mission's owner is in %(currency)s, and this mission is priced in %(price_currency)s: "
    "nothing more is sent. An operator can change or remove the limit; then resume the mission.",
)
