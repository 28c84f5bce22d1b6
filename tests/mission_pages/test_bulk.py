"""Selected results of several missions: star, tag, download, use as input."""

from __future__ import annotations

import csv
import io
import zipfile

import pytest
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages

from missions import search
from missions.models import MissionItem, Output
from tests.factories import make_mission, picture
from tests.result_factories import run

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]


def complete(owner, name, *results, **more) -> list[int]:
    """Make a mission with these results, and return the ids of its items."""
    mission = make_mission(owner, [f"{name} {number}" for number in range(len(results))], name=name, **more)
    run(mission, *[[result] for result in results])
    search.catch_up(seconds=60)
    return list(mission.items.order_by("index").values_list("pk", flat=True))


@pytest.fixture
def foxes(owner) -> list[int]:
    return complete(owner, "Foxes", "one", "two", "three")


@pytest.fixture
def owls(owner) -> list[int]:
    return complete(owner, "Owls", "four", "five")


@pytest.fixture
def strangers(stranger) -> list[int]:
    return complete(stranger, "Kites", "six")


def mark(web, items, **data):
    answer = web.post(
        "/results/mark", {"item": ",".join(map(str, items)), **data}, headers={"Accept": "application/json"}
    )
    return answer.status_code, answer.json()["message"]


def starred() -> list[int]:
    return sorted(Output.objects.filter(is_starred=True).values_list("item", flat=True))


def tagged(name) -> list[int]:
    return sorted(MissionItem.objects.filter(tags__name=name).values_list("pk", flat=True))


def read(response) -> zipfile.ZipFile:
    content = b"".join(response.streaming_content)
    assert len(content) == int(response["Content-Length"])
    return zipfile.ZipFile(io.BytesIO(content))


def test_results_of_several_missions_are_starred_and_tagged(web, foxes, owls):
    some = [foxes[0], foxes[2], owls[1]]
    assert mark(web, some, starred="1") == (200, "3 results starred.")
    assert starred() == some
    assert mark(web, some[1:], starred="0") == (200, "Star removed from 2 results.")
    assert starred() == some[:1]
    assert mark(web, some, tags="approved, 春", tagged="1") == (200, "3 results tagged.")
    assert tagged("approved") == tagged("春") == some
    assert mark(web, some[:2], tags="APPROVED", tagged="0") == (200, "Tag removed from 2 results.")
    assert tagged("approved") == some[2:]
    assert web.post("/results/mark", {"item": some[0], "starred": "0", "next": "/results?search=x"}).url == (
        "/results?search=x"
    )
    assert starred() == []


def test_impossible_selections_change_nothing(web, foxes):
    for data, message in (
        ({"starred": "1"}, "Select results first."),
        ({"item": "x", "starred": "1"}, "Select results first."),
        ({"item": "1-20000", "starred": "1"}, "Select at most 10,000 results at once."),
        ({"item": "999999999999999999", "starred": "1"}, "These results do not exist any more. Reload the page."),
        ({"item": foxes[0], "tags": " ,", "tagged": "1"}, "Enter a tag first."),
    ):
        answer = web.post("/results/mark", data, headers={"Accept": "application/json"})
        assert (answer.status_code, answer.json()["message"]) == (422, message)
    assert starred() == []


def test_results_of_others_are_neither_seen_nor_changed(web, foxes, strangers):
    assert mark(web, [*foxes, *strangers], starred="1") == (200, "3 results starred.")
    assert mark(web, strangers, tags="mine", tagged="1")[0] == 422
    assert (starred(), tagged("mine")) == (foxes, [])
    for path in ("selection.zip", "use"):
        assert web.post(f"/results/{path}", {"item": strangers}).url == "/results", path


def test_viewer_changes_only_own_results(web, owner, foxes, strangers):
    owner.user_permissions.add(Permission.objects.get(codename="view_mission"))
    message = "3 results tagged. 1 other belongs to somebody else and was left alone."
    assert mark(web, [*foxes, *strangers], tags="seen", tagged="1") == (200, message)
    assert tagged("seen") == foxes
    status, text = mark(web, strangers, starred="1")
    assert (status, "belong to other people" in text, starred()) == (403, True, [])
    assert "Kites/1_Kites-0.txt" in read(web.post("/results/selection.zip", {"item": strangers})).namelist()


def test_selected_results_are_one_archive(web, owner, foxes, owls):
    again = complete(owner, "Owls", "another")
    mark(web, owls, tags="night", tagged="1")
    response = web.post("/results/selection.zip", {"item": f"{foxes[2]},{owls[0]},{owls[1]},{again[0]}"})
    assert response["Content-Disposition"].endswith('.zip"')
    archive = read(response)
    *files, manifest = archive.namelist()
    assert (len(set(files)), manifest) == (4, "manifest.csv")
    contents = {archive.read(name).decode() for name in files}
    assert contents == {"three", "four", "five", "another"}
    assert {name.partition("/")[0] for name in files} == {"Foxes", "Owls", "Owls_2"}
    rows = list(csv.DictReader(io.StringIO(archive.read(manifest).decode("utf-8-sig"))))
    assert {row["file"] for row in rows} == set(files)
    assert sorted((row["mission"], row["tags"]) for row in rows) == [
        ("Foxes", ""),
        ("Owls", ""),
        ("Owls", "night"),
        ("Owls", "night"),
    ]


def test_pictures_of_several_missions_become_input(web, owner, owls):
    first = complete(owner, "Reds", picture(colour="red"))
    second = complete(owner, "Blues", picture(colour="blue"))
    response = web.post("/results/use?task_type=image_to_video", {"item": [*first, *owls, *second]})
    page = web.get(response.url).content.decode()
    assert f"output:{first[0]}/1" in page
    assert f"output:{second[0]}/1" in page
    assert "Reds 0" in page
    assert "Blues 0" in page
    refused = web.post("/results/use", {"item": owls})
    assert "None of these results is a stored image" in str(next(iter(get_messages(refused.wsgi_request))))
