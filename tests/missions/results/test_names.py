"""Names of result files: of photos, own ids, numbers and prompts; the same everywhere."""

from __future__ import annotations

import csv
import io
import zipfile
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from media.services import store_upload
from missions import services
from missions.models import Mission, Output
from missions.results import export, names
from missions.results.zip_archive import Bundle
from missions.services import MissionInvalid
from providers import provider_accounts
from tests import result_factories
from tests.factories import claim, make_media, make_mission, picture, refuse

EDIT = {"task_type": "image_to_image", "params": {"prompt": "a white background"}}


def upload(owner: User, *file_names: str) -> list[str]:
    """Store different images without decoding them, and return their references."""
    return [
        make_media(owner, content=f"{number} {name}".encode(), name=name).reference
        for number, name in enumerate(file_names)
    ]


def stems(mission: Mission) -> list[str]:
    return [names.stem_of(item) for item in mission.items.order_by("index")]


def photo_rows(references: list[str]) -> list[dict[str, Any]]:
    return [{"imageUrls": [reference]} for reference in references]


def test_results_of_photos_have_their_names(owner: User) -> None:
    photos = ["IMG_4003.JPG", "商品 02 正面.jpg", "shirt.v2.png", "CON.png"]
    mission = make_mission(owner, photo_rows(upload(owner, *photos)), **EDIT)
    assert mission.file_name_pattern == "{image}"
    assert stems(mission) == ["IMG_4003", "商品 02 正面", "shirt.v2", "CON_"]
    assert [names.source_names(item)[0] for item in mission.items.order_by("index")] == photos


def test_200_photos_give_200_matching_names(owner: User) -> None:
    photos = [f"IMG_{number}.jpg" for number in range(4000, 4200)]
    mission = make_mission(owner, photo_rows(upload(owner, *photos)), **EDIT)
    assert [f"{stem}.jpg" for stem in stems(mission)] == photos


def test_a_photo_that_comes_again_has_its_last_name(owner: User) -> None:
    for name in ("IMG_1.png", "folder/SKU-77.png"):
        reference = store_upload(owner=owner, file=io.BytesIO(picture()), name=name).media.reference
    assert stems(make_mission(owner, photo_rows([reference]), **EDIT)) == ["SKU-77"]


def test_usual_patterns(owner: User) -> None:
    one, two = upload(owner, "a.jpg", "b.jpg")
    twice = [{"imageUrls": [image], "prompt": text} for text in ("red", "blue") for image in (one, two)]
    table: list[tuple[list[Any], dict[str, Any], list[str]]] = [
        (["a red fox", "An Owl"], {}, ["1_a-red-fox", "2_An-Owl"]),
        (["fox"] * 10, {}, [f"{number:02d}_fox" for number in range(1, 11)]),
        ([{"prompt": "fox", "custom_id": "A/1"}, "owl"], {}, ["A_1", "2_owl"]),
        (["fox"], {"repeat": 2}, ["1_fox", "2_fox"]),
        (["!?", "fox"], {}, ["1", "2_fox"]),
        (twice, {"task_type": "image_to_image"}, ["a_red", "b_red", "a_blue", "b_blue"]),
        (photo_rows([one, one]), EDIT, ["1_a-white-background", "2_a-white-background"]),
        ([{"imageUrls": ["https://a.example/x/cat%201.png?w=1"]}], EDIT, ["cat 1"]),
    ]
    for rows, more, expected in table:
        assert stems(make_mission(owner, rows, **more)) == expected


def test_a_pattern_may_name_columns_and_metadata(owner: User) -> None:
    more: dict[str, Any] = {
        "params": {"aspectRatio": "1:1"},
        "metadata": {"order": 77},
        "headings": {"--": "", "Product name": "", "比例": "aspectRatio"},
        "origins": [{"cells": {"Product name": "Mug"}}, {"cells": {"--": "of another column"}}],
    }
    table = {
        "{order}-{product_name}-{index}": ["77-Mug-1", "77-2"],
        "{比例} {prompt}": ["1_1 fox", "1_1 owl"],
        "{aspectRatio}": ["1_1", "1_1_2"],
        "{Product name}": ["Mug", "2_owl"],
    }
    for pattern, expected in table.items():
        assert stems(make_mission(owner, ["fox", "owl"], file_name_pattern=pattern, **more)) == expected


def test_an_unknown_placeholder_is_refused(owner: User) -> None:
    with pytest.raises(MissionInvalid) as refused:
        make_mission(owner, 1, file_name_pattern="{sku}_{index}")
    (error,) = refused.value.errors
    assert error.field == "file_name_pattern"
    assert error.message.startswith("There is no {sku} here. You can use: {image}, {custom_id}, {prompt}, {index},")


