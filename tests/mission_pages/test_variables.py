"""Variables, and texts around prompts: on the form, over the API and in a file."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from drafts.services import new_key
from missions.models import Mission
from tests.missions.api.client import Api

PROMPTS = "a {red|blue} car\na van\na {big|small} {dog|cat}"
SHEET = "prompt,colour,size\na {{colour}} car,red,L\na {{size}} {van|bus},blue,S\n"


def prompts(mission: Mission) -> list[str]:
    return [(mission.params | item.params)["prompt"] for item in mission.items.order_by("index")]


def post(web: Client, action: str = "redraw", **fields: Any) -> Any:
    headers = {"HX-Request": "true"} if action == "preview" else {}
    return web.post("/missions/new", {"action": action, **fields}, headers=headers)


def test_alternatives_are_sent_as_typed_until_variables_are_on(web: Client, db: None):
    form = {"draft": new_key(), "prompts": PROMPTS}
    page = post(web, "preview", **form)
    shown = page.content.decode()
    assert "2 prompts contain alternatives in braces. They are sent as typed." in shown
    assert "Use variables: 7 items" in shown
    typed = page.context["preview"]
    assert typed.count == 3
    page = post(web, "preview", **form, use_variables="on")
    assert "2 prompts have alternatives: 7 items" in page.content.decode()
    assert "Submit 7 items (about ¥0.35)" in page.content.decode()
    assert [item["texts"] for item in page.context["first_items"]][:3] == [["a red car"], ["a blue car"], ["a van"]]
    # The switch changes the quote: what was not shown is not submitted.
    assert post(web, "submit", **form, use_variables="on", quoted_total=typed.quoted_total).status_code == 422
    quote = page.context["preview"].quoted_total
    assert post(web, "submit", **form, use_variables="on", quoted_total=quote).status_code == 302
    assert prompts(Mission.objects.get())[-1] == "a small cat"


def test_cells_fill_the_prompts_of_a_table(web: Client, db: None):
    form = {"draft": new_key(), "use_variables": "on"}
    post(web, "import", **form, file=SimpleUploadedFile("cars.csv", SHEET.encode()))
    fields = form | {"text_after": ", night", "source": "file", "has_header": "on", "header_shown": "1"}
    preview = post(web, "preview", **fields).context["preview"]
    assert (preview.count, preview.problem_count) == (3, 0)
    post(web, "submit", **fields, quoted_total=preview.quoted_total)
    assert prompts(Mission.objects.get()) == ["a red car, night", "a S van, night", "a S bus, night"]
    preview = post(web, "preview", **fields | {"draft": new_key(), "text_after": "{{shape}}"}).context["preview"]
    assert preview.is_empty


def test_an_unknown_column_is_a_problem_of_its_row(web: Client, db: None):
    form = {"draft": new_key(), "use_variables": "on"}
    post(web, "import", **form, file=SimpleUploadedFile("cars.csv", SHEET.replace("{{size}}", "{{shape}}").encode()))
    fields = form | {"source": "file", "has_header": "on", "header_shown": "1"}
    page = post(web, "preview", **fields)
    [problem] = page.context["preview"].row_problems
    assert (problem.origin.line, "Columns: prompt, colour, size." in problem.message) == (3, True)
    preview = post(web, "preview", **fields, leave_out="on").context["preview"]
    assert (preview.count, preview.is_ready) == (1, True)


@pytest.mark.django_db
def test_programs_turn_variables_on(api: Api, settings):
    rows = [{"prompt": "a {{animal}} {by day|at night}", "animal": "fox"}, "{as it is}"]
    body: dict[str, Any] = {"name": "Animals", "task_type": "text_to_image", "config": {"batch_input": rows}}
    rules = {"variables": True, "prefix": "oil painting of"}
    checked = api.post("?validate_only=true", body | rules).json()["data"]
    assert (checked["valid"], checked["total_count"], checked["estimate"]["amount"]) == (True, 3, "0.15")
    assert api.post("", body | rules).status_code == 202
    assert prompts(Mission.objects.get()) == [
        "oil painting of a fox by day",
        "oil painting of a fox at night",
        "oil painting of {as it is}",
    ]
    for fields, field in (
        ({}, "config.batch_input.0.animal"),  # without variables it is an unknown parameter
        ({"variables": True, "config": {"batch_input": ["x", "{{y}}"]}}, "config.batch_input.1.prompt"),
        ({"variables": True, "config": {"batch_input": ["{a|b}" * 40]}}, "config.batch_input"),
    ):
        refused = api.post("", body | fields)
        assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert Mission.objects.count() == 1


@pytest.mark.django_db
def test_a_file_of_the_api_has_columns(api: Api):
    mission = '{"name": "Cars", "task_type": "text_to_image", "variables": true}'
    file = SimpleUploadedFile("cars.csv", SHEET.encode())
    answer = api.client.post("/api/v1/missions/file", {"mission": mission, "file": file})
    assert answer.status_code == 202, answer.content
    assert prompts(Mission.objects.get()) == ["a red car", "a S van", "a S bus"]
