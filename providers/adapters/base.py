"""The interface that every provider implements, and the words in which it answers.

An adapter translates between a vendor's wire format and these types.  It decides no policy: whether and when to try again,
what to pay, and what to tell a person are decided by the engine.  Vendor words never leave the adapter's folder, except as
the untouched ``raw`` answer, which is kept beside ours for support cases.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, BinaryIO

from providers.adapters.errors import ProviderError, Remedy, TaskFailed


class RemoteStatus(enum.StrEnum):
    RUNNING = "running"  # queued or running: ask again later
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # ``RemoteState.error`` says why
    CANCELLED = "cancelled"
    GONE = "gone"  # the provider does not know the task, or knows it no longer


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where an account lives and what opens it.  The key is kept out of ``repr`` so that no log can show it."""

    base_url: str
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """One paid generation.  ``params`` is already validated and names files by URL."""

    endpoint: str
    params: Mapping[str, Any]
    webhook_url: str | None = None


@dataclass(frozen=True, slots=True)
class RemoteOutput:
    """One result: a file behind ``url``, or ``text``.  ``extension`` is lower case, without the dot, or ""."""

    url: str = ""
    text: str = ""
    extension: str = ""


@dataclass(frozen=True, slots=True)
class RemoteState:
    """What the provider says of one task.  ``cost`` is what it charged, None while it does not say."""

    task_id: str
    status: RemoteStatus
    outputs: tuple[RemoteOutput, ...] = ()
    cost: Decimal | None = None
    error: TaskFailed | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RemoteTask:
    """An accepted submission.  ``state`` is what the answer already told of it."""

    task_id: str
    state: RemoteState


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file that the provider now holds, and for how long its ``url`` may be used."""

    url: str
    lifetime_seconds: int


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """What the provider says of an account.  None: it does not say."""

    concurrency: int | None = None
    running: int | None = None
    queued: int | None = None
    balance: Decimal | None = None
    currency: str = ""
    key_type: str = ""


@dataclass(frozen=True, slots=True)
class PricePreview:
    amount: Decimal
    currency: str
    is_free: bool = False


class Provider(ABC):
    """One remote account, ready for use.  Instances are cheap, hold a pooled HTTP session and are not shared by processes.

    Every method may raise the errors that ``providers.adapters.errors`` lists for it, and nothing else.
    """

    name: str

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials

    @abstractmethod
    def submit(self, request: SubmitRequest) -> RemoteTask:
        """Send one generation with exactly one POST.  Never retried here: it spends money."""

    @abstractmethod
    def query(self, task_ids: Sequence[str]) -> dict[str, RemoteState | ProviderError]:
        """Ask how tasks stand, several at a time.

        Returns an entry for each id: its state, or the AccountBlocked, Rejected or Unavailable that this one question met.
        """

    @abstractmethod
    def upload(self, file: BinaryIO, *, filename: str, content_type: str) -> UploadedFile:
        """Hand over a reference file, so that a request can name it by URL."""

    @abstractmethod
    def cancel(self, task_id: str) -> bool:
        """Ask for a running task to be stopped, as best effort.  False: the provider does not know the task."""

    @abstractmethod
    def check_account(self) -> AccountStatus:
        """Ask for limits and balance.  Free, and the cheapest proof that the key works."""

    @abstractmethod
    def preview_price(self, request: SubmitRequest) -> PricePreview:
        """Ask what a request would cost.  Starts nothing."""

    @staticmethod
    @abstractmethod
    def remedy_of(code: str) -> Remedy:
        """Return what may help a person after an error of this code, also one that is not known."""

    @staticmethod
    @abstractmethod
    def parse_webhook(body: bytes) -> str:
        """Return the task id that a webhook names.  Raises ``ValueError`` when it names none."""
