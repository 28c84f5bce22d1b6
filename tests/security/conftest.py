"""The owner of one object of each kind, and browsers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.test import Client

from accounts import services as accounts
from accounts.models import ApiToken
from drafts import services as drafts
from media.services import store_upload
from missions.models import Attempt, Mission
from notifications.models import Channel, Delivery
from sharing.services import create_link
from templates_app.services import create_template
from tests.core.operations import picture

MARK = "belongs-to-mei"


@pytest.fixture
def web(owner: User) -> Client:
    """Return the owner's browser."""
    return browser_of(owner)


def browser_of(user: User, **options: Any) -> Client:
    """Return a browser in which the person is signed in."""
    client = Client(**options)
    client.force_login(user)
    return client


@pytest.fixture
def places(owner: User, mixed: Mission) -> dict[str, object]:
    """Return a value for each URL parameter, each of an object of the owner."""
    Mission.objects.update(name=MARK)
    media = store_upload(owner=owner, file=picture(), name=f"{MARK}.png").media
    token, _secret = accounts.create_token(user=owner, name=MARK)
    draft = drafts.open_draft(owner=owner, key=drafts.new_key())
    drafts.save_form(draft, {"name": MARK})
    link = create_link(mission=mixed, creator=owner, title=MARK)
    channel = Channel.objects.create(owner=owner, kind="webhook", name=MARK, events=["mission.finished"])
    config = {"model": "rhart-image-v1/text-to-image", "params": {"aspectRatio": "16:9"}}
    return {
        "mission_id": mixed.pk,
        "index": 4,
        "number": 1,
        "template_id": create_template(owner=owner, name=MARK, task_type="text_to_image", config=config).pk,
        "media_id": media.pk,
        "key": media.key,
        "token_id": token.pk,
        "provider": "runninghub",
        "token": Attempt.objects.order_by("pk")[0].webhook_token,
        "draft": draft.key,
        "channel_id": channel.pk,
        "webhook_id": channel.pk,
        "delivery_id": Delivery.objects.create(channel=channel, type="ping", state="delivered").pk,
        "endpoint": mixed.model,
        "link_id": link.pk,
        "page": "user-guide",
        "name": "mission.webp",
        "link_token": link.token,
    }


@contextmanager
def undone() -> Iterator[None]:
    """Undo what the block writes to the database."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def everything() -> dict[str, list[Any]]:
    """Return all rows of all tables, except sessions and times of last use."""
    models = [model for model in apps.get_models() if model is not Session and model._meta.managed]
    ignored = {ApiToken: {"last_used_at"}, User: {"last_login"}}
    return {
        model._meta.label: [
            {name: value for name, value in row.items() if name not in ignored.get(model, ())}
            for row in model._default_manager.order_by("pk").values()
        ]
        for model in models
    }
