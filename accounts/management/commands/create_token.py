"""``manage.py create_token USER``: create a token; the output ends with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts import services
from accounts.models import Scope

MAX_DAYS = 3650


class Command(BaseCommand):
    help = "Create an API token for a user. It is shown only now, as the last word of the output."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="username")
        parser.add_argument("--name", default="command line", help="purpose of the token")
        parser.add_argument("--expires-in-days", type=int, help="default: until it is revoked")

        parser.add_argument("--scopes", default=",".join(Scope.values), help="read, create, operate (default: all)")

    def handle(
        self, *args: Any, user: str, name: str, expires_in_days: int | None, scopes: str, **options: Any
    ) -> None:
        if not 0 < len(name.strip()) <= 100:
            raise CommandError("--name takes 1 to 100 characters.")
        if expires_in_days is not None and not 1 <= expires_in_days <= MAX_DAYS:
            raise CommandError(f"--expires-in-days takes 1 to {MAX_DAYS}.")
        wanted = [scope.strip() for scope in scopes.split(",")]
        if unknown := [scope for scope in wanted if scope not in Scope.values]:
            raise CommandError(f"--scopes takes {', '.join(Scope.values)}, not {unknown[0]!r}.")
        expires_at = timezone.now() + timedelta(days=expires_in_days) if expires_in_days else None
        token, secret = services.create_token(user=_find(user), name=name.strip(), expires_at=expires_at, scopes=wanted)
        until = f"until {token.expires_at:%Y-%m-%d}" if token.expires_at else "until it is revoked"
        self.stdout.write(f"Token {token.name!r} of {user}, {until}. Shown only now: {secret}")


def _find(username: str) -> User:
    user = User.objects.filter(username=username).first()
    if user is None:
        raise CommandError(
            f"There is no user {username!r}. Create one with `manage.py createsuperuser` or in the admin."
        )
    if not user.is_active:
        raise CommandError(f"{username} is inactive, so no token of theirs would be accepted.")
    return user
