"""RunningHub's standard models as a ``Provider``.

Section numbers are those of the API reference. Two of its facts shape this file: errors also come
with HTTP 200, so the body decides first; and a submit has no idempotency key, so any unclear answer
to it is ``Unconfirmed``.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from core.reasons import define
from providers.adapters.base import (
    NO_UPDATES,
    Accepted,
    AccountStatus,
    Capabilities,
    Finished,
    Provider,
    ProviderSettings,
    RemoteOutput,
    RemoteState,
    RemoteStatus,
    SubmitRequest,
    Updates,
    UploadedFile,
    translatable,
)
from providers.adapters.errors import ProviderError, Remedy, TryAgainLater, Unavailable, Unconfirmed
from providers.adapters.http import TransportFailure
from providers.adapters.json_answers import read_object
from providers.adapters.runninghub import codes
from providers.adapters.runninghub.client import NO_TASK_IDS, Client, Reply, mapping, task_id_of, word

NO_ANSWER = define("runninghub.no_answer", "RunningHub did not answer (%(reason)s).")
UNREACHABLE = define("runninghub.unreachable", "RunningHub could not be reached (%(reason)s). Nothing was sent.")
UNUSABLE_ID = define("runninghub.unusable_id", "RunningHub's answer names a task by an id that cannot be used.")
OTHER_TASK = define("runninghub.other_task", "RunningHub's answer is about another task.")

QUERY_THREADS = 8
UPLOAD_LIFETIME_SECONDS = 24 * 60 * 60  # section 6: the link lives for one day
LARGEST_CHARGE = Decimal(10**6)  # a single generation
LARGEST_BALANCE = Decimal(10**9)
LARGEST_CONCURRENCY = 10_000

# Section 4: four are documented, CREATE and CANCEL are in the vendor's own contract, the others in
# clients.
STATUSES = {
    "CREATE": RemoteStatus.RUNNING,
    "PENDING": RemoteStatus.RUNNING,
    "QUEUED": RemoteStatus.RUNNING,
    "RUNNING": RemoteStatus.RUNNING,
    "SUCCESS": RemoteStatus.SUCCEEDED,
    "FAILED": RemoteStatus.FAILED,
    "CANCEL": RemoteStatus.CANCELLED,
    "CANCELED": RemoteStatus.CANCELLED,
    "CANCELLED": RemoteStatus.CANCELLED,
}

LONGEST_STATUS = 32
WAITING = {"CREATE", "PENDING", "QUEUED"}

# Codes that stand for a status when the status is empty.
STATUS_CODES = {
    "804": RemoteStatus.RUNNING,
    "813": RemoteStatus.RUNNING,
    "805": RemoteStatus.FAILED,
    "1004": RemoteStatus.GONE,
    "423": RemoteStatus.GONE,
    "807": RemoteStatus.GONE,
}

# Section 4, item 14.4: the vendor's example names a kind, real answers name the file's extension.
KINDS_OF_OUTPUT = {"image", "video", "audio", "text", "file"}

_EXTENSION = re.compile(r"[a-z0-9]{1,5}")
_PLAIN = re.compile(r"\d{1,12}(\.\d{1,20})?", re.ASCII)
_DIGITS = re.compile(r"\d{1,12}", re.ASCII)
_WEBHOOK_TASK_ID = re.compile(r"[\w-]{1,64}", re.ASCII)


class _Tools:
    """The client and the threads of one process.

    After a fork the threads are gone, and answers on a shared socket would be mixed up.
    """

    def __init__(self, settings: ProviderSettings) -> None:
        self.pid = os.getpid()
        self.client = Client(settings)
        self.threads = ThreadPoolExecutor(QUERY_THREADS, thread_name_prefix="runninghub-query")  # starts none yet


class RunningHub(Provider):
    """One key on one of RunningHub's two sites.

    Safe to use from several threads and after a fork.
    """

    name = "runninghub"
    label = "RunningHub"
    account_name = "environment"
    address_help = translatable(
        "https://www.runninghub.cn, or https://www.runninghub.ai. A key of one does not work at the other."
    )
    capabilities = Capabilities(
        uploads=True,
        webhooks=True,
        cancels=True,
        upload_max_bytes=30 * 1024 * 1024,  # section 6
    )
    defaults = ProviderSettings(
        base_url="https://www.runninghub.cn",
        concurrency=50,
        result_lifetime_seconds=24 * 60 * 60,  # section 10
    )
    environment = {
        "api_key": "RUNNINGHUB_API_KEY",
        "base_url": "RUNNINGHUB_BASE_URL",
        "concurrency": "RUNNINGHUB_CONCURRENCY",
        "poll_floor_seconds": "POLL_FLOOR_SECONDS",
    }

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self._tools = _Tools(settings)

    def submit(self, request: SubmitRequest, updates: Updates = NO_UPDATES) -> Accepted | Finished:
        """Start a generation with exactly one POST.

        An answer that names a task is an accepted task, whatever code or HTTP status comes with it:
        an id can be queried for free, while a task that we forget is paid for and lost. Only a
        final status in it ends the task. A success without results is queried like a running task:
        they may appear a moment later.
        """
        webhook = {"webhookUrl": request.webhook_url} if request.webhook_url else {}
        try:
            reply = self._own.client.submit(request.endpoint, {**request.params, **webhook})
        except TransportFailure as failure:
            if failure.may_have_arrived:
                raise Unconfirmed(NO_ANSWER(reason=failure.reason, hint=codes.MAY_EXIST())) from failure
            raise TryAgainLater(UNREACHABLE(reason=failure.reason)) from failure
        if not reply.task_id:
            if word(reply.task, "taskId", "task_id") not in ("", *NO_TASK_IDS):
                raise Unconfirmed(UNUSABLE_ID(hint=codes.MAY_EXIST()))
            raise codes.submit_error(reply)
        status = _status(reply)
        if status in (None, RemoteStatus.GONE):
            status = RemoteStatus.RUNNING
        state = _state(reply.task_id, status, reply)
        if status is RemoteStatus.RUNNING or (status is RemoteStatus.SUCCEEDED and not state.outputs):
            return Accepted(state)
        return Finished(state)

    def query(self, task_ids: Sequence[str]) -> dict[str, RemoteState | ProviderError]:
        """Query each id once, up to QUERY_THREADS at a time.

        An error in place of a state says nothing about the task.
        """
        ids = list(dict.fromkeys(task_ids))
        return dict(zip(ids, self._own.threads.map(self._query, ids), strict=True))

    def upload(self, file: BinaryIO, *, filename: str, content_type: str) -> UploadedFile:
        """Upload a file and return its link.

        Any answer with a link is a success: the two sites use different codes (section 6).
        """
        reply = _read(lambda: self._own.client.upload(file, filename=filename, content_type=content_type))
        if url := word(reply.data, "download_url"):
            return UploadedFile(url, UPLOAD_LIFETIME_SECONDS)
        raise codes.read_error(reply)

    def cancel(self, task_id: str) -> bool:
        """Cancel a task.

        It is not documented whether a task that has started is refunded (section 8), so the engine
        cancels waiting tasks only.
        """
        reply = _read(lambda: self._own.client.cancel(task_id))
        if STATUS_CODES.get(reply.code) is RemoteStatus.GONE:
            return False
        _check(reply)
        return True

    def check_account(self) -> AccountStatus:
        queue = _check(_read(self._own.client.queue_status)).data
        wallet: Mapping[str, Any] = {}
        with contextlib.suppress(ProviderError):  # the status of the queue is useful without the balance
            wallet = _check(_read(self._own.client.account_status)).data
        return AccountStatus(
            concurrency=_count(queue, "concurrentLimit", largest=LARGEST_CONCURRENCY),
            running=_count(queue, "runningCount"),
            queued=_count(queue, "queuedCount"),
            balance=_money(wallet.get("remainMoney"), largest=LARGEST_BALANCE),
            currency=word(wallet, "currency"),
            key_type=word(queue, "apiKeyType") or word(wallet, "apiType"),
        )

    @staticmethod
    def remedy_of(code: str) -> Remedy:
        return codes.remedy_of(code)

    @classmethod
    def parse_webhook(cls, headers: Mapping[str, str], body: bytes) -> str:
        """Return the task id. RunningHub does not sign webhooks. Raises ValueError without an id.

        ``eventData`` is an object; older calls send a JSON string (section 7).
        """
        event = read_object(body) or {}
        data = event.get("eventData")
        details = read_object(data) if isinstance(data, str) else mapping(data)
        task_id = task_id_of(event) or task_id_of(details or {})
        if not _WEBHOOK_TASK_ID.fullmatch(task_id):
            raise ValueError("The webhook names no task.")
        return task_id

    @property
    def _own(self) -> _Tools:
        if self._tools.pid != os.getpid():
            self._tools = _Tools(self.settings)
        return self._tools

    def _query(self, task_id: str) -> RemoteState | ProviderError:
        """Query a task and read the answer in the order of section 4."""
        try:
            reply = _read(lambda: self._own.client.query(task_id))
        except ProviderError as error:
            return error
        if reply.task_id not in ("", task_id):
            return Unavailable(OTHER_TASK())
        status = _status(reply)
        return codes.read_error(reply) if status is None else _state(task_id, status, reply)


def _read(call: Callable[[], Reply]) -> Reply:
    """Make a call that spends no money. Raises Unavailable if there is no answer."""
    try:
        return call()
    except TransportFailure as failure:
        raise Unavailable(NO_ANSWER(reason=failure.reason)) from failure


def _check(reply: Reply) -> Reply:
    if not reply.is_fine:
        raise codes.read_error(reply)
    return reply


def _status(reply: Reply) -> RemoteStatus | None:
    """Return the status of the task, None if the answer has none.

    The status field comes before the code. A status that is new to us, in an answer without an
    error, counts as running: see ``RemoteState.unknown_status``.
    """
    status = STATUSES.get(reply.status) or STATUS_CODES.get(reply.code)
    is_new = bool(reply.status and reply.task_id and reply.is_fine)
    return status or (RemoteStatus.RUNNING if is_new else None)


def _state(task_id: str, status: RemoteStatus, reply: Reply) -> RemoteState:
    # A usage without any charge was seen to mean: not charged (section 4).
    charges = ("thirdPartyConsumeMoney", "consumeMoney", "consumeCoins")
    usage = reply.task.get("usage", "")
    is_free = isinstance(usage, dict | None) and all(mapping(usage).get(name) is None for name in charges)
    is_known = reply.status in STATUSES or reply.code in STATUS_CODES
    unknown_status = "" if is_known or status is not RemoteStatus.RUNNING else reply.status[:LONGEST_STATUS]
    has_results = status is RemoteStatus.SUCCEEDED or unknown_status
    return RemoteState(
        task_id=task_id,
        status=status,
        outputs=tuple(_outputs(reply.task.get("results"))) if has_results else (),
        cost=_cost(reply.task),
        error=codes.task_error(reply, is_free=is_free) if status is RemoteStatus.FAILED else None,
        raw=reply.raw,
        is_waiting=status is RemoteStatus.RUNNING and (reply.status in WAITING or reply.code == "813"),
        unknown_status=unknown_status,
    )


def _outputs(results: Any) -> Iterable[RemoteOutput]:
    """Yield the outputs in ``results``, a list or a single result.

    A result is an object or a string, which is an address or a text. Empty results are left out.
    """
    for result in results if isinstance(results, list) else [results]:
        if isinstance(result, str):
            fields: Mapping[str, Any] = {"url" if result.startswith(("http://", "https://")) else "text": result}
        else:
            fields = mapping(result)
        url, text = word(fields, "url", "outputUrl", "fileUrl"), word(fields, "text", "content", "output")
        if url or text:
            yield RemoteOutput(url, text, _extension(word(fields, "outputType", "fileType"), url))


def _extension(output_type: str, url: str) -> str:
    from_type = output_type.lower().removeprefix(".")
    path = re.split(r"[?#]", url)[0]
    from_path = PurePosixPath(path).suffix.lower().removeprefix(".")
    candidates = (from_path,) if from_type in KINDS_OF_OUTPUT else (from_type, from_path)
    return next((name for name in candidates if _EXTENSION.fullmatch(name)), "")


def _cost(task: Mapping[str, Any]) -> Decimal | None:
    """Return what the task cost, None if the answer does not say.

    The list of part tasks repeats the total, so it counts only when the total is missing.
    """
    if usage := mapping(task.get("usage")):
        return _charge(usage)
    parts = task.get("taskUsageList")
    amounts = [_charge(mapping(mapping(part).get("usage"))) for part in parts] if isinstance(parts, list) else []
    charges = [amount for amount in amounts if amount is not None]
    return sum(charges, Decimal()) if charges else None


def _charge(usage: Mapping[str, Any]) -> Decimal | None:
    """Return the charge of a usage, None if it has none.

    Standard models are charged as third-party money, workflows as money. Coins are not money.
    """
    third_party = _money(usage.get("thirdPartyConsumeMoney"))
    return _money(usage.get("consumeMoney")) if third_party is None else third_party


def _money(value: Any, *, largest: Decimal = LARGEST_CHARGE) -> Decimal | None:
    """Return an amount that is written as a plain decimal, None for anything else."""
    if isinstance(value, float):
        value = format(Decimal(repr(value)), "f")
    if isinstance(value, bool) or not isinstance(value, str | int) or not _PLAIN.fullmatch(text := str(value).strip()):
        return None
    amount = Decimal(text)
    return amount if amount < largest else None


def _count(source: Mapping[str, Any], name: str, *, largest: int = 10**9) -> int | None:
    """Return a number from 0 to ``largest``, None for anything else."""
    text = word(source, name)
    number = int(text) if _DIGITS.fullmatch(text) else None
    return number if number is not None and number <= largest else None
