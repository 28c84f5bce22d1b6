"""Errors of OpenAI-compatible servers as data, and the meaning of each for a submit.

Answers are read by the vendor's code first, then by words, because small servers put everything
into a status of 400 or 500, then by the HTTP status.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from core.reasons import Reason, define, define_table
from providers.adapters.errors import (
    AccountBlocked,
    ProviderError,
    Rejected,
    Remedy,
    TaskFailed,
    TryAgainLater,
    Unavailable,
    Unconfirmed,
)


class Row(NamedTuple):
    """One kind of refusal. ``wait_seconds``: leave the server alone for so long."""

    error: type[ProviderError]
    message: str
    wait_seconds: float | None = None


TOO_LONG = Row(Rejected, "The prompt is too long for this model. Shorten it or choose another model.")
NO_MONEY = Row(AccountBlocked, "The account has no credit left. Top it up.")
FILTERED = Row(Rejected, "Blocked by the server's content moderation. Change the prompt, then retry.")
NO_MODEL = Row(Rejected, "The server does not have this model. Check its name and the base URL.")
IN_DOUBT = Row(Unconfirmed, "The server had an error. The answer may have been written and charged.")

CODES: dict[str, Row] = {
    "context_length_exceeded": TOO_LONG,
    "exceed_context_size_error": TOO_LONG,
    "insufficient_quota": NO_MONEY,
    "billing_hard_limit_reached": NO_MONEY,
    "invalid_api_key": Row(AccountBlocked, "The API key is not valid. Enter a valid key."),
    "model_not_found": NO_MODEL,
    "content_policy_violation": FILTERED,
    "content_filter": FILTERED,
    "rate_limit_exceeded": Row(TryAgainLater, "The server's rate limit is reached.", 10),
}

WORDS: list[tuple[re.Pattern[str], Row]] = [
    (re.compile(r"context (size|length|window)|maximum context|too many tokens", re.IGNORECASE), TOO_LONG),
    (re.compile(r"insufficient (balance|quota|credit)", re.IGNORECASE), NO_MONEY),
]

HTTP_STATUSES: dict[int, Row] = {
    400: Row(Rejected, "The server cannot use the request. Correct it."),
    401: Row(AccountBlocked, "The server does not accept the API key. Enter a valid key."),
    402: NO_MONEY,
    403: Row(AccountBlocked, "The API key may not do this. Check its permissions."),
    404: Row(Rejected, "The server has no such model or address. Check the model and the base URL."),
    405: Row(Rejected, "This address takes no chat requests. Check the base URL."),
    413: Row(Rejected, "The request is too large. Use smaller images or a shorter prompt."),
    415: Row(Rejected, "The server cannot use the request. Correct it."),
    422: Row(Rejected, "The server cannot use the request. Correct it."),
    429: Row(TryAgainLater, "The server's rate limit is reached.", 10),
    503: Row(TryAgainLater, "The server is overloaded.", 30),
    529: Row(TryAgainLater, "The server is overloaded.", 30),
}
MOVED = Row(AccountBlocked, "The server has moved away from this address. Correct the base URL of the account.")


class Failure(NamedTuple):
    """One way in which an answer that had begun is lost. It was accepted, and may be charged."""

    remedy: Remedy
    message: str


FAILURES: dict[str, Failure] = {
    "stream_cut": Failure(
        Remedy.ONE_MORE_TRY, "The connection broke while the answer was written. What was written may be charged."
    ),
    "stream_error": Failure(
        Remedy.ONE_MORE_TRY, "The server had an error while it wrote the answer. What was written may be charged."
    ),
    "stream_malformed": Failure(
        Remedy.ONE_MORE_TRY, "The server sent something that is not a chat answer. It may be charged."
    ),
    "stream_timeout": Failure(Remedy.NONE, "The answer took too long. What was written may be charged."),
    "answer_too_long": Failure(Remedy.NONE, "The answer is longer than this program accepts. It may be charged."),
    "empty": Failure(Remedy.ONE_MORE_TRY, "The server sent an empty answer."),
    "not_json": Failure(Remedy.ONE_MORE_TRY, "The answer is not the JSON that was requested."),
    "length": Failure(
        Remedy.NONE, "The answer reached max_tokens and was cut, so its JSON is incomplete. Allow more tokens."
    ),
    "content_filter": Failure(
        Remedy.NONE, "The server's content moderation stopped the answer. Change the prompt, then retry."
    ),
}


THE_SERVER = define("openai.the_server", "The server")
_REASONS = define_table(
    "openai",
    {
        **{code: row.message for code, row in CODES.items()},
        **{f"http_{status}": row.message for status, row in HTTP_STATUSES.items()},
        "moved": MOVED.message,
        "in_doubt": IN_DOUBT.message,
        **{f"failed_{code}": failure.message for code, failure in FAILURES.items()},
    },
)


def refusal(status: int, code: str, text: str, wait_seconds: float | None) -> ProviderError:
    """Return the error of submit for an answer with an HTTP error.

    ``text`` is the server's own sentence, already without the key. A server error (5xx) and a
    time-out leave it open if the answer was written and charged: Unconfirmed. 503 and 529 say
    "overloaded".
    """
    words = next((row for pattern, row in WORDS if pattern.search(text)), None)
    moved = MOVED if 300 <= status < 400 else None
    row = CODES.get(code) or words or moved or HTTP_STATUSES.get(status)
    if row is None:
        row = HTTP_STATUSES[400] if 400 <= status < 500 and status not in (408, 409, 425) else IN_DOUBT
    wait = row.wait_seconds if wait_seconds is None else wait_seconds
    return row.error(_with_quote(row.message, text), code=code or f"http_{status}", wait_seconds=wait)


def read_error(error: ProviderError) -> ProviderError:
    """Return what the error of a submit means where no money is at stake."""
    if isinstance(error, AccountBlocked | Rejected):
        return error
    return Unavailable(error.message, code=error.code, wait_seconds=error.wait_seconds)


def failure(code: str, text: str = "") -> TaskFailed:
    """Return the reason why a stream that had begun gave no usable answer."""
    return TaskFailed(_with_quote(FAILURES[code].message, text), code=code, remedy=FAILURES[code].remedy)


def remedy_of(code: str) -> Remedy:
    return FAILURES[code].remedy if code in FAILURES else Remedy.NONE


def _with_quote(message: str, text: str) -> Reason:
    """Return the reason with this sentence, and the server's own words."""
    return _REASONS[message](provider=THE_SERVER(), detail=text) if text else _REASONS[message]()
