"""Every documented operation refuses strangers and hides the objects of others."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from accounts.models import ApiToken
from media.models import MediaFile
from media.services import store_upload
from missions import services
from missions.models import ItemEvent, Mission, MissionItem
from notifications.models import Channel, Delivery
from sharing.models import ShareLink
from sharing.services import create_link
from templates_app.models import MissionTemplate
from tests.api_client import caller, new_token
from tests.core.operations import Operation, operations, picture

pytestmark = pytest.mark.django_db
PUBLIC = {"/api/v1/health", "/api/v1/ready"}
MARK = "belongs-to-mei"
EVERYBODYS = {"endpoint"}  # path parameters of objects that everybody sees
OPERATIONS = operations()
INTO_ROWS = [operation for operation in OPERATIONS if set(operation.parameters) - EVERYBODYS]
LISTS = [
    operation
    for operation in OPERATIONS
    if operation not in INTO_ROWS and not operation.is_public and operation.method in ("get", "post")
]


@pytest.fixture
def places(owner: User, encryption_key: str) -> dict[str, Any]:
    """Return a value for each path parameter, each of an object of the owner."""
    mission = services.submit_mission(owner=owner, name=MARK, task_type="text_to_image", rows=[MARK, "a dog"])
    media = store_upload(owner=owner, file=picture(), name=f"{MARK}.png").media
    new_token(owner)
    channel = Channel.objects.create(owner=owner, kind="webhook", name=MARK, events=["mission.finished"])
    return {
        "webhook_id": channel.pk,
        "delivery_id": Delivery.objects.create(channel=channel, type="ping", state="delivered").pk,
        "mission_id": mission.pk,
        "index": 1,
        "number": 1,
        "media_id": media.pk,
        "template_id": MissionTemplate.objects.create(owner=owner, name=MARK, task_type="text_to_image").pk,
        "link_id": create_link(mission=mission, creator=owner).pk,
        "token_id": ApiToken.objects.get(user=owner).pk,
    }


def address(operation: Operation, places: dict[str, Any]) -> str:
    missing = set(operation.parameters) - EVERYBODYS - set(places)
    assert not missing, f"{operation}: add {missing} to the fixture `places`, with a row of the owner"
    return operation.path.format(**{"endpoint": "rhart-image-v1/text-to-image", **places})


def ask(client: Client, operation: Operation, places: dict[str, Any]) -> Any:
    return getattr(client, operation.method)(address(operation, places), **operation.request())


def rows() -> list[Any]:
    """Return all rows that a request could change."""
    known = (Mission, MissionItem, ItemEvent, MediaFile, MissionTemplate, ApiToken, ShareLink, Channel, Delivery)
    ignored = {"last_used_at"}
    return [
        {name: value for name, value in row.items() if name not in ignored}
        for model in known
        for row in model.objects.order_by("pk").values()
    ]


def test_only_probes_are_public():
    assert {operation.path for operation in OPERATIONS if operation.is_public} == PUBLIC


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if not one.is_public], ids=str)
def test_every_operation_needs_a_caller(places, operation):
    before = rows()
    for client in (Client(), Client(headers={"Authorization": "Bearer rhb_wrong"})):
        answer = ask(client, operation, places)
        assert (answer.status_code, answer.json()["error"]) == (401, "unauthenticated")
    assert rows() == before


@pytest.mark.parametrize("operation", INTO_ROWS, ids=str)
def test_objects_of_others_are_not_found(stranger, places, operation):
    client = caller(stranger)
    before = rows()
    answer = ask(client, operation, places)
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found"), answer.content
    assert rows() == before


@pytest.mark.parametrize("operation", LISTS, ids=str)
def test_lists_hide_objects_of_others(stranger, places, operation):
    answer = ask(caller(stranger), operation, places)
    is_free_form = operation.path == "/api/v1/models"  # the schema does not describe a model's definition
    assert answer.status_code < 300 or (is_free_form and answer.status_code == 422), answer.content
    assert MARK not in answer.content.decode()


@pytest.mark.parametrize("operation", [one for one in INTO_ROWS if one.path.count("{") == 1], ids=str)
def test_owner_finds_every_object(owner, places, operation):
    """Prove that the refusals above are not caused by wrong ids."""
    assert ask(caller(owner), operation, places).status_code != 404


@pytest.mark.parametrize("operation", INTO_ROWS, ids=str)
def test_too_large_id_is_a_client_error(owner, places, operation):
    for impossible in (0, 2**63, 10**30):
        bad = dict.fromkeys(places, impossible)
        assert ask(caller(owner), operation, bad).status_code in (404, 422)


def test_head_is_answered_wherever_get_is(owner, places):
    client = caller(owner)
    for operation in OPERATIONS:
        if operation.method == "get" and not operation.path.endswith("/events"):
            answer = client.get(address(operation, places))
            if answer.streaming:
                answer.getvalue()
            head = client.head(address(operation, places))
            assert (head.status_code, head.content) == (answer.status_code, b""), str(operation)
            assert head["Content-Type"] == answer["Content-Type"], str(operation)


def test_unknown_query_names_are_refused(owner, places):
    for operation in OPERATIONS:
        if operation.method == "get" and not operation.is_public:
            answer = caller(owner).get(address(operation, places), {"unknown_name": "1"})
            assert answer.status_code in (404, 422), str(operation)
            if answer.status_code == 422:
                assert answer.json()["errors"][0]["field"] == "unknown_name"
