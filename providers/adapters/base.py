"""The interface that every provider implements, and the types in which it answers.

An adapter translates between a vendor's wire format and these types. It decides no policy: when to
try again, what to pay and what to tell a person are decided by the engine. Vendor words never leave
the adapter's folder, except as the untouched ``raw`` answer, which is kept beside ours for support
cases. The engine checks ``capabilities``, never a provider's name.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from providers.adapters import http
from providers.adapters.errors import ProviderError, Remedy, TaskFailed

SIMULATOR_KEY = "simulator"  # the API key of a simulator; opens nothing at a real provider


def translatable(text: str) -> str:
    """Mark a text for translation where people read it: an adapter knows no Django."""
    return text


class RemoteStatus(enum.StrEnum):
    RUNNING = "running"  # queued or running: poll again later
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # ``RemoteState.error`` has the reason
    CANCELLED = "cancelled"
    GONE = "gone"  # the provider does not know the task, or no longer


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Facts about a provider that the engine depends on.

    ``needs_key``           an account without an API key cannot be used
    ``uploads``             files are uploaded and named by URL; else ``SubmitRequest.files`` has
                            them
    ``webhooks``            it calls ``SubmitRequest.webhook_url`` when a task ends
    ``cancels``             a task that waits in its queue can be cancelled for free; with
                            ``finishes_in_submit``: submit stops when ``Updates.stop_requested()``
                            is True
    ``finds_by_our_id``     ``find`` proves whether a submission was accepted
    ``reports_progress``    states carry a progress
    ``finishes_in_submit``  submit always returns Finished, after minutes perhaps; ``query`` is
                            never called. Without it, submit answers within seconds: Accepted, or
                            Finished by a model that is quick
    ``upload_max_bytes``    the largest file that it takes as an upload; None: not known
    ``streams_text``        submit passes text to ``Updates.text`` while it is produced
    """

    needs_key: bool = True
    uploads: bool = False
    webhooks: bool = False
    cancels: bool = False
    finds_by_our_id: bool = False
    reports_progress: bool = False
    finishes_in_submit: bool = False
    streams_text: bool = False
    upload_max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One account's settings. The key is kept out of ``repr`` so that no log can show it.

    ``concurrency``              tasks in flight at once, unless the account's row has its own limit
    ``poll_floor_seconds``       no task is polled more often
    ``submit_limit_seconds``     no call of submit takes longer
    ``result_lifetime_seconds``  the provider deletes results after this time; None: never
    ``result_hosts``             hosts with a private address from which results may be fetched
    ``options``                  whatever else the adapter reads, such as a model's name
    """

    base_url: str = ""
    api_key: str = field(default="", repr=False)
    concurrency: int = 1
    poll_floor_seconds: float = 2.0
    submit_limit_seconds: float = 60.0
    result_lifetime_seconds: float | None = None
    result_hosts: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that a request names, for providers that take files as they are.

    ``open`` returns a new stream at each call. ``sha256`` is in hexadecimal digits.
    """

    name: str
    content_type: str
    size_bytes: int
    sha256: str
    open: Callable[[], BinaryIO]


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """One paid generation.

    ``params``   validated; files are named by URL, or by a key of ``files``
    ``our_id``   a UUID that identifies this submission and no other
    ``files``    the files behind references such as ``media:5``, if the provider takes no uploads
    """

    endpoint: str
    params: Mapping[str, Any]
    webhook_url: str | None = None
    our_id: str = ""
    files: Mapping[str, InputFile] = field(default_factory=dict)


class Updates:
    """Receives progress and text from a long submit. This base class ignores both.

    The methods are cheap: an adapter may call them as often as it likes, from the thread in which
    ``submit`` was called.
    """

    def progress(self, share: float) -> None:
        """Note how much of the work is done, from 0 to 1."""

    def text(self, delta: str) -> None:
        """Note the next piece of the text that is being written."""

    def stop_requested(self) -> bool:
        """Return True when nobody wants the result any more."""
        return False

    def interrupt_requested(self) -> bool:
        """Return True when this process is about to be stopped.

        A submit that can stop without cost then raises TryAgainLater; its item runs again later.
        """
        return False


NO_UPDATES = Updates()


