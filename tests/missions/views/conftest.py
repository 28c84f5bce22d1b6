"""A signed-in person with a browser that shows no pictures."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client


@pytest.fixture
def web(owner: User) -> Client:
    client = Client(enforce_csrf_checks=False)
    client.force_login(owner)
    return client


@pytest.fixture
def strange_web(stranger: User) -> Client:
    client = Client()
    client.force_login(stranger)
    return client
