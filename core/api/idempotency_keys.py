"""Requests that may be repeated without being carried out twice.

A caller names a request with a key.  It is claimed, in a commit of its own, before it is carried out; its answer is stored in the
very transaction that does what it asks for.  So a process may die at any moment: either nothing was done and the claim can be
taken over, or the answer is there.  See docs/decisions/0006-idempotency.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from core.api.errors import RETRY_SECONDS
from core.errors import NotPossible
from core.models import IdempotencyKey

KEPT = timedelta(hours=24)
LEASE = timedelta(minutes=1)  # after it an unfinished request is taken for dead; should it live, ``remember`` stops it
FORGET_AT_ONCE = 100


class Mismatch(NotPossible):
    """The key was used for another request."""

    error = "idempotency_mismatch"

    def __init__(self) -> None:
        super().__init__(_("This Idempotency-Key was used for another request. Use a new one."))


class InProgress(NotPossible):
    """The same request is being carried out, or was taken over by another process, and has no answer yet."""

    error = "idempotency_in_progress"

    def __init__(self) -> None:
        message = _("The same request is still running. Try again in a moment.")
        super().__init__(message, headers={"Retry-After": str(RETRY_SECONDS)})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered.  ``body`` as it went over the wire."""

    status: int
    body: str
    headers: Mapping[str, str]


class Claim:
    """The right to carry out one request."""

    def __init__(self, row: IdempotencyKey, render: Callable[[Any], bytes]) -> None:
        self._mine = IdempotencyKey.objects.filter(pk=row.pk, claimed_at=row.claimed_at, finished_at=None)
        self._render = render
        self.is_finished = False

    def remember(self, status: int, payload: Any, headers: Mapping[str, str] | None = None) -> None:
        """Store the answer.  Call it in the transaction that does what was asked for, with the payload that is returned.

        Raises InProgress, which undoes that transaction, when the claim was taken over: another process carries out the request.
        """
        self.keep(Answer(status, self._render(payload).decode(), headers or {}))

    def keep(self, answer: Answer) -> None:
        """As ``remember``, with an answer that is written down already."""
        kept = self._mine.update(
            finished_at=timezone.now(), status=answer.status, body=answer.body, headers=dict(answer.headers)
        )
        if not kept:
            raise InProgress
        self.is_finished = True

    def release(self) -> None:
        """Give the key back, because nothing was done."""
        self._mine.delete()


def claim(*, user: AbstractBaseUser, key: str, digest: str, render: Callable[[Any], bytes]) -> Claim | Answer:
    """The right to carry out a request, or the answer that it was given in the last 24 hours.

    ``digest`` tells it from other requests; ``render`` writes down a payload.  Call it outside a transaction: a claim holds once
    it is committed.  Raises Mismatch or InProgress.
    """
    _forget_old()
    now = timezone.now()
    fresh = {"digest": digest, "claimed_at": now}
    try:
        row, is_new = IdempotencyKey.objects.get_or_create(user_id=user.pk, key=key, defaults=fresh)
    except IntegrityError:  # it was claimed and given back between two statements of ours
        raise InProgress from None
    if is_new:
        return Claim(row, render)
    if _is_void(row, now):
        return Claim(_take_over(row, digest, now), render)
    if row.digest != digest:
        raise Mismatch
    if row.status is None:
        raise InProgress
    return Answer(row.status, row.body, row.headers)


def _is_void(row: IdempotencyKey, now: datetime) -> bool:
    """Whether a key may be used anew: its answer is too old, or its process has died before anything was done."""
    return row.finished_at < now - KEPT if row.finished_at else row.claimed_at < now - LEASE


def _take_over(row: IdempotencyKey, digest: str, now: datetime) -> IdempotencyKey:
    """Make the row ours if it still is as we saw it.  Raises InProgress when somebody else was faster."""
    as_seen = IdempotencyKey.objects.filter(pk=row.pk, claimed_at=row.claimed_at, finished_at=row.finished_at)
    taken = as_seen.update(digest=digest, claimed_at=now, finished_at=None, status=None, body="", headers={})
    if not taken:
        raise InProgress
    row.claimed_at = now
    return row


def _forget_old() -> None:
    """Remove some keys that nobody can ask for any more."""
    old = IdempotencyKey.objects.filter(claimed_at__lt=timezone.now() - KEPT - LEASE)
    if not old.exists():
        return
    with transaction.atomic():
        rows = old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:FORGET_AT_ONCE]
        IdempotencyKey.objects.filter(pk__in=list(rows)).delete()
