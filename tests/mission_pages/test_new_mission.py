"""The new-mission page keeps all input, and spends only the price it showed, once."""

from __future__ import annotations

import io
import re
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.utils import timezone

from batch_input.encodings import decode
from batch_input.tables import read_table
from drafts.models import FormDraft
from drafts.services import new_key
from media.models import MediaFile
from missions.models import Mission
from templates_app.models import MissionTemplate
from tests.factories import make_media, make_mission, picture
from tests.interleaving import meanwhile
from tests.xlsx_files import row, sheet, workbook, xlsx

HERE = "/missions/new"
EDIT = {"task_type": "image_to_image", "source": "images"}


@pytest.fixture
def client(owner: User) -> Client:
    return client_of(owner)


@pytest.fixture
def key() -> str:
    return new_key()


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def post(client: Client, key: str, action: str = "redraw", **fields: Any) -> Any:
    return client.post(HERE, {"draft": key, "action": action, **fields})


def typing(client: Client, key: str, **fields: Any) -> Any:
    """Request the preview, as htmx does while somebody types."""
    return client.post(HERE, {"draft": key, "action": "preview", **fields}, headers={"HX-Request": "true"})


def submit(client: Client, key: str, **fields: Any) -> Any:
    """Load the preview, then press its button."""
    quoted_total = post(client, key, **fields).context["preview"].quoted_total
    return post(client, key, "submit", quoted_total=quoted_total, **fields)


def text(response: Any) -> str:
    plain = re.sub(r"<[^>]+>", " ", response.content.decode())
    return re.sub(r"\s+", " ", plain)


