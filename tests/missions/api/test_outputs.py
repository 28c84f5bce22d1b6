"""Result files over the API: the right bytes, to the right person, under headers that make them
harmless.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.test import AsyncClient
from django.utils import timezone

from missions import lifecycle
from missions.models import Mission, Output
from tests.factories import accept, begin, claim, make_mission, picture
from tests.missions.api.client import ROOT, Api

pytestmark = pytest.mark.django_db

CONTENT = picture(size=(60, 40))


def keep(name: str, content: bytes) -> str:
    path = Path(django_settings.RESULTS_ROOT) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return name


@pytest.fixture
def mission(owner, account) -> Mission:
    """Return a mission whose item 1 has two pictures and a text; the second picture is pending."""
    mission = make_mission(owner, [{"prompt": "红色 teapot"}, "another"])
    (attempt_id,) = claim(mission, account)
    begin(attempt_id)
    accept(attempt_id)
    now = timezone.now()
    outputs = [
        lifecycle.NewOutput(url="https://a.example/1.png", extension="png"),
        lifecycle.NewOutput(url="https://a.example/2.png", extension="png"),
        lifecycle.NewOutput(text="<script>alert(1)</script>", extension="txt"),
    ]
    success = lifecycle.Success(outputs=outputs, cost=None, raw={})
    lifecycle.succeed({attempt_id: success}, expires_at=now, first_try_at=now)
    facts = {
        "file": keep(f"missions/{mission.pk}/00001-1-1.png", CONTENT),
        "thumbnail": keep(f"missions/{mission.pk}/00001-1-1.thumb.jpg", b"a small picture"),
        "sha256": "ab" * 32,
        "content_type": "image/png",
        "extension": "png",
        "size_bytes": len(CONTENT),
        "width": 60,
        "height": 40,
    }
    lifecycle.store_outputs({Output.objects.get(index=1).pk: facts})
    return mission


def read(answer: Any) -> bytes:
    return answer.content if not answer.streaming else b"".join(answer.streaming_content)


def path_of(mission: Mission, number: int = 1, more: str = "") -> str:
    return f"/{mission.pk}/items/1/outputs/{number}{more}"


def test_file_is_sent_with_a_readable_name(api: Api, mission: Mission):
    answer = api.get(path_of(mission))
    assert read(answer) == CONTENT
    assert (answer.status_code, answer["Content-Type"], answer["Content-Length"]) == (
        200,
        "image/png",
        str(len(CONTENT)),
    )
    assert answer["Content-Disposition"] == (
        "inline; filename=\"1_-teapot.png\"; filename*=utf-8''1_%E7%BA%A2%E8%89%B2-teapot.png"
    )


@pytest.mark.parametrize("number, more", [(1, ""), (1, "/thumbnail"), (3, "")])
def test_headers_make_results_harmless(number, more, api: Api, mission: Mission):
    answer = api.get(path_of(mission, number, more))
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert answer["Cache-Control"].startswith("private")
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Authorization" in answer["Vary"]
    read(answer)


def test_text_is_sent_as_a_plain_file(api: Api, mission: Mission):
    answer = api.get(path_of(mission, 3))
    assert answer.content == b"<script>alert(1)</script>"
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Content-Disposition"].startswith("attachment; ")


def test_other_types_are_attachments(api: Api, mission: Mission):
    Output.objects.filter(index=1).update(content_type="application/zip", extension="zip")
    answer = api.get(path_of(mission))
    assert (answer["Content-Type"], answer["Content-Disposition"][:10]) == ("application/zip", "attachment")
    read(answer)


def test_urls_of_an_item_lead_to_its_files(api: Api, mission: Mission):
    first, second, text = api.data(f"/{mission.pk}/items/1")["outputs"]
    assert read(api.client.get(first["file_url"])) == CONTENT
    assert read(api.client.get(first["thumbnail_url"])) == b"a small picture"
    assert (second["status"], second["file_url"], second["thumbnail_url"]) == ("pending", None, None)
    assert (text["text"], text["thumbnail_url"]) == ("<script>alert(1)</script>", None)
    assert first["reference"] == Output.objects.get(index=1).reference
    assert (second["reference"], text["reference"]) == (None, None)
    assert (first["width"], first["height"], first["sha256"]) == (60, 40, "ab" * 32)


def test_output_being_fetched_is_not_stored_yet(api: Api, mission: Mission):
    for more in ("", "/thumbnail"):
        answer = api.get(path_of(mission, 2, more))
        assert (answer.status_code, answer.json()["error"]) == (409, "output_not_stored")
        assert int(answer["Retry-After"]) >= 1
    shown = api.data(f"/{mission.pk}")
    assert (shown["files_pending_count"], shown["is_collectable"]) == (1, False)
    lifecycle.lose_output(Output.objects.get(index=2).pk, message="Its address has expired.")
    answer = api.get(path_of(mission, 2))
    assert (answer.status_code, answer.json()["error"], answer.json()["message"]) == (
        410,
        "gone",
        "Its address has expired.",
    )


def test_mission_is_collectable_when_all_is_stored(api: Api, mission: Mission):
    mission.items.filter(index=2).delete()
    Mission.objects.update(total_count=1, pending_count=0, status="completed")
    assert [(m["files_pending_count"], m["is_collectable"]) for m in api.data()["items"]] == [(1, False)]
    Output.objects.filter(index=2).update(status="lost")
    assert [(m["files_pending_count"], m["is_collectable"]) for m in api.data()["items"]] == [(0, True)]


@pytest.mark.parametrize("number, more", [(3, "/thumbnail"), (4, ""), (0, ""), (10**9, ""), ("x", "")])
def test_missing_output_is_not_found(number, more, api: Api, mission: Mission):
    assert api.get(path_of(mission, number, more)).status_code in (404, 422)


def test_file_lost_from_storage_is_not_found(api: Api, mission: Mission):
    (Path(django_settings.RESULTS_ROOT) / Output.objects.get(index=1).file).unlink()
    assert api.get(path_of(mission)).status_code == 404


@pytest.mark.parametrize("more", ["", "/thumbnail"])
def test_other_users_get_404(more, strange_api: Api, mission: Mission, client):
    assert strange_api.get(path_of(mission, 1, more)).status_code == 404
    assert client.get(ROOT + path_of(mission, 1, more)).status_code == 401


def test_unchanged_file_is_304(api: Api, mission: Mission):
    first = api.get(path_of(mission))
    read(first)
    again = api.client.get(ROOT + path_of(mission), headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    thumbnail = api.client.get(ROOT + path_of(mission, 1, "/thumbnail"), headers={"If-None-Match": first["ETag"]})
    assert thumbnail.status_code == 200
    read(thumbnail)


LAST = len(CONTENT) - 1
RANGES = [
    ("bytes=0-9", 0, 9),
    ("bytes=10-19", 10, 19),
    (f"bytes={LAST}-", LAST, LAST),
    ("bytes=5-", 5, LAST),
    ("bytes=-7", LAST - 6, LAST),
    ("bytes=0-99999999", 0, LAST),
    ("bytes=-99999999", 0, LAST),
]


@pytest.mark.parametrize("byte_range, first, last", RANGES)
def test_range_is_served(byte_range, first, last, api: Api, mission: Mission):
    answer = api.client.get(ROOT + path_of(mission), headers={"Range": byte_range})
    assert read(answer) == CONTENT[first : last + 1]
    assert int(answer["Content-Length"]) == last - first + 1
    if (first, last) == (0, LAST):
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer["Content-Range"]) == (206, f"bytes {first}-{last}/{len(CONTENT)}")


@pytest.mark.parametrize(
    "byte_range",
    ["bytes=9-0", "bytes=-", "bytes=0-1,4-5", "items=0-1", "bytes=a-b", "x" * 500],
)
def test_invalid_range_returns_the_whole_file(byte_range, api: Api, mission: Mission):
    answer = api.client.get(ROOT + path_of(mission), headers={"Range": byte_range})
    assert answer.status_code == 200
    assert read(answer) == CONTENT


@pytest.mark.parametrize("byte_range", [f"bytes={LAST + 1}-", "bytes=99999999-99999999", "bytes=-0"])
def test_range_behind_the_end_is_refused(byte_range, api: Api, mission: Mission):
    answer = api.client.get(ROOT + path_of(mission), headers={"Range": byte_range})
    assert (answer.status_code, answer.json()["error"]) == (416, "range_not_satisfiable")
    assert answer["Content-Range"] == f"bytes */{len(CONTENT)}"


def test_range_of_a_changed_file_is_the_whole(api: Api, mission: Mission):
    answer = api.client.get(ROOT + path_of(mission), headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert answer.status_code == 200
    read(answer)


def test_file_is_streamed_under_asgi(api: Api, mission: Mission):
    token = api.client.defaults["HTTP_AUTHORIZATION"]

    async def fetch() -> bytes:
        headers = {"Authorization": token, "Range": "bytes=10-19"}
        answer: Any = await AsyncClient().get(ROOT + path_of(mission), headers=headers)
        assert answer.is_async is False  # Django would collect the whole file
        return b"".join([piece async for piece in answer])

    assert async_to_sync(fetch)() == CONTENT[10:20]
