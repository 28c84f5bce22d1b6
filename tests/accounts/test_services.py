"""API tokens: shown once, stored as a digest, refused when expired or revoked."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import services
from accounts.models import ApiToken

pytestmark = pytest.mark.django_db


def test_only_the_digest_is_stored(owner):
    token, secret = services.create_token(user=owner, name="laptop")
    row = ApiToken.objects.filter(pk=token.pk).values().get()
    assert secret.startswith(token.prefix)
    assert not any(secret in str(value) for value in row.values())
    assert len(secret) > len(token.prefix) + 30


def test_secret_finds_token_and_user(owner, stranger):
    services.create_token(user=stranger, name="theirs")
    token, secret = services.create_token(user=owner, name="mine")
    known = services.authenticate(secret)
    assert known == token
    assert known.user == owner
    assert services.authenticate(secret + "x") is None
    assert services.authenticate("") is None
    assert services.authenticate("\ud800") is None


def test_token_expires(owner):
    token, secret = services.create_token(user=owner, name="x", expires_at=timezone.now() + timedelta(hours=1))
    assert services.authenticate(secret)
    ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now())
    assert services.authenticate(secret) is None


def test_revocation_time_does_not_change(owner):
    token, secret = services.create_token(user=owner, name="x")
    services.revoke_token(token=token)
    token.refresh_from_db()
    first = token.revoked_at
    assert services.authenticate(secret) is None
    services.revoke_token(token=token)
    token.refresh_from_db()
    assert token.revoked_at == first


def test_token_of_inactive_user_is_refused(owner):
    secret = services.create_token(user=owner, name="x")[1]
    owner.is_active = False
    owner.save()
    assert services.authenticate(secret) is None


def test_last_use_is_written_once_a_minute(owner, django_assert_num_queries):
    token, secret = services.create_token(user=owner, name="x")
    services.authenticate(secret)
    token.refresh_from_db()
    first = token.last_used_at
    assert first
    with django_assert_num_queries(1):
        services.authenticate(secret)
    ApiToken.objects.update(last_used_at=first - timedelta(minutes=2))
    services.authenticate(secret)
    token.refresh_from_db()
    assert token.last_used_at >= first


def test_token_expires_with_its_parent(owner):
    soon = timezone.now() + timedelta(days=1)
    lent, _ = services.create_token(user=owner, name="lent", expires_at=soon)
    for wanted in (None, soon + timedelta(days=9)):
        made, _ = services.create_own_token(user=owner, name="x", expires_at=wanted, made_with=lent)
        assert made.expires_at == soon
    made, _ = services.create_own_token(user=owner, name="x", expires_at=None, made_with=None)
    assert made.expires_at is None


def test_revocation_includes_child_tokens(owner):
    leaked, _ = services.create_token(user=owner, name="leaked")
    child, _ = services.create_own_token(user=owner, name="x", expires_at=None, made_with=leaked)
    _, secret = services.create_own_token(user=owner, name="y", expires_at=None, made_with=child)
    _, other = services.create_token(user=owner, name="other")
    services.revoke_token(token=leaked)
    assert services.authenticate(secret) is None
    assert services.authenticate(other) is not None


def test_usable_tokens_are_limited(owner, stranger):
    for _ in range(services.MAX_TOKENS):
        token, _ = services.create_token(user=owner, name="x")
    with pytest.raises(services.TooManyTokens, match="Revoke one first"):
        services.create_own_token(user=owner, name="x", expires_at=None, made_with=None)
    services.create_own_token(user=stranger, name="x", expires_at=None, made_with=None)
    services.revoke_token(token=token)
    services.create_own_token(user=owner, name="x", expires_at=None, made_with=None)
