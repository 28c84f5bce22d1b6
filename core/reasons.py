"""Reasons: sentences for people, stored as code and parameters, translated when shown.

A worker does not know who will read, and one person's action is read by others. So a row stores the
English sentence, its code and its parameters; pages translate the code's template when they show
it. This module does not depend on Django, because the adapters of the providers use it.

    DEADLINE = define("deadline", "No result after %(minutes)s minutes.")
    DEADLINE(minutes=20)    →  a str that carries ``code`` and ``params``

Four optional parameters extend any reason: ``hint`` (another reason, shown after it), ``provider``
and ``detail`` (the provider's own words), and ``vendor_code`` (shown in brackets).

A reason with a parameter ``currency`` may name its amounts as money: ``%(cost_money)s`` is the
parameter ``cost`` as "¥0.50".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from core.money import money_text

TEMPLATES: dict[str, str] = {}  # English templates by code

_CHINESE = re.compile(r"[\u4e00-\u9fff]")


class Reason(str):
    """An English sentence that remembers its code and its parameters."""

    code: str
    params: dict[str, Any]

    def __new__(cls, code: str, params: Mapping[str, Any]) -> Reason:
        reason = super().__new__(cls, render(code, params) or code)
        reason.code = code
        reason.params = dict(params)
        return reason

    def __getnewargs__(self) -> tuple[str, dict[str, Any]]:  # type: ignore[override]
        return self.code, self.params

    def extended(self, **params: Any) -> Reason:
        """Return the same reason with more parameters."""
        return Reason(self.code, self.params | params)


class Definition:
    """A reason without its parameters. Call it with them."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __call__(self, **params: Any) -> Reason:
        return Reason(self.code, params)


def define(code: str, template: str) -> Definition:
    """Register a template under a stable code. A percent sign in it is written twice.

    ``make messages`` collects the second argument for translation. Raises ValueError when the code
    is taken by another template.
    """
    if TEMPLATES.setdefault(code, template) != template:
        raise ValueError(f"The reason {code} is defined twice.")
    return Definition(code)


def define_table(prefix: str, sentences: Mapping[str, str]) -> dict[str, Definition]:
    """Register the sentences of an error table, by name. Return their reasons by sentence.

    Names with the same sentence share the reason of the first.
    """
    return {sentence: define(f"{prefix}.{name}", sentence) for name, sentence in reversed(list(sentences.items()))}


DETAIL = define("provider_says", "%(provider)s says: %(detail)s")


def render(code: str, params: Mapping[str, Any], translate: Callable[[str], str] = str) -> str:
    """Return the sentence of a code in the language of ``translate``; "" for an undefined code.

    A template that lacks one of its parameters is shown as it is: a missing word must never keep an
    answer of a provider from being recorded.
    """
    if code not in TEMPLATES:
        return ""
    values = {name: _value(value, translate) for name, value in params.items()}
    if "currency" in values:
        values |= _amounts(values, str(values["currency"]))
    parts = [_fill(translate(TEMPLATES[code]), values), values.get("hint", "")]
    if values.get("detail"):
        values["detail"] = _half(str(values["detail"]), is_chinese=bool(_CHINESE.search(parts[0])))
        parts.append(_fill(translate(TEMPLATES[DETAIL.code]), values))
    text = ""
    for part in map(str, parts):
        text += part if not part or not text or text.endswith(("。", "：")) else f" {part}"
    return f"{text} ({values['vendor_code']})" if values.get("vendor_code") else text


def stored(reason: str) -> tuple[str | None, dict[str, Any] | None]:
    """Return the code and the parameters of a reason; (None, None) for a plain sentence."""
    if not isinstance(reason, Reason):
        return None, None
    params = {name: _nested(value) for name, value in reason.params.items()}
    return reason.code, params or None


def without_detail(reason: str) -> str:
    """Return a reason without the provider's own words, which may repeat a prompt: for the log."""
    if not isinstance(reason, Reason):
        return reason
    hidden = ("detail", "provider", "hint")
    return render(reason.code, {name: value for name, value in reason.params.items() if name not in hidden})


def _nested(value: Any) -> Any:
    if not isinstance(value, Reason):
        return value
    code, params = stored(value)
    return {"code": code, "params": params, "text": str(value)}


def _value(value: Any, translate: Callable[[str], str]) -> Any:
    """Return a parameter as text. A reason, as an object or in its stored form, is rendered."""
    if isinstance(value, Reason):
        return render(value.code, value.params, translate)
    if isinstance(value, Mapping) and "code" in value:
        return render(value["code"], value.get("params") or {}, translate) or value.get("text", "")
    return value


def _amounts(values: Mapping[str, Any], currency: str) -> dict[str, str]:
    """Return the numbers among ``values`` as money, under their names with ``_money``."""
    amounts = {}
    for name, value in values.items():
        try:
            amounts[f"{name}_money"] = money_text(Decimal(str(value)), currency)
        except (InvalidOperation, ValueError):
            continue
    return amounts


def _half(detail: str, *, is_chinese: bool) -> str:
    """Return the part of ``text | 文字`` that the reader understands; other texts unchanged."""
    parts = [part.strip() for part in detail.split("|")]
    if len(parts) != 2 or len({bool(_CHINESE.search(part)) for part in parts}) != 2:
        return detail
    return next(part for part in parts if bool(_CHINESE.search(part)) == is_chinese)


def _fill(template: str, values: Mapping[str, Any]) -> str:
    try:
        return template % values
    except (KeyError, TypeError, ValueError):
        return template
