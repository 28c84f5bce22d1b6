"""RunningHub's error codes as data, and their meaning for the engine.

A code has three meanings: as the answer to a submit (was money spent?), as the answer to a read
(read again?), and as the error of a failed task (may a new attempt help?). A ``Kind`` holds all
three.

Source: API reference, sections 5.1 (four digits) and 5.2 (the others). Codes are compared as
strings.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from core.reasons import Definition, Reason, define, define_table
from providers.adapters.errors import (
    AccountBlocked,
    NoSlot,
    ProviderError,
    Rejected,
    Remedy,
    TaskFailed,
    TryAgainLater,
    Unavailable,
    Unconfirmed,
)
from providers.adapters.runninghub.client import Reply


class Kind(NamedTuple):
    """The meaning of a code: the errors of a submit and a read, the remedy of a failed task."""

    on_submit: type[ProviderError]
    on_read: type[ProviderError]
    remedy: Remedy


# The letter after each is that of the reference.
ACCOUNT = Kind(AccountBlocked, AccountBlocked, Remedy.NONE)  # K
REQUEST = Kind(Rejected, Rejected, Remedy.NONE)  # P
BUSY = Kind(TryAgainLater, Unavailable, Remedy.TRY_LATER)  # B
SLOT = Kind(NoSlot, Unavailable, Remedy.TRY_LATER)  # S
IN_DOUBT = Kind(Unconfirmed, Unavailable, Remedy.TRY_LATER)  # A: after a submit the task may exist and be charged
IN_DOUBT_ONCE = Kind(Unconfirmed, Unavailable, Remedy.ONE_MORE_TRY)  # A, but a repeat is likely to end the same way
TASK_GONE = Kind(Unconfirmed, Rejected, Remedy.NONE)  # 1004: P for a read, A for a submit


class Row(NamedTuple):
    """A code's kind and its text.

    ``meaning`` is for people and says what to do; no request is sent for ``wait_seconds``.
    """

    kind: Kind
    meaning: str
    wait_seconds: float | None = None


CODES: dict[str, Row] = {
    # 5.1: standard models
    "1000": Row(IN_DOUBT, "RunningHub had an error that it does not explain."),
    "1001": Row(REQUEST, "RunningHub does not know this model. Check the model's endpoint."),
    "1002": Row(ACCOUNT, "The API key is not valid. Enter a valid key."),
    "1003": Row(BUSY, "RunningHub rate limit reached.", 10),
    "1004": Row(TASK_GONE, "RunningHub does not know this task, or no longer."),
    "1005": Row(IN_DOUBT, "RunningHub had an internal error."),
    "1006": Row(IN_DOUBT, "The generation timed out."),
    "1007": Row(REQUEST, "A parameter is wrong or missing. Correct the request."),
    "1008": Row(REQUEST, "A file is too big. Use a smaller one."),
    "1009": Row(REQUEST, "This address does not take such a request. Check the model's endpoint."),
    "1010": Row(BUSY, "The service is not available at the moment.", 30),  # A or B: see submit_error
    "1011": Row(BUSY, "RunningHub is busy.", 30),  # A or B: see submit_error
    "1012": Row(IN_DOUBT, "The service behind RunningHub gave an abnormal answer."),
    "1013": Row(IN_DOUBT_ONCE, "A file could not be processed. If it happens again, use another file."),
    "1014": Row(
        ACCOUNT, "This kind of API key cannot use standard models. Use an enterprise-shared (企业级-共享) key."
    ),
    "1015": Row(IN_DOUBT_ONCE, "The generation failed. If it happens again, change the prompt or the images."),
    "1101": Row(REQUEST, "The node information is wrong. Correct the request."),
    "1501": Row(REQUEST, "Blocked by content moderation. Change the prompt or image, then retry."),
    "1504": Row(IN_DOUBT, "The model timed out."),
    "1505": Row(REQUEST, "Blocked by content moderation: the image shows a real person. Use another image."),
    "1516": Row(IN_DOUBT, "The result file was damaged."),
    "1517": Row(IN_DOUBT, "RunningHub had a problem on its side."),
    "1519": Row(IN_DOUBT, "RunningHub had a problem on its side."),
    "1520": Row(SLOT, "All parallel tasks of this key are in use.", 20),
    "1601": Row(ACCOUNT, "RunningHub found no API key in the request. Report this to the developers."),
    "1620": Row(ACCOUNT, "The wallet holds only promotional money, which the API cannot use. Top it up."),
    # 5.2: the older API
    "1": Row(REQUEST, "RunningHub refused the request."),
    "301": Row(REQUEST, "A parameter is wrong or missing. Correct the request."),
    "380": Row(REQUEST, "RunningHub does not know this workflow."),
    "401": Row(ACCOUNT, "The API key is not valid. Enter a valid key."),
    "403": Row(ACCOUNT, "The API key may not do this. Check its permissions."),
    "412": Row(ACCOUNT, "RunningHub does not accept the key at this address. Check the key and the base URL."),
    "414": Row(ACCOUNT, "The compute points (算力值) are used up. Top them up."),
    "415": Row(SLOT, "RunningHub has no free machine.", 30),
    "416": Row(ACCOUNT, "The wallet is too low to create a task. Top it up."),
    "421": Row(SLOT, "All parallel tasks of this key are in use.", 20),
    "423": Row(REQUEST, "RunningHub does not know this task, or no longer."),
    "429": Row(BUSY, "RunningHub rate limit reached.", 10),
    "433": Row(REQUEST, "The workflow's graph is not valid. Correct the workflow."),
    "435": Row(REQUEST, "The key has no machine of this kind. Choose another instance type."),
    "436": Row(ACCOUNT, "The exclusive key has expired or is not rented. Renew it."),
    "500": Row(IN_DOUBT, "RunningHub had an error that it does not explain."),
    "605": Row(ACCOUNT, "The account's balance is too low. Top it up."),
    "801": Row(ACCOUNT, "Free users cannot use the API. Upgrade the account."),
    "802": Row(ACCOUNT, "The API key is not authorised. Check its permissions."),
    "803": Row(REQUEST, "The node information is wrong. Correct the request."),
    "804": Row(IN_DOUBT, "The RunningHub task is still running."),
    "805": Row(IN_DOUBT_ONCE, "The workflow failed."),
    "806": Row(ACCOUNT, "RunningHub does not know the user of this key. Check the key and the base URL."),
    "807": Row(REQUEST, "RunningHub does not know this task, or no longer."),
    "808": Row(BUSY, "The upload failed."),
    "809": Row(REQUEST, "A file is too big. Use a smaller one."),
    "810": Row(REQUEST, "The workflow must be saved and run once on the site first."),
    "811": Row(ACCOUNT, "The enterprise API key is not valid. Enter a valid key."),
    "812": Row(ACCOUNT, "The enterprise account has too little money. Top it up."),
    "813": Row(IN_DOUBT, "The RunningHub task is still queued."),
    "814": Row(SLOT, "The queue of the exclusive key is full."),
    "901": Row(REQUEST, "RunningHub does not know this AI app."),
}

# Used only if the body has no code of the table. Other statuses, 408 and 5xx among them, leave a
# submit in doubt.
_ADDRESS_MOVED = Row(ACCOUNT, "RunningHub has moved away from this address. Correct the base URL of the account.")
HTTP_STATUSES: dict[int, Row] = {
    301: _ADDRESS_MOVED,
    307: _ADDRESS_MOVED,
    308: _ADDRESS_MOVED,
    400: Row(REQUEST, "RunningHub cannot use the request. Correct it."),
    401: Row(ACCOUNT, "RunningHub does not accept the API key. Enter a valid key."),
    402: Row(ACCOUNT, "RunningHub requires payment. Top up the account."),
    403: Row(ACCOUNT, "The API key may not do this. Check its permissions."),
    404: Row(REQUEST, "RunningHub has nothing at this address. Check the model's endpoint and the base URL."),
    405: Row(REQUEST, "This address does not take such a request. Check the model's endpoint."),
    413: Row(REQUEST, "The request is too big. Use smaller files or a shorter prompt."),
    422: Row(REQUEST, "RunningHub cannot use the request. Correct it."),
    429: Row(BUSY, "RunningHub rate limit reached.", 10),
}

# Words that decide when the code is new to us.
WORDS: list[tuple[re.Pattern[str], Row]] = [
    (
        re.compile(r"余额|欠费|充值|\bbalance\b|\binsufficient\b", re.IGNORECASE),
        Row(ACCOUNT, "The account seems to have too little money. Top it up."),
    ),
    (
        re.compile(
            r"审核|审查|违规|敏感|\bmoderat|\bnsfw\b|\bviolat|\billegal\b|content (safety|security)", re.IGNORECASE
        ),
        Row(REQUEST, "Probably blocked by content moderation. Change the prompt or image, then retry."),
    ),
]

UNREADABLE = Row(IN_DOUBT, "RunningHub's answer could not be read.")
EMPTY_ANSWER = Row(IN_DOUBT, "RunningHub's answer contains no usable result.")
UNKNOWN_CODE = Row(IN_DOUBT, "RunningHub gave a reason that we do not know.")
SERVER_TROUBLE = Row(IN_DOUBT, "RunningHub had a problem on its side.")
UNEXPLAINED_END = Row(IN_DOUBT_ONCE, "The generation failed.")

MAY_EXIST = define(
    "runninghub.may_exist",
    "The task may exist and may be charged: look for it on RunningHub before you send it again.",
)
NOT_CHARGED = define("runninghub.not_charged", "RunningHub reports no charge for it.")

_NAMED_ROWS = {
    **CODES,
    **{f"http_{status}": row for status, row in HTTP_STATUSES.items()},
    "balance": WORDS[0][1],
    "moderation": WORDS[1][1],
    "unreadable": UNREADABLE,
    "empty_answer": EMPTY_ANSWER,
    "unknown_code": UNKNOWN_CODE,
    "server_trouble": SERVER_TROUBLE,
    "unexplained": UNEXPLAINED_END,
}
_REASONS = define_table("runninghub", {name: row.meaning for name, row in _NAMED_ROWS.items()})


def submit_error(reply: Reply) -> ProviderError:
    """Return the error of a submit whose answer has no task id: one that ``submit`` may raise.

    The reference leaves 1010 and 1011 in doubt. Here they are not: an explicit "busy" without a
    task id accepted nothing.
    """
    row = _row(reply)
    hint = MAY_EXIST if row.kind.on_submit is Unconfirmed else None
    return _error(row.kind.on_submit, row, reply, hint)


def read_error(reply: Reply) -> ProviderError:
    """Return the error of a failed read: AccountBlocked, Rejected or Unavailable."""
    row = _row(reply)
    return _error(row.kind.on_read, row, reply)


def task_error(reply: Reply, *, is_free: bool = False) -> TaskFailed:
    """Return why a task failed. ``is_free``: the answer has a usage without a charge."""
    row = CODES.get(reply.code) or _row_by_words(reply.text) or UNEXPLAINED_END
    reason = _reason(row, reply, NOT_CHARGED if is_free else None)
    return TaskFailed(reason, code=reply.code, remedy=row.kind.remedy)


def remedy_of(code: str) -> Remedy:
    """Return the remedy for the ``code`` of a ProviderError."""
    status = code.removeprefix("http_")
    if status != code and status.isdecimal():
        return HTTP_STATUSES.get(int(status), SERVER_TROUBLE).kind.remedy
    return CODES.get(code, UNEXPLAINED_END).kind.remedy


def _row(reply: Reply) -> Row:
    """Return the row of an answer: by its code, then by its words, then by its HTTP status.

    The words of a server error (5xx) decide nothing.
    """
    is_refusal = bool(reply.code) or reply.http_status >= 400
    words = _row_by_words(reply.text) if is_refusal and reply.http_status < 500 else None
    if row := CODES.get(reply.code) or words or HTTP_STATUSES.get(reply.http_status):
        return row
    if reply.http_status >= 300:
        return SERVER_TROUBLE
    if not reply.is_readable:
        return UNREADABLE
    return UNKNOWN_CODE if reply.code else EMPTY_ANSWER


def _row_by_words(text: str) -> Row | None:
    return next((row for pattern, row in WORDS if pattern.search(text)), None)


def _error(error: type[ProviderError], row: Row, reply: Reply, hint: Definition | None = None) -> ProviderError:
    code = reply.code or (f"http_{reply.http_status}" if reply.http_status >= 300 else "")
    wait = row.wait_seconds if reply.retry_after_seconds is None else reply.retry_after_seconds
    return error(_reason(row, reply, hint), code=code, wait_seconds=wait)


def _reason(row: Row, reply: Reply, hint: Definition | None) -> Reason:
    """Return the reason: the row's meaning, the hint, and RunningHub's message."""
    params: dict[str, object] = {"hint": hint()} if hint else {}
    if reply.text:
        params |= {"provider": "RunningHub", "detail": reply.text}
    return _REASONS[row.meaning](**params)
