"""Links that show results to people without an account."""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.audit.models import AuditEntry
from accounts.people import set_active
from missions import services as missions
from missions.models import Mission, Output
from sharing import services
from sharing.models import ShareLink
from tests.factories import make_media, make_mission
from tests.result_factories import run

pytestmark = pytest.mark.django_db

PNG = b"\x89PNG made of bytes "


@pytest.fixture
def mission(owner) -> Mission:
    """Return a mission with four results: three files and a text. Prompts and cost are secret."""
    mission = make_mission(owner, [f"secret fox {number}" for number in range(1, 6)], name="Foxes")
    run(mission, [PNG + b"1"], [PNG + b"2"], [PNG + b"3"], ["a poem"])
    mission.refresh_from_db()
    return mission


@pytest.fixture
def client() -> Client:
    """Return the browser of somebody without an account."""
    return Client()


def share(mission, **values) -> ShareLink:
    return services.create_link(mission=mission, creator=mission.owner, **values)


def numbers(response) -> list[int]:
    return [view.item.index for view in response.context["results"]]


def starred() -> set[int]:
    return set(Output.objects.filter(is_starred=True).values_list("item__index", flat=True))


def pick(client, link, index, starred="1"):
    values = {"item": index, "starred": starred}
    return client.post(f"/shared/{link.token}/picks", values, headers={"Accept": "application/json"})


def test_page_without_an_account(client, mission):
    link = share(mission, title="For Ann", message="Please choose.")
    page = client.get(f"/shared/{link.token}")
    text = page.content.decode()
    assert page.status_code == 200
    assert numbers(page) == [1, 2, 3, 4]
    assert "For Ann" in text
    assert "Please choose." in text
    for hidden in ("secret fox", "¥", mission.owner.username, 'href="/missions'):
        assert hidden not in text, hidden
    assert page["X-Robots-Tag"] == "noindex, nofollow"
    assert client.get(f"/shared/{link.token}/1/1").getvalue() == PNG + b"1"
    assert client.get(f"/shared/{link.token}/4/1").content == b"a poem"
    link.refresh_from_db()
    assert link.opened_count == 1


def test_prompts_are_shown_if_wanted(client, mission):
    assert "secret fox 2" in client.get(f"/shared/{share(mission, shows_prompts=True).token}").content.decode()


def test_photos_are_named(client, owner):
    file = make_media(owner, name="IMG_4003.JPG")
    rows = [{"imageUrls": [file.reference]}, {"imageUrls": [file.reference], "custom_id": "A-7"}]
    mission = make_mission(owner, rows, task_type="image_to_image", params={"prompt": "a secret background"})
    run(mission, [PNG + b"1"], [PNG + b"2"])
    page = client.get(f"/shared/{share(mission).token}").content.decode()
    assert page.count("<dt>Source</dt><dd><bdi>IMG_4003.JPG</bdi></dd>") == 2
    assert "<bdi>A-7</bdi> · <bdi>IMG_4003.JPG</bdi>" in page
    assert "a secret background" not in page


def test_selection_shows_nothing_else(client, mission):
    link = share(mission, indexes=[2, 4])
    assert numbers(client.get(f"/shared/{link.token}")) == [2, 4]
    assert client.get(f"/shared/{link.token}/2/1").status_code == 200
    for index in (1, 3, 5, 99):
        assert client.get(f"/shared/{link.token}/{index}/1").status_code == 404, index
        assert pick(client, link, index).status_code == 404, index
    assert starred() == set()


def test_pages_of_many_results(client, mission, monkeypatch):
    monkeypatch.setattr("sharing.client_views.RESULTS_PER_PAGE", 2)
    for link in (share(mission), share(mission, indexes=[1, 2, 3, 4])):
        first = client.get(f"/shared/{link.token}/tiles")
        assert numbers(first) == [1, 2]
        rest = client.get(f"/shared/{link.token}/tiles?view=&after={first.context['page'].after}")
        assert (numbers(rest), rest.context["page"].after) == ([3, 4], "")


def test_link_that_no_longer_works(client, mission):
    def end_by_deletion(link):
        Mission.objects.filter(pk=mission.pk).update(delete_requested_at=timezone.now())

    endings = {
        "expired": (lambda link: ShareLink.objects.update(expires_at=timezone.now()), 410),
        "withdrawn": (services.withdraw, 410),
        "creator is inactive": (lambda link: set_active(mission.owner, False), 410),
        "mission deleted": (end_by_deletion, 404),
    }
    for name, (end, status) in endings.items():
        ShareLink.objects.all().delete()
        type(mission.owner).objects.update(is_active=True)
        link = share(mission)
        there = f"/shared/{link.token}"
        assert client.get(there).status_code == 200, name
        end(link)
        for path in ("", "/tiles", "/results.zip", "/1/1", "/1/1/small"):
            assert client.get(there + path).status_code == status, (name, path)
        assert pick(client, link, 1).status_code == status, name
    assert starred() == set()


def test_tokens_cannot_be_made_up(client, mission):
    link = share(mission)
    number, _dot, signature = link.token.partition(".")
    other = share(mission)
    for token in (
        "x",
        str(link.pk),
        f"{link.pk}-{link.nonce}",
        f"{number}.{signature[:-1]}x",
        f"{other.token.partition('.')[0]}.{signature}",
        f"{number}.",
    ):
        assert client.get(f"/shared/{token}").status_code == 404, token


