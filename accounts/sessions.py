"""Sign-ins, sign-outs and lock-outs in the audit log."""

from __future__ import annotations

from typing import Any

from axes.signals import user_locked_out
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest

from accounts.audit import services as audit
from accounts.audit.models import Verb


def connect() -> None:
    """Connect the signals of Django and axes."""
    user_logged_in.connect(_signed_in)
    user_logged_out.connect(_signed_out)
    user_login_failed.connect(_failed)
    user_locked_out.connect(_locked_out)


def _signed_in(request: HttpRequest | None = None, user: Any = None, **_: Any) -> None:
    if isinstance(user, User):
        audit.record(Verb.SIGN_IN, user, actor=f"user:{user.pk}")


def _signed_out(request: HttpRequest | None = None, user: Any = None, **_: Any) -> None:
    if isinstance(user, User):
        audit.record(Verb.SIGN_OUT, user, actor=f"user:{user.pk}")


def _failed(credentials: dict[str, Any] | None = None, request: HttpRequest | None = None, **_: Any) -> None:
    """Record the name only if somebody has it: people sometimes type their password there.

    An attempt during a lock-out is not recorded, so that nobody can fill the log.
    """
    if getattr(request, "axes_locked_out", False):
        return
    person = User.objects.filter(username=(credentials or {}).get("username") or "").first()
    audit.record(Verb.SIGN_IN_FAILED, person)


def _locked_out(request: HttpRequest | None = None, username: str | None = None, **_: Any) -> None:
    """Record the beginning of a lock-out: axes counts failures only until then."""
    if getattr(request, "axes_failures_since_start", None) is None:
        return
    audit.record(Verb.LOCK_OUT, User.objects.filter(username=username or "").first())
