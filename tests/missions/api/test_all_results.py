"""``GET /results``: search the results of all missions."""

from __future__ import annotations

import pytest

from missions import search, services
from tests.api_client import caller
from tests.factories import commit, make_mission
from tests.result_factories import run

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]


@pytest.fixture
def client(owner, stranger):
    """Return a caller of the owner, who has four results; a stranger has one."""
    animals = make_mission(owner, [{"prompt": "a red fox", "custom_id": "A-1"}, "an owl", "一只橘猫"], name="Animals")
    run(animals, ["one"], ["two"], ["three"])
    run(make_mission(owner, ["a red car"], model="rhart-image-n-pro/text-to-image"), ["four"])
    run(make_mission(stranger, ["a red kite"]), ["five"])
    search.catch_up(seconds=60)
    services.star_results(mission_id=animals.pk, indexes=[2], is_starred=True)
    commit()
    return caller(owner)


def prompts(client, **query) -> list[str]:
    answer = client.get("/api/v1/results", query)
    assert answer.status_code == 200, answer.content
    return [row["config"]["prompt"] for row in answer.json()["data"]["items"]]


def test_results_are_searched_and_filtered(client):
    for query, expected in (
        ({}, ["a red car", "一只橘猫", "an owl", "a red fox"]),
        ({"search": "RED"}, ["a red car", "a red fox"]),
        ({"search": "橘猫"}, ["一只橘猫"]),
        ({"custom_id": "A-1"}, ["a red fox"]),
        ({"starred": "true"}, ["an owl"]),
        ({"provider": "runninghub", "model": "rhart-image-n-pro/text-to-image"}, ["a red car"]),
        ({"task_type": "text_to_video"}, []),
        ({"completed_from": "2026-01-01T00:00:00Z", "completed_to": "2026-01-02T00:00:00Z"}, []),
    ):
        assert prompts(client, **query) == expected, query


def test_result_names_its_mission_and_files(client):
    row = client.get("/api/v1/results", {"search": "owl"}).json()["data"]["items"][0]
    assert (row["mission_name"], row["index"], row["is_starred"]) == ("Animals", 2, True)
    assert row["outputs"][0]["text"] == "two"
    assert row["outputs"][0]["file_url"].startswith(f"/api/v1/missions/{row['api_mission_id']}/items/2/")


def test_cursor_shows_each_result_once(client):
    seen, cursor = [], None
    while True:
        page = client.get("/api/v1/results", {"limit": 3} | ({"cursor": cursor} if cursor else {})).json()["data"]
        seen += [row["config"]["prompt"] for row in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["a red car", "一只橘猫", "an owl", "a red fox"]


def test_model_without_its_provider_is_refused(client):
    answer = client.get("/api/v1/results", {"model": "rhart-image-v1/text-to-image"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "model"


def test_tags_of_an_item_are_set(owner, stranger):
    mission = make_mission(owner, ["a red fox", "an owl"])
    run(mission, ["one"], ["two"])
    search.catch_up(seconds=60)
    client = caller(owner)
    path = f"/api/v1/missions/{mission.pk}/items/1"
    answer = client.put(f"{path}/tags", {"tags": ["approved", "客户甲"]}, content_type="application/json")
    commit()
    assert (answer.status_code, answer.json()["data"]["tags"]) == (200, ["approved", "客户甲"])
    client.put(f"{path}/tags", {"tags": ["客户甲", "late"]}, content_type="application/json")
    commit()
    assert client.get(path).json()["data"]["tags"] == ["late", "客户甲"]
    listed = client.get(f"/api/v1/missions/{mission.pk}/items").json()["data"]["items"]
    assert [row["tags"] for row in listed] == [["late", "客户甲"], []]
    (found,) = client.get("/api/v1/results", {"tag": "LATE"}).json()["data"]["items"]
    assert (found["index"], found["tags"]) == (1, ["late", "客户甲"])
    lines = client.get(f"/api/v1/missions/{mission.pk}/results.csv").getvalue().decode()
    assert "late | 客户甲" in lines
    refused = client.put(f"{path}/tags", {"tags": ["fine", "x" * 41]}, content_type="application/json")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "tags.1")
    refused = caller(stranger).put(f"{path}/tags", {"tags": []}, content_type="application/json")
    assert refused.status_code == 404
    assert client.put(f"{path}/tags", {"tags": []}, content_type="application/json").json()["data"]["tags"] == []


def test_results_of_one_mission(client, owner, stranger):
    animals, cars = owner.missions.order_by("pk")
    assert prompts(client, mission_id=animals.pk) == ["一只橘猫", "an owl", "a red fox"]
    assert prompts(client, mission_id=animals.pk, search="RED") == ["a red fox"]
    assert prompts(client, mission_id=cars.pk, search="fox") == []
    for mission_id in (stranger.missions.get().pk, 10**9, 0, "x"):
        answer = client.get("/api/v1/results", {"mission_id": mission_id})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "mission_id"), mission_id