def test_stars_reach_the_mission(client, mission):
    link = share(mission)
    assert pick(client, link, 2).json() == {"count": 1}
    assert pick(client, link, 2).json() == {"count": 1}
    assert pick(client, link, 3).json() == {"count": 2}
    assert starred() == {2, 3}
    assert numbers(client.get(f"/shared/{link.token}?view=starred")) == [2, 3]
    assert pick(client, link, 2, starred="0").json() == {"count": 1}
    assert starred() == {3}


def test_stars_of_others_stay(client, mission):
    missions.star_results(mission_id=mission.pk, indexes=[1], is_starred=True)
    first, second = share(mission), share(mission)
    pick(client, first, 1)
    pick(client, first, 1, starred="0")
    assert starred() == {1}  # it was there before
    pick(client, first, 2)
    pick(client, second, 2)
    pick(client, first, 2, starred="0")
    assert starred() == {1, 2}  # the second link still has it
    pick(client, second, 2, starred="0")
    assert starred() == {1}


def test_picks_can_be_refused(client, mission):
    link = share(mission, allows_picks=False)
    assert pick(client, link, 1).status_code == 409
    assert ">Starred" not in client.get(f"/shared/{link.token}").content.decode()
    assert starred() == set()


def test_archive_has_files_alone(client, mission):
    link = share(mission, indexes=[1, 3])
    answer = client.get(f"/shared/{link.token}/results.zip")
    archive = zipfile.ZipFile(io.BytesIO(answer.getvalue()))
    assert len(archive.namelist()) == 2
    assert {archive.read(name) for name in archive.namelist()} == {PNG + b"1", PNG + b"3"}
    whole = zipfile.ZipFile(io.BytesIO(client.get(f"/shared/{share(mission).token}/results.zip").getvalue()))
    assert len(whole.namelist()) == 4
    assert not any("manifest" in name for name in whole.namelist())
    without = share(mission, allows_download=False)
    assert client.get(f"/shared/{without.token}/results.zip").status_code == 404
    assert "results.zip" not in client.get(f"/shared/{without.token}").content.decode()


def test_owner_creates_and_withdraws(web, client, mission):
    there = f"/missions/{mission.pk}/links"
    page = web.get(f"/missions/{mission.pk}").content.decode()
    assert f'href="{there}"' in page
    assert f'formaction="{there}/new"' in page
    form = {"link-title": "Picks", "link-days": "7", "link-allows_picks": "on"}
    asked = web.post(f"{there}/new", {"item": "1-2"})
    assert "Share 2 selected results" in asked.content.decode()
    assert not ShareLink.objects.exists()
    assert web.post(f"{there}/new", form | {"item": "1-2"}).status_code == 302
    link = ShareLink.objects.get()
    assert (link.rows, link.title, link.allows_download, link.allows_picks) == ([1, 2], "Picks", False, True)
    assert timedelta(days=6.9) < link.expires_at - timezone.now() < timedelta(days=7.1)
    assert f"/shared/{link.token}" in web.get(there).content.decode()
    assert web.post(f"{there}/{link.pk}/withdraw").status_code == 302
    assert client.get(f"/shared/{link.token}").status_code == 410
    verbs = AuditEntry.objects.order_by("pk").values_list("verb", flat=True)
    assert list(verbs)[-2:] == ["mission.share", "mission.unshare"]


def test_selecting_all_but_some(web, mission):
    form = {"link-days": "7", "all": "1", "view": "batch", "item": "2"}
    web.post(f"/missions/{mission.pk}/links/new", form)
    assert ShareLink.objects.get().rows == [1, 3, 4]


def test_refused_links(web, mission):
    there = f"/missions/{mission.pk}/links/new"
    for form, status in (
        ({"link-days": "9999"}, 422),
        ({"link-days": "7", "item": "5"}, 422),  # not completed
        ({"item": "x"}, 302),
    ):
        assert web.post(there, form).status_code == status, form
    assert not ShareLink.objects.exists()


def test_links_in_the_api(api, client, mission):
    there = f"/{mission.pk}/links"
    answer = api.post(there, {"items": [1, 2], "title": "Picks"})
    assert answer.status_code == 201
    made = answer.json()["data"]
    assert (made["result_count"], made["is_open"], made["picks"]) == (2, True, [])
    assert client.get(made["url"]).status_code == 200
    pick(client, ShareLink.objects.get(), 2)
    assert api.data(there)[0]["picks"] == [2]
    past = "2001-01-01T00:00:00Z"
    bodies: list[dict[str, object]] = [{"items": [5]}, {"items": []}, {"expires_at": past}, {"unknown": 1}]
    for body in bodies:
        assert api.post(there, body).status_code == 422, body
    assert api.send("delete", f"{there}/{made['id']}").status_code == 204
    assert client.get(made["url"]).status_code == 410
    assert api.data(there)[0]["is_open"] is False


def test_deletion_takes_links_along(client, mission):
    link = share(mission)
    pick(client, link, 1)
    mission.owner.delete()
    assert not ShareLink.objects.exists()
    assert client.get(f"/shared/{link.token}").status_code == 404
