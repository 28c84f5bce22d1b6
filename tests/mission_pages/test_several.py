"""Several values and several models for the same rows: counted, priced, and all or none."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from billing.models import SpendingLimit
from drafts.services import new_key
from media.models import MediaFile
from missions import services
from missions.models import Mission
from tests.factories import make_media, make_mission
from tests.missions.api.client import Api

PROMPTS = {"prompts": "a fox\nan owl", "several_shown": "1"}
RATIOS = {"several-aspectRatio-1:1": "on", "several-aspectRatio-16:9": "on"}
SECOND = "also-rhart-image-n-pro/text-to-image"


def post(web: Client, action: str = "redraw", **fields: Any) -> Any:
    headers = {"HX-Request": "true"} if action == "preview" else {}
    return web.post("/missions/new", {"action": action, **fields}, headers=headers)


def params(mission: Mission) -> list[tuple[str, str]]:
    rows = [mission.params | item.params for item in mission.items.order_by("index")]
    return [(row["prompt"], row["aspectRatio"]) for row in rows]


def test_rows_are_made_with_each_ticked_value(web: Client, db: None):
    form = {"draft": new_key(), **PROMPTS}
    one = post(web, "preview", **form).context["preview"]
    page = post(web, "preview", **form, **RATIOS)
    assert "Every row with each of: Aspect ratio 1:1, 16:9" in page.content.decode()
    preview = page.context["preview"]
    assert (preview.count, preview.estimate) == (4, 2 * one.estimate)
    assert post(web, "submit", **form, **RATIOS, quoted_total=one.quoted_total).status_code == 422
    post(web, "submit", **form, **RATIOS, quoted_total=preview.quoted_total)
    assert params(Mission.objects.get()) == [
        ("a fox", "1:1"), ("a fox", "16:9"), ("an owl", "1:1"), ("an owl", "16:9"),
    ]  # fmt: skip


def test_boxes_have_the_labels_of_the_choices(web: Client, db: None):
    ticked = {"model": "rhart-image-g-2-official/text-to-image", "several-quality-high": "on"}
    page = post(web, draft=new_key(), **PROMPTS, **ticked).content.decode()
    assert 'name="several-quality-high" checked><span>High</span>' in page
    assert "Every row with each of: Quality High" in page


def test_an_unticked_value_is_gone(web: Client, db: None):
    key = new_key()
    post(web, draft=key, **PROMPTS, **RATIOS)
    assert post(web, draft=key, **PROMPTS).context["preview"].count == 2


def test_several_models_are_missions_of_one_group(web: Client, db: None):
    form = {"draft": new_key(), **PROMPTS, "name": "Animals", SECOND: "on"}
    page = post(web, "preview", **form)
    preview = page.context["preview"]
    total = sum((each.estimate for each in preview.all), Decimal(0))
    assert [each.count for each in preview.all] == [2, 2]
    assert f"Submit 4 items in 2 missions (about ¥{total:.2f})" in page.content.decode()
    assert post(web, "submit", **form, quoted_total=preview.quoted_total).status_code == 302
    first, second = Mission.objects.order_by("pk")
    assert first.group == second.group is not None
    assert (first.model, second.model) == ("rhart-image-v1/text-to-image", SECOND.removeprefix("also-"))
    assert {first.name.split(" · ")[0], second.name.split(" · ")[0]} == {"Animals"}
    assert (first.total_count, second.total_count) == (2, 2)
    assert f'href="/missions/{second.pk}"' in web.get(f"/missions/{first.pk}").content.decode()
    post(web, "submit", **form, quoted_total=preview.quoted_total)  # a second click
    assert Mission.objects.count() == 2


def test_all_models_are_submitted_or_none(web: Client, owner: User, monkeypatch):
    form = {"draft": new_key(), **PROMPTS, SECOND: "on"}
    quote = post(web, "preview", **form).context["preview"].quoted_total
    create = services.create_mission

    def fail_at_the_second(draft: Any, **more: Any) -> Mission:
        if Mission.objects.exists():
            raise services.MissionInvalid([])
        return create(draft, **more)

    monkeypatch.setattr(services, "create_mission", fail_at_the_second)
    assert post(web, "submit", **form, quoted_total=quote).status_code == 422
    assert not Mission.objects.exists()
    monkeypatch.undo()
    SpendingLimit.objects.create(user=owner, amount=Decimal("0.15"), currency="CNY")
    preview = post(web, "preview", **form).context["preview"]
    assert (preview.is_ready, all(other.is_ready for other in preview.others)) == (False, preview.others[0].is_ready)
    post(web, "submit", **form, quoted_total=preview.quoted_total)
    assert not Mission.objects.exists()


def test_a_model_that_cannot_make_the_rows_says_why(web: Client, owner: User):
    photos: list[MediaFile] = [make_media(owner, name="a.png")]
    form = {"draft": new_key(), "task_type": "image_to_image", "source": "images", "several_shown": "1"}
    form |= {"images": "\n".join(file.reference for file in photos), "param-prompt": "x" * 3000}
    boxes = [box["name"] for box in post(web, **form).context["also"]]
    page = post(web, "preview", **form, **dict.fromkeys(boxes[:9], "on"))
    preview = page.context["preview"]
    assert len(preview.others) == min(len(boxes), 9)
    broken = [each for each in preview.others if not each.is_ready]
    assert preview.is_ready == (not broken)


@pytest.mark.django_db
def test_programs_vary_parameters(api: Api):
    rows = ["a fox", {"prompt": "an owl", "aspectRatio": "3:4"}]
    body: dict[str, Any] = {"name": "Animals", "task_type": "text_to_image", "config": {"batch_input": rows}}
    answer = api.post("", body | {"variations": {"aspectRatio": ["1:1", "16:9"]}})
    assert answer.json()["data"]["total_count"] == 3
    assert params(Mission.objects.get()) == [("a fox", "1:1"), ("a fox", "16:9"), ("an owl", "3:4")]
    cases: list[dict[str, list[str]]] = [
        {"aspectRatio": ["7:7"]},
        {"aspectRatio": []},
        {"oops": ["1"]},
        {"prompt": ["x"]},
    ]
    for variations in cases:
        refused = api.post("", body | {"variations": variations})
        [name] = variations
        assert [error["field"] for error in refused.json()["errors"]] == [f"variations.{name}"]
    assert Mission.objects.count() == 1


def test_missions_alone_have_no_group(owner: User):
    assert make_mission(owner, 1).group is None
