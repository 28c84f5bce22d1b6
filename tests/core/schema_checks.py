"""Checks for schemathesis: what the schema allows may be refused only by a documented rule.

A program loads them by the variable SCHEMATHESIS_HOOKS. They take the place of the checks
``positive_data_acceptance`` and ``negative_data_rejection``.
"""

from __future__ import annotations

import re
from typing import Any

import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection

RULE = r"^- `([a-z_]+)`: "  # in the description of 422 (core.api.openapi.refusals)


@schemathesis.check
def refusals_are_documented(ctx: Any, response: Any, case: Any) -> bool | None:
    """Let a valid request be refused only for fields with a rule in the 422 of its operation."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code not in (400, 422):
        return None
    described = case.operation.definition.raw["responses"]["422"]["description"]
    rules = set(re.findall(RULE, described, re.MULTILINE))
    fields = {error["field"].split(".")[0] for error in response.json()["errors"]}
    message = f"{response.status_code} for a valid request: {response.text}\nFields with a rule: {sorted(rules)}"
    assert (response.status_code, bool(fields), fields - rules) == (422, True, set()), message
    return None


@schemathesis.check
def violations_are_refused(ctx: Any, response: Any, case: Any) -> bool | None:
    """Refuse each invalid request. A check (``validate_only``) says in a 200 what is invalid."""
    is_check = (case.query or {}).get("validate_only") in ("true", True)
    if is_check and response.status_code == 200 and response.json()["data"]["valid"] is False:
        return None
    return negative_data_rejection(ctx, response, case)