def upload(content: bytes, name: str = "rows.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


# --- The page ---


def test_page_requires_sign_in(db: None) -> None:
    assert Client().get(HERE).status_code == 302
    assert Client().get(f"{HERE}/library").status_code == 302


@pytest.mark.parametrize("kind", ["text_to_image", "image_to_image", "text_to_video", "image_to_video"])
def test_each_type_has_its_own_models(client: Client, kind: str) -> None:
    response = client.get(HERE, {"task_type": kind})

    assert response.status_code == 200
    assert response.context["entry"].model.task_type == kind
    assert {model.task_type for model, _price in response.context["models"]} == {kind}


def test_opening_stores_nothing(client: Client) -> None:
    client.get(HERE)

    assert not FormDraft.objects.exists()


def test_an_ended_model_leads_to_its_successor(client: Client, key: str) -> None:
    sora, lite = "rhart-video-s/text-to-video", "rhart-video-v3.1-lite/text-to-video"
    page = text(post(client, key, task_type="text_to_video", model=sora))
    assert "Use Veo 3.1 Lite, low-price channel instead" in page
    response = post(client, key, task_type="text_to_video", model=[sora, lite])  # the list, then the button
    assert response.context["entry"].model.endpoint == lite
    assert "Use Veo" not in text(response)


def test_button_names_items_and_price(client: Client, key: str) -> None:
    page = text(post(client, key, prompts="\n".join(f"prompt {n}" for n in range(240))))

    assert "Submit 240 items (about ¥12.00)" in page
    assert not Mission.objects.exists()


def test_preview_lists_all_errors(client: Client, key: str) -> None:
    response = typing(client, key, prompts="x" * 20_001, repeat="0", not_before="2020-01-01T10:00")

    page = text(response)
    assert "Line 1" in page
    assert "Repeat each item" in page
    assert "in the past" in page
    assert "Fix 3 problems to submit" in page


def test_typing_returns_only_the_preview(client: Client, key: str) -> None:
    response = typing(client, key, prompts="a cat")

    assert "mission-form" not in response.content.decode()
    assert response["HX-Replace-Url"] == f"{HERE}?draft={key}"


def test_unchanged_text_need_not_be_posted(client: Client, key: str) -> None:
    typing(client, key, prompts="a cat\na dog")

    response = typing(client, key, repeat="2")

    assert response.context["preview"].count == 4


# --- Drafts ---


def test_fields_survive_a_reload(client: Client, key: str) -> None:
    typing(client, key, name="Foxes", prompts="a fox", **{"param-aspectRatio": "16:9"})

    response = client.get(HERE, {"draft": key})

    assert response.context["entry"].fields["name"] == "Foxes"
    assert response.context["entry"].params == {"aspectRatio": "16:9"}
    assert "a fox" in text(response)


def test_draft_is_offered_and_can_be_discarded(client: Client, key: str) -> None:
    post(client, key, prompts="a fox in snow")
    assert "a fox in snow" in text(client.get(HERE))

    client.post(f"{HERE}/discard", {"draft": key})

    assert not FormDraft.objects.exists()


def test_draft_that_is_deleted_while_it_is_saved_is_not_found(client: Client, key: str) -> None:
    with meanwhile("UPDATE", "drafts_formdraft", FormDraft.objects.all().delete, is_before=True):
        assert post(client, key, "redraw", prompts="a fox").status_code == 404


def test_draft_is_private(client: Client, key: str, stranger: User) -> None:
    post(client, key, prompts="a secret")

    assert "a secret" not in text(client_of(stranger).get(HERE, {"draft": key}))


def test_refused_form_keeps_its_fields(client: Client, key: str) -> None:
    response = post(client, key, "submit", name="Foxes", prompts="a fox", **{"param-aspectRatio": "3:4"}, repeat="many")

    assert response.status_code == 422
    assert "Nothing was submitted yet" in text(response)
    assert 'value="Foxes"' in response.content.decode()
    assert not Mission.objects.exists()


def test_switching_the_type_keeps_prompts(client: Client, key: str) -> None:
    post(client, key, prompts="a fox")
    post(client, key, **EDIT)

    response = post(client, key, task_type="text_to_image")

    assert response.context["preview"].count == 1


def test_only_chosen_values_move_to_another_model(client: Client, key: str) -> None:
    before = {"shown_model": "rhart-image-v1/text-to-image", **EDIT}

    usual = post(client, key, **before, **{"param-aspectRatio": "3:4"})
    chosen = post(client, key, **before, **{"param-aspectRatio": "21:9"})

    assert usual.context["entry"].params["aspectRatio"] == "auto"
    assert chosen.context["entry"].params["aspectRatio"] == "21:9"


# --- Submit ---


def test_submit_creates_the_mission(client: Client, key: str, owner: User) -> None:
    fields = {"name": "Foxes", "prompts": "a fox\na cat", "repeat": "2", "param-aspectRatio": "1:1", "priority": "10"}

    response = submit(client, key, **fields)

    mission = Mission.objects.get()
    assert response["Location"] == f"/missions/{mission.pk}"
    assert (mission.name, mission.owner, mission.total_count, mission.priority) == ("Foxes", owner, 4, 10)
    assert mission.params == {"aspectRatio": "1:1"}


def test_default_name_is_the_first_prompt(client: Client, key: str) -> None:
    submit(client, key, prompts=f"a  fox {'x' * 300}\na cat")

    name = Mission.objects.get().name
    assert name.startswith("a fox xxx")
    assert name.endswith("… · Text to image")
    assert len(name) < 80


def test_default_name_without_prompts_is_the_type(client: Client, key: str) -> None:
    entry = post(client, key, prompts="").context["entry"]

    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d · Text to image", entry.default_name)


def test_changed_count_is_not_submitted(client: Client, key: str) -> None:
    quoted_total = post(client, key, prompts="a fox").context["preview"].quoted_total

    response = post(client, key, "submit", quoted_total=quoted_total, prompts="a fox\na cat")

    assert response.status_code == 422
    assert "Submit 2 items" in text(response)
    assert not Mission.objects.exists()


def test_second_submit_creates_nothing(client: Client, key: str) -> None:
    first = submit(client, key, prompts="a fox")
    quoted_total = "rhart-image-v1/text-to-image 1 0.05 CNY"

    again = post(client, key, "submit", quoted_total=quoted_total, prompts="a fox")

    assert again["Location"] == first["Location"]
    assert Mission.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_concurrent_submits_create_one_mission(owner: User, key: str) -> None:
    clients = [client_of(owner) for _ in range(3)]
    quoted_total = post(clients[0], key, prompts="a fox\na cat").context["preview"].quoted_total
    places: list[str] = []

    def press(client: Client) -> None:
        places.append(post(client, key, "submit", quoted_total=quoted_total, prompts="a fox\na cat")["Location"])
        connection.close()

    threads = [threading.Thread(target=press, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Mission.objects.count() == 1
    assert places == [f"/missions/{Mission.objects.get().pk}"] * 3


def test_changing_a_submitted_form_starts_another(client: Client, key: str) -> None:
    submit(client, key, prompts="a fox")

    response = post(client, key, prompts="a fox\na cat")

    assert response.context["state"].key != key
    assert client.get(HERE, {"draft": key}).status_code == 302


def test_start_time_is_local(client: Client, key: str) -> None:
    later = (timezone.now() + timedelta(days=2)).replace(second=0, microsecond=0)

    submit(client, key, prompts="a fox", not_before=timezone.localtime(later).strftime("%Y-%m-%dT%H:%M"))

    assert Mission.objects.get().not_before == later
    assert Mission.objects.get().status == "scheduled"


def test_removed_file_stops_the_submit(client: Client, key: str, owner: User) -> None:
    media = make_media(owner)
    fields = EDIT | {"images": media.reference, "param-prompt": "in ink"}
    quoted_total = post(client, key, **fields).context["preview"].quoted_total
    MediaFile.objects.all().delete()

    response = post(client, key, "submit", quoted_total=quoted_total, **fields)

    assert response.status_code == 422
    assert not Mission.objects.exists()


# --- Files ---


def test_chinese_csv_is_imported_and_submitted(client: Client, key: str) -> None:
    content = "编号,提示词,比例\r\n甲,一只狐狸,16:9\r\n乙,一只猫,\r\n".encode("gb18030")
    post(client, key, "import", file=upload(content))

    submit(client, key, source="file", header_shown="1", has_header="on")

    items = Mission.objects.get().items.order_by("index")
    assert [(item.custom_id, (item.mission.params | item.params)["prompt"]) for item in items] == [
        ("甲", "一只狐狸"),
        ("乙", "一只猫"),
    ]
    assert [(item.mission.params | item.params)["aspectRatio"] for item in items] == ["16:9", "3:4"]


def test_meanings_of_columns_can_be_changed(client: Client, key: str) -> None:
    rows = [["one", "two"], ["a fox", "a cat"]]
    response = post(client, key, "import", file=upload(xlsx(rows), "rows.xlsx"))
    assert response.context["preview"].count == 2

    changed = post(client, key, source="file", header_shown="1", **{"column-0": "", "column-1": "prompt"})

    assert [item["prompt"] for item in changed.context["preview"].first_items] == ["two", "a cat"]


def prompts_of(response: Any) -> str:
    return str(response.context["entry"].fields["prompts"])


def test_text_file_replaces_prompts(client: Client, key: str) -> None:
    file = upload("第二\nthird\n".encode("gb18030"), "more.txt")
    response = post(client, key, "import", prompts="first", file=file)
    assert prompts_of(response) == "第二\nthird"
    assert response.context["entry"].batch.source == "prompts"
    assert "“more.txt” replaced 1 prompt." in text(response)

    assert prompts_of(post(client, key, "keep_both")) == "first\n第二\nthird"


def test_replaced_prompts_can_be_restored(client: Client, key: str) -> None:
    for name in ("one", "two"):
        post(client, key, "import", file=upload(f"{name}\n".encode(), f"{name}.txt"))

    restored = post(client, key, "undo_import")

    assert prompts_of(restored) == "one"
    assert restored.context["preview"].report.name == "one.txt"
    assert "replaced" not in text(restored)


def test_second_table_replaces_the_first(client: Client, key: str) -> None:
    post(client, key, "import", file=upload(b"prompt\na fox\n", "a.csv"))

    response = post(client, key, "import", file=upload(b"prompt\na cat\n", "b.csv"))

    assert response.context["preview"].count == 1
    assert "“b.csv” replaced “a.csv”." in text(response)


def test_page_says_what_was_read_and_guessed(client: Client, key: str) -> None:
    content = "prompt_no,text,seed_no,note\r\n7,a fox in snow,3,x\r\n8,an owl --ar 16:9,4,y\r\n"
    page = text(post(client, key, "import", file=upload(content.encode("utf-16"), "a.csv")))

    for part in ("a.csv", "2 rows", "text → Prompt (guessed)", "columns not used: prompt_no", "UTF-16"):
        assert part in page
    assert "guessed from its name" in page
    assert "Prompts with options of other tools, such as “an owl --ar 16:9”: 1." in page


def test_typed_prompts_are_counted(client: Client, key: str) -> None:
    page = text(typing(client, key, prompts="a fox\n\nan owl\n"))

    assert "2 lines · 1 blank line · 11 characters" in page


def test_unread_file_is_shown_before_it_is_paid(client: Client, key: str) -> None:
    quoted_total = post(client, key, prompts="a fox").context["preview"].quoted_total

    response = post(client, key, "submit", quoted_total=quoted_total, prompts="a fox", file=upload(b"prompt\nan owl\n"))

    assert response.status_code == 422
    assert "the file was read just now" in text(response)
    assert not Mission.objects.exists()
    submit(client, key, source="file", header_shown="1", has_header="on")
    assert Mission.objects.get().items.get().params == {"prompt": "an owl"}


def test_unread_image_is_shown_before_it_is_paid(client: Client, key: str, owner: User) -> None:
    fields = EDIT | {"images": make_media(owner).reference, "param-prompt": "in ink"}
    quoted_total = post(client, key, **fields).context["preview"].quoted_total

    response = post(
        client, key, "submit", quoted_total=quoted_total, image_files=[upload(picture(), "a.png")], **fields
    )

    assert response.status_code == 422
    assert response.context["preview"].count == 2
    assert not Mission.objects.exists()


def test_changed_column_must_be_shown_first(client: Client, key: str) -> None:
    content = b"prompt,text\na fox,a cat\n"
    quoted_total = post(client, key, "import", file=upload(content)).context["preview"].quoted_total
    fields = {"source": "file", "header_shown": "1", "has_header": "on", "column-0": "", "column-1": "prompt"}

    assert post(client, key, "submit", quoted_total=quoted_total, **fields).status_code == 422
    assert not Mission.objects.exists()


def test_pasted_cells_become_a_table(client: Client, key: str) -> None:
    cells = "prompt\taspectRatio\na fox\t16:9\nan owl\t1:1\n"

    response = typing(client, key, prompts=cells)

    assert response["HX-Retarget"] == "#mission-form"
    assert response.context["entry"].batch.source == "file"
    assert [item["aspectRatio"] for item in response.context["preview"].first_items] == ["16:9", "1:1"]
    assert "Pasted cells" in text(response)
    lines = post(client, key, "undo_import")
    assert prompts_of(lines).split() == cells.split()
    assert typing(client, key, prompts=cells).context["preview"].count == 3


def test_another_sheet_can_be_read(client: Client, key: str) -> None:
    book = xlsx([["prompt"], ["a fox"]], [["prompt"], ["an owl"], ["a bat"]])
    page = post(client, key, "import", file=upload(book, "a.xlsx"))
    assert page.context["reading"]["sheets"] == ["Sheet1", "Sheet2"]
    assert "Only the sheet “Sheet1” was read." in text(page)

    response = post(client, key, "read_again", sheet="Sheet2")

    assert [item["prompt"] for item in response.context["preview"].first_items] == ["an owl", "a bat"]
    assert response.context["reading"]["sheets"] == ["Sheet2", "Sheet1"]
    assert "Sheet3" in text(post(client, key, "read_again", sheet="Sheet3"))


def test_another_separator_can_be_chosen(client: Client, key: str) -> None:
    page = post(client, key, "import", file=upload(b"a red fox asleep, in snow\na grey owl awake, at night\n", "a.csv"))
    assert [item["prompt"] for item in page.context["preview"].first_items] == [
        "a red fox asleep, in snow",
        "a grey owl awake, at night",
    ]
    assert page.context["reading"]["delimiter"] == "lines"

    response = post(client, key, "read_again", delimiter="comma", source="file", header_shown="1")

    assert [item["prompt"] for item in response.context["preview"].first_items] == [
        "a red fox asleep",
        "a grey owl awake",
    ]
    one_column = post(client, new_key(), "import", file=upload(b"prompt\na fox, asleep\nan owl\n", "a.csv"))
    assert one_column.context["reading"]["delimiter"] == "lines"
    assert [item["prompt"] for item in one_column.context["preview"].first_items] == ["a fox, asleep", "an owl"]
    submit(client, key, source="file", header_shown="1")
    assert FormDraft.objects.get(key=key).file is None
    assert "Choose the file again." in text(post(client, new_key(), "read_again"))


def test_pasted_cells_of_several_lines_are_one_row(client: Client, key: str) -> None:
    response = typing(client, key, prompts='"a fox\nin snow"\nan owl\n"a ""red"" cat"\n')

    prompts = [item["prompt"] for item in response.context["preview"].first_items]
    assert prompts == ["a fox\nin snow", "an owl", 'a "red" cat']
    assert typing(client, new_key(), prompts='"a fox" in snow\n"an owl"\n').context["entry"].batch.source == "prompts"


def test_mission_keeps_what_was_read(client: Client, key: str) -> None:
    post(client, key, "import", file=upload(xlsx([["text", "note"], ["a fox in snow", "x"]]), "foxes.xlsx"))
    submit(client, key, source="file", header_shown="1", has_header="on")

    mission = Mission.objects.get()
    page = text(client.get(f"/missions/{mission.pk}/settings"))

    for part in ("foxes.xlsx", "sheet “Sheet1”", "1 row", "text → Prompt (guessed)", "columns not used: note"):
        assert part in page
    assert mission.input["sheet"] == "Sheet1"
    client.post(f"/missions/{mission.pk}/duplicate")
    assert client.get(f"/missions/{mission.pk}/settings").context["input"].kind == "xlsx"


def test_typed_mission_has_no_file(client: Client, key: str) -> None:
    submit(client, key, prompts="a fox")

    mission = Mission.objects.get()
    assert mission.input is None
    assert client.get(f"/missions/{mission.pk}/settings").context["input"] is None


def test_invalid_rows_can_be_skipped(client: Client, key: str) -> None:
    content = b"prompt,aspectRatio\na fox,1:1\na cat,7:7\n"
    response = post(client, key, "import", file=upload(content))
    assert "Line 3 · aspectRatio" in text(response)

    submit(client, key, source="file", header_shown="1", has_header="on", leave_out="on")

    assert Mission.objects.get().total_count == 1


def test_cell_that_shows_an_error_is_not_paid(client: Client, key: str) -> None:
    rows = row(1, "prompt", "aspectRatio") + row(2, "a seal", '<c t="e"><v>#N/A</v></c>') + row(3, "a crab", "1:1")
    book = workbook([("Batch", "visible", sheet(rows))])

    page = text(post(client, key, "import", file=upload(book, "rows.xlsx")))

    assert "Column B shows #N/A" in page
    submit(client, key, source="file", has_header="on", header_shown="1", leave_out="on", shown_count="1")
    assert [item.params["prompt"] for item in Mission.objects.get().items.all()] == ["a crab"]


def test_half_a_character_does_not_break_the_draft(client: Client, key: str) -> None:
    lines = b'{"prompt": "a seal \\ud83e"}\n{"prompt": "a crab"}\n'

    page = text(post(client, key, "import", file=upload(lines, "rows.jsonl")))

    assert "half of a character" in page
    assert client.get(f"/missions/new?draft={key}").status_code == 200


def test_unreadable_file_is_explained(client: Client, key: str) -> None:
    response = post(client, key, "import", prompts="a fox", file=upload(b"\x89PNG\x00", "photo.csv"))

    assert "not a text file" in text(response)
    assert response.context["preview"].count == 1


def test_large_file_is_not_posted_again(client: Client, key: str) -> None:
    rows = "".join(f"fox number {number} in snow,16:9\n" for number in range(5_000))
    post(client, key, "import", file=upload(f"prompt,aspectRatio\n{rows}".encode()))

    response = typing(client, key, source="file", header_shown="1", has_header="on")

    assert response.context["preview"].count == 5_000
    assert len(response.content) < 20_000


def test_file_can_be_removed(client: Client, key: str) -> None:
    post(client, key, "import", file=upload(b"prompt\na fox\n"))

    assert post(client, key, "forget_file", source="file").context["preview"].is_empty


def test_sample_fits_its_model(client: Client, key: str) -> None:
    response = client.get(f"{HERE}/sample", {"model": "rhart-image-v1/text-to-image"})
    assert "attachment" in response["Content-Disposition"]
    assert decode(response.content).text.startswith("custom_id,prompt,aspectRatio")

    imported = post(client, key, "import", file=upload(response.content, "sample.csv"))
    assert imported.context["preview"].is_ready
    assert len(read_table(io.BytesIO(response.content), name="sample.csv").records) == 3


# --- Images ---


def test_images_can_be_posted(client: Client, key: str) -> None:
    files = [upload(picture(), "a.png"), upload(b"no picture", "b.png"), upload(picture("GIF"), "c.gif")]

    response = post(client, key, "upload_images", image_files=files, **EDIT, **{"param-prompt": "in ink"})

    assert response.context["preview"].count == 2
    assert "b.png: This is not" in text(response)
    assert "c.gif: Converted from GIF to PNG" in text(response)


@pytest.mark.parametrize(
    "action, images_per_item, images, prompts",
    [
        ("remove_image:2", "1", "1.png\n3.png", "one\nthree"),
        ("remove_image:1", "2", "3.png", "two\nthree"),
        ("remove_image:0", "1", "1.png\n2.png\n3.png", "one\ntwo\nthree"),
        ("remove_image:9", "1", "1.png\n2.png\n3.png", "one\ntwo\nthree"),
        ("clear_images", "1", "", "one\ntwo\nthree"),
    ],
)
def test_images_are_removed_with_their_prompts(
    client: Client, key: str, action: str, images_per_item: str, images: str, prompts: str
) -> None:
    fields = {"images": "1.png\n2.png\n3.png", "prompt_each": "each", "image_prompts": "one\ntwo\nthree"}

    response = post(client, key, action, **EDIT, **fields, images_per_item=images_per_item)

    entry = response.context["entry"]
    assert (entry.fields["images"], entry.fields["image_prompts"]) == (images, prompts)


def test_library_is_private(client: Client, owner: User, stranger: User) -> None:
    make_media(owner, name="mine.png")
    make_media(stranger, name="theirs.png")

    page = text(client.get(f"{HERE}/library"))

    assert "mine.png" in page
    assert "theirs.png" not in page
    assert "mine.png" not in text(client.get(f"{HERE}/library", {"search": "other"}))


def test_form_can_start_with_images(client: Client, owner: User) -> None:
    media = make_media(owner)

    response = client.get(HERE, {"media": str(media.pk)})

    assert response.context["tiles"]["count"] == 1
    assert response.context["entry"].model.task_type == "image_to_image"


# --- Repeated lines, templates, duplicates ---


def test_repeated_lines_can_be_removed(client: Client, key: str) -> None:
    assert "1 repeated line" in text(post(client, key, prompts="a fox\na cat\na fox"))

    response = post(client, key, "remove_repeats", prompts="a fox\na cat\na fox")

    assert response.context["preview"].count == 2


def test_template_is_saved_and_loaded(client: Client, key: str) -> None:
    settings = {"new_template": "Wide", "param-aspectRatio": "21:9"}
    assert "“Wide” saved" in text(post(client, key, "save_template", prompts="a fox", **settings))
    template = MissionTemplate.objects.get()
    assert template.config["params"] == {"aspectRatio": "21:9"}

    other = new_key()
    response = post(client, other, "load_template", template=str(template.pk), prompts="a cat")

    assert response.context["entry"].params == {"aspectRatio": "21:9"}
    assert response.context["preview"].count == 1


def test_invalid_template_is_explained(client: Client, key: str) -> None:
    assert "Give the template a name" in text(post(client, key, "save_template"))

    post(client, key, "save_template", new_template="Wide")
    assert "already have a template named Wide" in text(post(client, key, "save_template", new_template="Wide"))


def test_form_can_start_with_own_template(client: Client, owner: User, stranger: User) -> None:
    config = {"model": "", "params": {"aspectRatio": "21:9"}, "batch_fields": ["prompt"]}
    facts = {"name": "Wide", "task_type": "text_to_image", "config": config}
    mine, theirs = (MissionTemplate.objects.create(owner=user, **facts) for user in (owner, stranger))

    assert client.get(HERE, {"template": mine.pk}).context["entry"].params == {"aspectRatio": "21:9"}
    assert client.get(HERE, {"template": theirs.pk}).context["entry"].params == {"aspectRatio": "3:4"}


def test_duplicate_fills_the_form(client: Client, owner: User) -> None:
    mission = make_mission(owner, ["a fox", "a cat"], params={"aspectRatio": "16:9"}, description="For spring")

    page = client.post(f"/missions/{mission.pk}/duplicate", follow=True)

    entry = page.context["entry"]
    assert entry.fields["prompts"] == "a fox\na cat"
    assert entry.params == {"aspectRatio": "16:9"}
    assert (entry.name, entry.description) == ("Teapots (copy)", "For spring")
    assert Mission.objects.count() == 1


def test_duplicate_keeps_rows_as_a_table(client: Client, owner: User) -> None:
    rows = [{"prompt": "a fox\nin snow", "custom_id": "7"}, {"prompt": "a cat", "aspectRatio": "1:1"}]
    mission = make_mission(owner, rows)

    page = client.post(f"/missions/{mission.pk}/duplicate", follow=True)

    preview = page.context["preview"]
    assert preview.is_ready
    assert preview.rows == [{"prompt": "a fox\nin snow", "aspectRatio": "3:4", "custom_id": "7"}, rows[1]]


def test_duplicate_has_the_pictures_and_prompts_it_was_made_from(client: Client, owner: User) -> None:
    one, two = (make_media(owner, name=f"{number}.png", content=picture(size=(40, number))) for number in (30, 31))
    a, b = one.reference, two.reference
    for rows, params, expected in (
        ([[a], [b]], ["white"], {"source": "images", "images": f"{a}\n{b}", "param-prompt": "white"}),
        ([[a], [b]], ["two\nlines"], {"source": "images", "param-prompt": "two\nlines"}),
        ([[a], [b, a]], ["x", "y"], {"source": "images", "prompt_each": "each", "image_prompts": "x\ny"}),
        ([[a], [b], [a], [b]], ["x", "x", "y", "y"], {"source": "combinations", "prompts": "x\ny"}),
        ([[a], [b], [a], [b]], ["x", "y", "x", "y"], {"source": "images", "repeat": "2", "images": f"{a}\n{b}"}),
        ([[a], [a], [a]], ["x", "y", "z"], {"source": "combinations", "images": a}),
    ):
        prompts = params * len(rows) if len(params) == 1 else params
        batch = [{"imageUrls": images, "prompt": text} for images, text in zip(rows, prompts, strict=True)]
        mission = make_mission(owner, batch, task_type="image_to_image", run_first=1)
        page = client.post(f"/missions/{mission.pk}/duplicate", follow=True)
        fields, preview = page.context["entry"].fields, page.context["preview"]
        assert {name: fields[name] for name in expected} == expected
        assert (preview.is_ready, preview.count, preview.estimate) == (True, len(rows), mission.estimated_cost)
        assert preview.run_first == 1
        copies = [(preview.draft.params | row) for row in preview.draft.rows]
        originals = [mission.params | item.params for item in mission.items.order_by("index")]
        assert copies == originals


def test_duplicate_leaves_new_versions_out(client: Client, owner: User) -> None:
    mission = make_mission(owner, ["a fox", "a cat"], priority=5)
    mission.items.filter(index=2).update(first_index=1, version=2)
    page = client.post(f"/missions/{mission.pk}/duplicate", follow=True)
    assert page.context["entry"].fields["prompts"] == "a fox"
    assert page.context["entry"].priority == 10


def test_photos_without_a_prompt_are_one_sentence(client: Client, key: str, owner: User) -> None:
    images = [make_media(owner, name=f"{number}.png", content=picture(size=(40, number))) for number in range(30, 34)]
    fields = EDIT | {"images": "\n".join(file.reference for file in images), "prompt_each": "each"}
    shown = text(typing(client, key, **fields, image_prompts="\nink"))
    assert "3 photos need a prompt" in shown
    assert "Enter a prompt" not in shown
    assert "row problem" not in shown
    page = typing(client, key, **fields, image_prompts="\nink", leave_out="on")
    assert (page.context["preview"].count, page.context["preview"].is_ready) == (1, True)
    page = typing(client, key, **fields, image_prompts="a\nb\nc\nd")
    assert (page.context["preview"].count, "need a prompt" in text(page)) == (4, False)


def test_unfinished_forms_are_one_line_without_empty_ones(client: Client, key: str, db: None) -> None:
    post(client, key, task_type="text_to_video")
    assert "unfinished form" not in text(client.get(HERE))
    post(client, key, task_type="text_to_video", prompts="waves")
    post(client, new_key(), name="茶壶")
    page = text(client.get(HERE))
    assert "2 unfinished forms" in page
    assert "Continue: waves" in page


def test_duplicate_of_unlisted_model_warns(client: Client, owner: User) -> None:
    mission = make_mission(owner, 1, model="acme/unlisted", allow_free_form=True)

    page = client.post(f"/missions/{mission.pk}/duplicate", follow=True)

    assert "acme/unlisted is not available here" in text(page)
    assert page.context["entry"].model.task_type == "text_to_image"


def test_duplicate_requires_the_owner(client: Client, stranger: User) -> None:
    mission = make_mission(stranger, 1)

    assert client.post(f"/missions/{mission.pk}/duplicate").status_code == 404


# --- Invalid requests ---


@pytest.mark.parametrize(
    "fields",
    [
        {"task_type": "nothing", "source": "nothing", "model": "no/model"},
        {"prompts": "a\0b"},
        {"images": "media:99999999999999999999999", **EDIT},
        {"template": "99999999999999999999"},
        {"action": "remove_image:0", "images": "media:1", **EDIT},
        {"action": "remove_image:99", "images": "media:1", **EDIT},
        {"repeat": "-1", "images_per_item": "x", "priority": "high", "not_before": "tomorrow"},
        {"action": "import"},
        {"draft": "../../etc/passwd"},
        {"action": "__class__"},
    ],
)
def test_nonsense_returns_a_page(client: Client, key: str, fields: dict[str, str]) -> None:
    assert client.post(HERE, {"draft": key, "action": "redraw", **fields}).status_code == 200


def test_spending_limit_below_price_is_explained(client: Client, key: str) -> None:
    fields = {"prompts": "a fox\nan owl", "spending_limit": "0.05"}
    assert "will pause at ¥0.05" in text(post(client, key, **fields))
    assert submit(client, key, **fields).status_code == 302
    mission = Mission.objects.get()
    assert str(mission.spending_limit) == "0.050000"
    client.post(f"/missions/{mission.pk}/change", {"name": "m", "priority": "0", "spending_limit": ""})
    mission.refresh_from_db()
    assert mission.spending_limit is None
