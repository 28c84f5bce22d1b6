"""Programs that call the API: a Django test client with a token."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.test import Client

from accounts import services
from accounts.models import Scope


def caller(user: User, *scopes: str) -> Client:
    """Return a client with a new token of the user, with CSRF checks enabled."""
    return Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {new_token(user, *scopes)}"})


def new_token(user: User, *scopes: str) -> str:
    """Return the secret of a new token with ``scopes``; without any, it has all."""
    return services.create_token(user=user, name="tests", scopes=scopes or Scope.values)[1]
