"""The errors between us and a provider, in our words.

The tree follows from the question that matters: was money spent?

    ProviderError
    ├── TryAgainLater     certainly not accepted, nothing was paid: try again later
    ├── NoSlot            certainly not accepted, the provider has no free slot: wait for one
    ├── Rejected          certainly not accepted, and it never will be: change the request
    ├── AccountBlocked    key, permission or balance: stop using the account, tell an operator
    ├── Unconfirmed       sent, but no answer that settles it: it MAY have been paid
    ├── Unavailable       a read or an upload got no useful answer: ask again, nothing was at stake
    └── TaskFailed        the remote task itself ended badly

``submit`` raises TryAgainLater, NoSlot, Rejected, AccountBlocked or Unconfirmed. ``query``,
``find``, ``upload``, ``fetch``, ``cancel`` and ``check_account`` raise Rejected, AccountBlocked or
Unavailable. TaskFailed is never raised: ``RemoteState.error`` carries it.
"""

from __future__ import annotations

import enum

from core.reasons import Reason


class Remedy(enum.StrEnum):
    """A hint from the adapter about a failed task; ``missions.policy.retry`` decides."""

    NONE = "none"
    ONE_MORE_TRY = "one_more_try"
    TRY_LATER = "try_later"


class ProviderError(Exception):
    """Base of the tree.

    ``message``       a plain sentence for a person, without the vendor's code
    ``code``          the vendor's code as a string, or "" (HTTP errors: "http_503")
    ``wait_seconds``  the wait before the next try that the provider asks for, or None
    """

    remedy: Remedy = Remedy.NONE

    def __init__(self, message: str, *, code: str = "", wait_seconds: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.wait_seconds = wait_seconds

    def __str__(self) -> str:
        if not self.code:
            return self.message
        if isinstance(self.message, Reason):
            return self.message.extended(vendor_code=self.code)
        return f"{self.message} ({self.code})"


class TryAgainLater(ProviderError):
    """Certainly not accepted: refused connection, rate limit, provider busy."""


class NoSlot(ProviderError):
    """Certainly not accepted: all slots of the account are taken at the provider."""


class Rejected(ProviderError):
    """Certainly not accepted, for good: bad parameter, moderation, unknown model."""


class AccountBlocked(ProviderError):
    """The account cannot be used: key, permission or balance."""


class Unconfirmed(ProviderError):
    """The request was sent, and no answer settles whether it was accepted.

    Never sent again by the program, unless ``Provider.find`` proves that it was not accepted.
    """


class Unavailable(ProviderError):
    """A read or an upload got no useful answer. Trying again is free."""


class TaskFailed(ProviderError):
    """The remote task failed. ``remedy`` tells if a new, paid attempt may help."""

    def __init__(self, message: str, *, code: str = "", remedy: Remedy = Remedy.NONE) -> None:
        super().__init__(message, code=code)
        self.remedy = remedy
