"""Programs that call the API: a Django test client with a token."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.test import Client

from accounts import services


def caller(user: User) -> Client:
    """Return a client with a new token of the user, with CSRF checks enabled."""
    return Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {new_token(user)}"})


def new_token(user: User) -> str:
    return services.create_token(user=user, name="tests")[1]
