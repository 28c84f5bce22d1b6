"""``manage.py create_token``."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts import services
from accounts.models import ApiToken

pytestmark = pytest.mark.django_db


def create_token(*arguments: str) -> str:
    out = StringIO()
    call_command("create_token", *arguments, stdout=out)
    return out.getvalue()


def test_output_ends_with_a_working_token(owner):
    token = services.authenticate(create_token("mei").split()[-1])
    assert token is not None
    assert (token.user, token.name, token.expires_at) == (owner, "command line", None)


def test_token_can_have_name_and_expiry(owner):
    create_token("mei", "--name", "night run", "--expires-in-days", "7")
    token = ApiToken.objects.get()
    assert token.name == "night run"
    assert abs(token.expires_at - timezone.now() - timedelta(days=7)) < timedelta(minutes=1)


def test_unknown_user_is_refused(db):
    with pytest.raises(CommandError, match="There is no user 'nobody'"):
        create_token("nobody")


def test_inactive_user_gets_no_token(owner):
    owner.is_active = False
    owner.save()
    with pytest.raises(CommandError, match="inactive"):
        create_token("mei")


@pytest.mark.parametrize("arguments", [("--expires-in-days", "0"), ("--expires-in-days", "99999"), ("--name", " ")])
def test_invalid_values_are_refused(owner, arguments):
    with pytest.raises(CommandError):
        create_token("mei", *arguments)
    assert not ApiToken.objects.exists()
