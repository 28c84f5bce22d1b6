"""Lists over the API: cursors, filters and metadata."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from media.models import MediaFile
from missions.models import Mission
from templates_app.models import MissionTemplate
from tests.api_client import caller, new_token
from tests.factories import make_media, make_mission, picture
from tests.missions.api.client import Api, errors_of

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]


def make(owner: User, *metadata: dict[str, Any]) -> list[int]:
    missions = [make_mission(owner, 1, name=f"m{number}") for number in range(len(metadata))]
    for mission, values in zip(missions, metadata, strict=True):
        Mission.objects.filter(pk=mission.pk).update(metadata=values)
    return [mission.pk for mission in missions]


def test_cursor_sees_each_mission_once(api: Api, owner: User):
    ids = make(owner, *[{}] * 7)
    Mission.objects.filter(pk__in=ids[:4]).update(created_at=Mission.objects.get(pk=ids[0]).created_at)  # a tie
    page = api.data(page_size=2)
    seen = [mission["api_mission_id"] for mission in page["items"]]
    make_mission(owner, 1, name="new")
    Mission.objects.get(pk=ids[6]).delete()
    while page["next_cursor"]:
        page = api.data(page_size=2, cursor=page["next_cursor"])
        seen += [mission["api_mission_id"] for mission in page["items"]]
    assert seen == ids[::-1]
    forward: list[int] = []
    query: dict[str, Any] = {"ordering": "created_at", "page_size": 3}
    while query.get("cursor", "first"):
        page = api.data(**query)
        forward += [mission["api_mission_id"] for mission in page["items"]]
        query["cursor"] = page["next_cursor"] or ""
    assert sorted(forward) == sorted(Mission.objects.values_list("pk", flat=True))


def test_every_list_has_a_cursor(owner: User):
    for number in range(5):
        make_media(owner, content=picture(size=(8 + number, 8)))
        MissionTemplate.objects.create(owner=owner, name=f"t{number}", task_type="text_to_image")
        new_token(owner)
    client = caller(owner)
    for path in ("/api/v1/media/files", "/api/v1/templates", "/api/v1/me/tokens"):
        pages = [client.get(path, {"page_size": 2}).json()["data"]]
        while cursor := pages[-1]["next_cursor"]:
            pages.append(client.get(path, {"page_size": 2, "cursor": cursor}).json()["data"])
        walked = [row["id"] for page in pages for row in page["items"]]
        assert walked == [row["id"] for row in client.get(path).json()["data"]["items"]], path
        assert len(walked) == len(set(walked)) >= 5, path
    assert MediaFile.objects.count() == 5


def test_wrong_cursors_are_refused(api: Api, owner: User):
    make(owner, {}, {})
    cursor = api.data(page_size=1)["next_cursor"]
    table = [
        ({"cursor": "x"}, "cursor", "Start again"),
        ({"cursor": cursor[:-2]}, "cursor", "Start again"),
        ({"cursor": cursor, "ordering": "created_at"}, "cursor", "another list or order"),
        ({"cursor": cursor, "page": 2}, "page", "either page or cursor"),
    ]
    for query, field, words in table:
        assert words in errors_of(api.get(**query))[field], query
    assert api.data(page_size=1, ordering="name")["next_cursor"] is None
    answer = caller(owner).get("/api/v1/media/files", {"cursor": cursor})
    assert "another list" in errors_of(answer)["cursor"]


def test_missions_are_found_by_metadata(api: Api, owner: User):
    one, two, three = make(
        owner, {"order": 12, "shop": "北京", "a.b": True}, {"order": "12", "shop": "x"}, {"other": "12", "__x": 1.5}
    )
    table: list[tuple[dict[str, str], set[int]]] = [
        ({"metadata.order": "12"}, {one, two}),
        ({"metadata.order": "12", "metadata.shop": "北京"}, {one}),
        ({"metadata.a.b": "true"}, {one}),
        ({"metadata.__x": "1.5"}, {three}),
        ({"metadata.order": "13"}, set()),
        ({"metadata.order": "NaN"}, set()),
        ({"metadata.order": "1e999"}, set()),
        ({"metadata.order": "[1"}, set()),
        ({"metadata.missing": ""}, set()),
    ]
    for query, expected in table:
        assert {mission["api_mission_id"] for mission in api.data(**query)["items"]} == expected, query
    for name in ("metadata.", "metadata.7", "metadata.a\0b"):
        assert name in errors_of(api.get(**{name: "1"}))
    assert "metadat.order" in errors_of(api.get(**{"metadat.order": "1"}))
    assert api.data(**{"metadata.a.b": "true"})["items"][0]["metadata"]["shop"] == "北京"


def test_metadata_can_be_replaced(api: Api, owner: User):
    (pk,) = make(owner, {"order": 1})
    answer = api.send("patch", f"/{pk}", {"metadata": {"order": 2, "by": "mei"}})
    assert answer.json()["data"]["metadata"] == {"order": 2, "by": "mei"}
    assert api.send("patch", f"/{pk}", {"priority": 3}).json()["data"]["metadata"] == {"order": 2, "by": "mei"}
    assert "At most" in errors_of(api.send("patch", f"/{pk}", {"metadata": {"x": "y" * 17_000}}))["metadata"]
    assert "metadata" in errors_of(api.send("patch", f"/{pk}", {"metadata": None}))
    assert Mission.objects.get().metadata == {"order": 2, "by": "mei"}


def test_several_statuses_and_custom_id(api: Api, owner: User):
    mission = make_mission(owner, 3)
    mission.items.filter(index=2).update(custom_id="B-2", status="failed")
    mission.items.filter(index=3).update(status="cancelled")
    items = f"/{mission.pk}/items"
    table: list[tuple[dict[str, Any], list[int]]] = [
        ({"status": ["failed", "cancelled"]}, [2, 3]),
        ({"status": "pending"}, [1]),
        ({"custom_id": "B-2"}, [2]),
        ({"custom_id": "b-2"}, []),
        ({"custom_id": "B-2", "status": "pending"}, []),
    ]
    for query, expected in table:
        assert [item["index"] for item in api.data(items, **query)["items"]] == expected, query
    assert api.get(items, status="").status_code == api.get(items, status=["failed", "odd"]).status_code == 422
    make_mission(owner, 1)
    Mission.objects.filter(pk=mission.pk).update(status="paused")
    assert api.data(status=["paused", "queued"])["total"] == 2
    assert api.data(status=["paused", "running"])["total"] == 1