@dataclass(frozen=True, slots=True)
class RemoteOutput:
    """One result: a file behind ``url``, ``content`` or ``path``, or else a ``text``.

    ``extension`` is lower case, without the dot, or "". The engine stores ``content`` and moves the
    file at ``path`` away before anything else happens; a ``url`` is handed to ``Provider.fetch``.
    """

    url: str = ""
    text: str = ""
    extension: str = ""
    content: bytes = b""
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class RemoteState:
    """One task's state at the provider.

    ``cost``        what was charged, None while it is not reported
    ``progress``    from 0 to 1, None if it is not reported
    ``is_waiting``  RUNNING, but certainly not started: cancelling it now is free
    ``unknown_status``  the provider's word for a status that the adapter does not know, else "".
                    Then ``status`` is RUNNING, and ``outputs`` are what the answer lists
    """

    task_id: str
    status: RemoteStatus
    outputs: tuple[RemoteOutput, ...] = ()
    cost: Decimal | None = None
    error: TaskFailed | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)
    progress: float | None = None
    is_waiting: bool = False
    unknown_status: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A submission that the provider took: its task is ``state.task_id``."""

    state: RemoteState


@dataclass(frozen=True, slots=True)
class Finished:
    """A submission that has ended: ``state`` is SUCCEEDED with outputs, FAILED or CANCELLED.

    ``state.task_id`` may be "" where the provider has no ids.
    """

    state: RemoteState


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file that the provider now holds. Its ``url`` may be used for ``lifetime_seconds``."""

    url: str
    lifetime_seconds: int


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """An account's state at the provider. None: not reported."""

    concurrency: int | None = None
    running: int | None = None
    queued: int | None = None
    balance: Decimal | None = None
    currency: str = ""
    key_type: str = ""


class Provider(ABC):
    """One remote account, ready for use.

    Instances are cheap, may hold a pooled HTTP session, are used by several threads at once, and
    must work after a fork. Every method may raise the errors that ``providers.adapters.errors``
    lists for it, and nothing else. A method that belongs to a capability is called only if
    ``capabilities`` has it.

    ``name``         the key in the registry, the catalogue and the database
    ``label``        the name that people read
    ``defaults``     settings of an account of which nothing else is configured
    ``environment``  Django settings that override ``defaults``, by field or name of an option; its
                     "api_key" is used by the account that the environment describes, and no other.
                     Required: "api_key" with ``needs_key``
    ``account_name`` the name of that account
    ``address_help`` what people enter as an account's address; "": the provider has none
    """

    name: ClassVar[str]
    label: ClassVar[str]
    account_name: ClassVar[str]
    address_help: ClassVar[str] = ""
    capabilities: ClassVar[Capabilities]
    defaults: ClassVar[ProviderSettings] = ProviderSettings()
    environment: ClassVar[Mapping[str, str]] = {}

    def __init__(self, settings: ProviderSettings) -> None:
        self.settings = settings

    @abstractmethod
    def submit(self, request: SubmitRequest, updates: Updates = NO_UPDATES) -> Accepted | Finished:
        """Send one generation with exactly one POST. Never retried here: it spends money."""

    @abstractmethod
    def check_account(self) -> AccountStatus:
        """Read limits and balance. Free, and the cheapest proof that key and address work."""

    @staticmethod
    @abstractmethod
    def remedy_of(code: str) -> Remedy:
        """Return what may help a person after an error with this code, known or not."""

    def query(self, task_ids: Sequence[str]) -> dict[str, RemoteState | ProviderError]:
        """Read the states of several tasks.

        Returns an entry for each id: its state, or the AccountBlocked, Rejected or Unavailable that
        this one query met.
        """
        raise NotImplementedError

    def find(self, our_id: str) -> RemoteState | None:
        """Look for the submission with this ``SubmitRequest.our_id`` after its answer was lost.

        None proves that it was not accepted and never will be: it is then sent again. Raises
        AccountBlocked or Unavailable when there is no proof. Belongs to ``finds_by_our_id``.
        """
        raise NotImplementedError

    def upload(self, file: BinaryIO, *, filename: str, content_type: str) -> UploadedFile:
        """Upload a file, so that a request can name it by URL. Belongs to ``uploads``."""
        raise NotImplementedError

    def fetch(self, url: str) -> AbstractContextManager[http.Download]:
        """Stream a result. Raises Unavailable; the engine tries again until the result expires.

        This one reads public addresses and ``settings.result_hosts``, without the key.
        """
        return http.download(url, allowed_hosts=self.settings.result_hosts)

    def cancel(self, task_id: str) -> bool:
        """Cancel a task, as best effort. False: the provider does not know it.

        Belongs to ``cancels``. The engine calls it only for tasks whose state is ``is_waiting``.
        """
        raise NotImplementedError

    @classmethod
    def parse_webhook(cls, headers: Mapping[str, str], body: bytes) -> str:
        """Return the task id that a webhook names. ``headers`` have lower-case names.

        Raises ValueError when it names none or its signature is wrong. Belongs to ``webhooks``.
        """
        raise NotImplementedError