def test_a_file_has_the_same_name_everywhere(owner: User, client: Client) -> None:
    mission = make_mission(owner, photo_rows(upload(owner, "IMG_4003.JPG", "IMG_4004.JPG")), **EDIT)
    result_factories.run(mission, [picture(), picture(colour="blue")])
    expected = ["IMG_4003.png", "IMG_4003-2.png"]
    first_zip = b"".join(Bundle(mission))
    result_factories.run(mission, [picture()])
    services.make_again(mission_id=mission.pk, indexes=[1], actor="user:1")
    result_factories.run(mission, [picture()])
    archive = zipfile.ZipFile(io.BytesIO(b"".join(Bundle(mission, has_all_versions=True))))
    assert zipfile.ZipFile(io.BytesIO(first_zip)).namelist() == [*expected, export.MANIFEST]
    assert archive.namelist() == [*expected, "IMG_4003_v2.png", "IMG_4004.png", export.MANIFEST]
    manifest = list(csv.DictReader(io.StringIO(archive.read(export.MANIFEST).decode("utf-8-sig"))))
    assert [(row["file"], row["source"]) for row in manifest[:2]] == [(name, "IMG_4003.JPG") for name in expected]

    client.force_login(owner)
    base = f"/api/v1/missions/{mission.pk}"
    items = client.get(f"{base}/items").json()["data"]["items"]
    assert [output["file_name"] for output in items[0]["outputs"]] == expected
    assert items[0]["source_names"] == ["IMG_4003.JPG"]
    assert 'filename="IMG_4003-2.png"' in client.get(f"{base}/items/1/outputs/2")["Content-Disposition"]
    gallery = client.get(f"/missions/{mission.pk}?view=batch").content.decode()
    assert "IMG_4004.png" in gallery
    assert "IMG_4004.JPG · a white background" in gallery


def test_a_result_as_input_keeps_the_photos_name(owner: User) -> None:
    mission = make_mission(owner, photo_rows(upload(owner, "IMG_4003.JPG")), **EDIT)
    result_factories.run(mission, [picture(), picture()])
    references = [output.reference for output in Output.objects.order_by("index")]
    rows = photo_rows(references)
    assert stems(make_mission(owner, rows, **EDIT)) == ["IMG_4003", "IMG_4003_2"]


def test_missions_of_older_releases_keep_their_names(owner: User) -> None:
    mission = make_mission(owner, ["a red fox", {"prompt": "x", "custom_id": "B 2"}])
    mission.items.update(file_name="", origin=None)
    assert stems(mission) == ["0001_a-red-fox", "0002_B-2"]


def test_another_pattern_renames_all_files(owner: User) -> None:
    mission = make_mission(owner, photo_rows(upload(owner, "b.jpg", "a.jpg")), **EDIT)
    result_factories.run(mission, [picture()])
    services.make_again(mission_id=mission.pk, indexes=[1], actor="user:1")
    mission.items.update(file_name="", origin=None)
    assert services.example_names(mission, "{index}-{image}") == ["1-b.png", "2-a.png"]
    services.change_mission(mission_id=mission.pk, file_name_pattern="{index}-{image}")
    assert stems(mission) == ["1-b", "2-a", "1-b_v2"]
    with pytest.raises(MissionInvalid):
        services.change_mission(mission_id=mission.pk, file_name_pattern="{sku}")
    mission.refresh_from_db()
    assert mission.file_name_pattern == "{index}-{image}"
    services.change_mission(mission_id=mission.pk, file_name_pattern="")
    assert stems(mission) == ["b", "a", "b_v2"]


def test_another_prompt_or_photo_is_in_the_name(owner: User) -> None:
    mission = make_mission(owner, ["bad words", "owl"])
    refuse(claim(mission, provider_accounts.environment_account())[0], again=False)
    services.edit_failed(mission_id=mission.pk, params={1: {"prompt": "good words"}}, actor="user:1")
    assert stems(mission) == ["1_good-words", "2_owl"]
    services.retry_item(item=mission.items.get(index=1), params={"prompt": "a fox"}, actor="user:1")
    assert stems(mission) == ["1_a-fox", "2_owl"]

    first, second = upload(owner, "a.jpg", "b.jpg")
    mission = make_mission(owner, photo_rows([first]), **EDIT)
    result_factories.run(mission, [picture()])
    services.make_again(mission_id=mission.pk, indexes=[1], params={"imageUrls": [second]}, actor="user:1")
    assert stems(mission) == ["a", "a_v2"]
    assert names.source_names(mission.items.get(index=2)) == ["b.jpg"]


def test_names_without_prompts_show_ids_and_photos(owner: User) -> None:
    ids = ("A-1", "", "4", ".")
    mission = make_mission(owner, [{"prompt": "secret"} | ({"custom_id": own} if own else {}) for own in ids])
    result_factories.run(mission, [picture(), picture()], *[[picture()]] * 3)
    outputs = Output.objects.select_related("item__mission").order_by("item", "index")
    shown = [names.file_name_without_prompt(output.item, output) for output in outputs]
    assert shown == ["A-1.png", "A-1-2.png", "item_2.png", "4.png", "item_4.png"]
    services.change_mission(mission_id=mission.pk, file_name_pattern="{prompt}")
    shown = [names.file_name_without_prompt(output.item, output) for output in outputs.all()]
    assert shown == ["1.png", "1-2.png", "2.png", "3.png", "4.png"]
