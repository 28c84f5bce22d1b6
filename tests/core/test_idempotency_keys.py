"""Claims of idempotency keys: one per key, taken over from dead processes only."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from accounts.models import ApiToken
from core.api import idempotency
from core.api.idempotency import Claim, InProgress, Mismatch, StoredResponse
from core.models import IdempotencyKey

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]


def render(payload) -> bytes:
    return json.dumps(payload).encode()


def claim(user, key="k1", digest="d1"):
    return idempotency.claim(user=user, key=key, digest=digest, render=render)


def age(by: timedelta) -> None:
    """Make every key older."""
    for row in IdempotencyKey.objects.all():
        row.claimed_at -= by
        row.finished_at = row.finished_at and row.finished_at - by
        row.save()


def test_finished_claim_returns_its_response(owner):
    claim(owner).remember(201, {"id": 7}, {"Location": "/7"})
    assert claim(owner) == StoredResponse(201, '{"id": 7}', {"Location": "/7"})


def test_key_of_another_request_is_a_mismatch(owner):
    claim(owner).remember(201, {})
    with pytest.raises(Mismatch):
        claim(owner, digest="d2")


def test_unfinished_claim_is_in_progress(owner):
    claim(owner)
    with pytest.raises(InProgress):
        claim(owner)
    with pytest.raises(Mismatch):
        claim(owner, digest="d2")


def test_keys_belong_to_their_user(owner, stranger):
    claim(owner).remember(201, {"secret": 1})
    assert not isinstance(claim(stranger), StoredResponse)


def test_released_key_is_free(owner):
    claim(owner).release()
    assert not isinstance(claim(owner, digest="d2"), StoredResponse)


def test_release_keeps_a_stored_response(owner):
    mine = claim(owner)
    mine.remember(201, {})
    mine.release()
    assert isinstance(claim(owner), StoredResponse)


def test_response_expires_after_a_day(owner):
    claim(owner).remember(201, {})
    age(timedelta(hours=23, minutes=59))
    assert isinstance(claim(owner), StoredResponse)
    age(timedelta(minutes=2))
    assert not isinstance(claim(owner, digest="d2"), StoredResponse)


def test_new_claims_delete_expired_keys(owner, stranger):
    claim(owner).remember(201, {})
    age(timedelta(days=2))
    claim(stranger)
    assert not IdempotencyKey.objects.filter(user=owner).exists()


def test_claim_of_dead_process_is_taken_over(owner):
    claim(owner)
    age(idempotency.LEASE + timedelta(seconds=1))
    claim(owner).remember(201, {"id": 8})
    assert claim(owner) == StoredResponse(201, '{"id": 8}', {})


def claim_of_a_slow_process(user):
    long_ago = timezone.now() - idempotency.LEASE - timedelta(seconds=1)
    return Claim(IdempotencyKey.objects.create(user=user, key="k1", digest="d1", claimed_at=long_ago), render)


def carry_out(mine: Claim, user: User, name: str, *, then: Exception | None = None) -> None:
    """Do work and store the response in one transaction, as an operation does."""
    with transaction.atomic():
        ApiToken.objects.create(user=user, name=name, digest=name)
        mine.remember(201, {})
        if then:
            raise then


def test_slow_process_without_claim_creates_nothing(owner):
    slow = claim_of_a_slow_process(owner)
    fast = claim(owner)
    with pytest.raises(InProgress):
        carry_out(slow, owner, "of the slow")
    carry_out(fast, owner, "of the fast")
    assert [token.name for token in ApiToken.objects.all()] == ["of the fast"]


def test_slow_process_with_its_claim_finishes(owner):
    claim_of_a_slow_process(owner).remember(201, {"id": 9})
    assert claim(owner) == StoredResponse(201, '{"id": 9}', {})


def test_slow_process_cannot_release_a_lost_claim(owner):
    slow = claim_of_a_slow_process(owner)
    claim(owner)
    slow.release()
    with pytest.raises(InProgress):
        claim(owner)


def test_work_and_response_are_stored_together(owner):
    mine = claim(owner)
    with pytest.raises(RuntimeError):
        carry_out(mine, owner, "x", then=RuntimeError())
    assert not ApiToken.objects.exists()
    with pytest.raises(InProgress):
        claim(owner)
