"""People with different rights, and how they act on rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

Act = Callable[..., Any]


def messages_of(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def act_on(client: Client, verb: str, *rows: Any, confirmed: Any = True, **more: Any) -> Any:
    """Choose rows of a list and a verb; ``confirmed=False`` gets the page that asks."""
    name = f"admin:{rows[0]._meta.app_label}_{rows[0]._meta.model_name}_changelist"
    sure = {"confirmed": "1"} if confirmed else {}
    return client.post(reverse(name), {"action": verb, "_selected_action": [row.pk for row in rows], **sure, **more})
