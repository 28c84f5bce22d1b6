"""``POST /missions/group``: the same rows with several models, all or none."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from billing.models import SpendingLimit
from missions import services
from missions.models import Mission
from tests.factories import check_mission
from tests.missions.api.client import Api, errors_of, nothing_is_stored

pytestmark = pytest.mark.django_db

CHEAP, PRO = "rhart-image-v1/text-to-image", "rhart-image-n-pro/text-to-image"


def body(*rows: Any, models: Any = None, config: Any = None, **more: Any) -> dict[str, Any]:
    shared = {"aspectRatio": "1:1", "batch_input": list(rows) or ["a fox", "an owl"]} | (config or {})
    chosen = models or [{"model": CHEAP}, {"model": PRO, "config": {"resolution": "4k"}}]
    return {"name": "Animals", "task_type": "text_to_image", "config": shared, "models": chosen} | more


@pytest.mark.postgresql
def test_one_request_makes_a_mission_for_each_model(api: Api):
    checked = api.post("/group?validate_only=true", body(run_first=1)).json()["data"]
    assert (checked["valid"], checked["total_count"], checked["estimate"]["amount"]) == (True, 4, "1.10")
    assert [part["first_estimate"]["amount"] for part in checked["missions"]] == ["0.05", "0.50"]
    assert nothing_is_stored()
    key = {"Idempotency-Key": "animals-1"}
    answer = api.post("/group", body(spending_limit="2.00"), **key)
    assert answer.status_code == 202
    data = answer.json()["data"]
    assert (data["total_count"], data["estimate"]) == (4, {"amount": "1.10", "currency": "CNY"})
    first, second = Mission.objects.order_by("pk")
    assert [part["api_mission_id"] for part in data["missions"]] == [first.pk, second.pk]
    assert [part["estimate"]["amount"] for part in data["missions"]] == ["0.10", "1.00"]
    assert (first.model, second.model) == (CHEAP, PRO)
    assert first.group == second.group == data["group"]
    assert first.params | {"resolution": "4k"} == second.params
    assert first.spending_limit == second.spending_limit == Decimal(2)
    assert first.name != second.name
    assert {first.name.split(" · ")[0], second.name.split(" · ")[0]} == {"Animals"}
    again = api.post("/group", body(spending_limit="2.00"), **key)
    assert (again.json(), again["Idempotent-Replayed"]) == (answer.json(), "true")
    assert Mission.objects.count() == 2
    for mission in (first, second):
        check_mission(mission.pk)
    api.post("/group", body(models=[{"model": CHEAP}]))
    listed = api.data("", group=data["group"])["items"]
    assert {mission["api_mission_id"] for mission in listed} == {first.pk, second.pk}


def test_a_refusal_names_the_model(api: Api):
    both = [{"model": CHEAP}, {"model": PRO}]
    cases: list[tuple[dict[str, Any], dict[str, str]]] = [
        (body(models=[{"model": CHEAP}, {"model": "oops"}]), {"models.1.model": "oops"}),
        (body(models=[{"model": CHEAP}, {"model": CHEAP}]), {"models.1.model": "twice"}),
        (body(models=[{"model": PRO, "config": {"resolution": "9k"}}]), {"models.0.config.resolution": "1k"}),
        (body(models=[{"model": PRO, "config": {"batch_input": ["x"]}}]), {"models.0.config.batch_input": ""}),
        (body(models=both, config={"resolution": "1k"}), {"config.resolution": f"{CHEAP}: "}),
        (body("a fox", {"prompt": "an owl", "resolution": "1k"}), {"config.batch_input.1.resolution": f"{CHEAP}: "}),
        (body(config={"aspectRatio": "7:7"}), {"config.aspectRatio": ""}),
        (body(name=" "), {"name": ""}),
        (body(config={"batch_input": []}), {"config.batch_input": ""}),
        (body(models=[{"model": CHEAP, "modle": PRO}]), {"models.0.modle": ""}),
        (body() | {"models": []}, {"models": ""}),
        (body(model=CHEAP), {"model": ""}),
    ]
    for request, expected in cases:
        errors = errors_of(api.post("/group", request))
        assert set(errors) == set(expected), request
        for name, part in expected.items():
            assert part in errors[name], request
        checked = api.post("/group?validate_only=true", request).json()["data"]
        assert {error["field"] for error in checked["errors"]} == set(expected), request
        assert (checked["valid"], checked["estimate"]) == (False, None)
    assert nothing_is_stored()


@pytest.mark.postgresql
def test_the_owners_limit_covers_all_or_nothing_starts(api: Api, owner, monkeypatch):
    SpendingLimit.objects.create(user=owner, amount=Decimal("1.05"), currency="CNY")
    assert "1.10" in errors_of(api.post("/group", body()))["config.batch_input"]
    assert nothing_is_stored()
    SpendingLimit.objects.update(amount=Decimal("1.10"))
    opened: list[Any] = []

    def fail_at_the_second(mission: Mission, **more: Any) -> None:
        opened.append(mission)
        if len(opened) == 2:
            raise services.MissionInvalid([])

    with monkeypatch.context() as patch:
        patch.setattr("missions.lifecycle.open_mission", fail_at_the_second)
        refused = api.post("/group", body(), **{"Idempotency-Key": "k"})
    assert (refused.status_code, len(opened)) == (422, 2)
    assert nothing_is_stored()
    assert api.post("/group", body(), **{"Idempotency-Key": "k"}).status_code == 202
