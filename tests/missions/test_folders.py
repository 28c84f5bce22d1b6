"""Folders of missions."""

from __future__ import annotations

import pytest

from missions import selectors
from missions.models import Mission
from tests.factories import make_mission

pytestmark = pytest.mark.django_db


def names(page) -> list[str]:
    return [card.mission.name for card in page.context["cards"]]


def test_missions_are_kept_in_folders(web, owner, stranger):
    spring = make_mission(owner, 1, name="Tea")
    make_mission(owner, 1, name="Fox")
    other = make_mission(stranger, 1, name="Car")
    Mission.objects.filter(pk=other.pk).update(folder="Private")
    assert "All folders" not in web.get("/missions").content.decode()

    form = {"name": "Tea", "folder": "  Spring   fair ", "priority": "0"}
    assert web.post(f"/missions/{spring.pk}/change", form).status_code == 302
    page = web.get("/missions")
    assert sorted(names(page)) == ["Fox", "Tea"]
    assert "Spring fair" in page.content.decode()
    assert "Private" not in page.content.decode()
    assert names(web.get("/missions?folder=Spring fair")) == ["Tea"]
    assert names(web.get("/missions?folder=Private")) == []
    assert selectors.folders_of(owner.pk) == ["Spring fair"]
    assert 'value="Spring fair"' in web.get(f"/missions/{spring.pk}/settings").content.decode()

    assert web.post(f"/missions/{spring.pk}/change", form | {"folder": ""}).status_code == 302
    assert selectors.folders_of(owner.pk) == []


def test_folders_in_the_api(api, owner):
    mission = make_mission(owner, 1)
    make_mission(owner, 1)
    assert api.send("patch", f"/{mission.pk}", {"folder": "Spring"}).status_code == 200
    assert [row["folder"] for row in api.data("", folder="Spring")["items"]] == ["Spring"]
    assert len(api.data("")["items"]) == 2
    assert api.send("patch", f"/{mission.pk}", {"folder": "x" * 101}).status_code == 422
