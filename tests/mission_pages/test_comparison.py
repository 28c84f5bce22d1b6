"""Results beside each other: a row with several models, its versions, and selected results."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.test import Client

from missions import services
from missions.models import Output
from providers.models import ProviderAccount
from tests.factories import accept, begin, claim, fail, make_group, make_mission, picture
from tests.result_factories import run

PRO = "rhart-image-n-pro/text-to-image"
RED = picture()


def sides(web: Client, path: str) -> list[tuple[str, int | None]]:
    """Return the model or mission of each side, and the number of its item."""
    page = web.get(path)
    assert page.status_code == 200
    return [(side.mission.model, side.view and side.view.item.index) for side in page.context["sides"]]


def test_a_row_stands_beside_the_same_of_other_models(web: Client, owner: User, account: ProviderAccount):
    rows = ["a fox", "an owl", "a cat"]
    first, second, third = make_group(owner, rows, rows, rows)
    run(first, [RED], [RED, RED], [RED])
    (attempt,) = claim(second, account)
    begin(attempt)
    accept(attempt)
    claim(third, account, limit=2)
    page = web.get(f"/missions/{first.pk}/items/2/compare").content.decode()
    assert [place for _model, place in sides(web, f"/missions/{first.pk}/items/2/compare")] == [2, 2, 2]
    assert page.count('class="tile side-file"') == 2
    for text in ("an owl", "¥0.05", "about ¥0.40", "Pending", "Submitting"):
        assert text in page, text
    assert f'href="/missions/{first.pk}/items/1/compare"' in page
    assert f'href="/missions/{first.pk}/items/3/compare"' in page
    fail(attempt)
    failed = web.get(f"/missions/{second.pk}/items/1/compare").content.decode()
    assert ("Failed" in failed, "Next row" in failed, "Previous row" in failed) == (True, True, False)
    for path in (f"/missions/{first.pk}", f"/missions/{first.pk}/items/2"):
        assert "/compare" in web.get(path).content.decode()
    services.delete_mission(mission_id=third.pk, actor="user:1")
    assert [model for model, _place in sides(web, f"/missions/{first.pk}/items/2/compare")] == [first.model, PRO]


def test_a_row_is_found_though_others_were_left_out(web: Client, owner: User):
    first, second = make_group(owner, ["a fox", "an owl", "a cat", "a dog"], ["an owl", "a dog"])
    cases = [(1, None), (2, 1), (3, None), (4, 2)]
    for index, place in cases:
        found = sides(web, f"/missions/{first.pk}/items/{index}/compare")
        assert found == [(first.model, index), (second.model, place)], index
    assert "no such row" in web.get(f"/missions/{first.pk}/items/1/compare").content.decode()
    second, third = make_group(owner, ["a fox", "an owl"], ["a fox", "a blue owl"])
    assert sides(web, f"/missions/{second.pk}/items/2/compare") == [(second.model, 2), (third.model, 2)]
    assert "a blue owl" in web.get(f"/missions/{second.pk}/items/2/compare").content.decode()


def test_held_paused_and_lost_results_say_so(web: Client, owner: User):
    first, second = make_group(owner, ["a fox", "an owl"], ["a fox", "an owl"], run_first=1)
    run(first, [RED])
    services.pause_mission(mission_id=second.pk, actor="user:1")
    page = web.get(f"/missions/{first.pk}/items/2/compare")
    assert "waits for a release" in page.content.decode()
    assert not page.context["is_live"]
    assert "mission is paused" in web.get(f"/missions/{first.pk}/items/1/compare").content.decode()
    output = Output.objects.get()
    Output.objects.filter(pk=output.pk).update(status="lost", file="", error_message="Its address has expired.")
    assert "Its address has expired." in web.get(f"/missions/{first.pk}/items/1/compare").content.decode()


def test_versions_and_texts(web: Client, owner: User):
    mission = make_mission(owner, ["a fox", "an owl"])
    run(mission, [RED], ["A long text. " * 40])
    services.make_again(mission_id=mission.pk, indexes=[1], actor="user:1", params={"prompt": "a red fox"})
    run(mission, [RED])
    assert [place for _model, place in sides(web, f"/missions/{mission.pk}/items/3/compare")] == [1, 3]
    page = web.get(f"/missions/{mission.pk}/items/1/compare").content.decode()
    assert ("Version 1" in page, "Version 2" in page, "a red fox" in page) == (True, True, True)
    assert f"/missions/{mission.pk}/items/3/compare" in web.get(f"/missions/{mission.pk}/items/3").content.decode()
    assert "A long text. " * 40 in web.get(f"/missions/{mission.pk}/items/2/compare").content.decode()
    first, second = make_group(owner, ["a fox"], ["a fox"])
    run(first, [RED])
    run(second, [RED])
    services.make_again(mission_id=first.pk, indexes=[1], actor="user:1")
    run(first, [RED])
    path = f"/missions/{second.pk}/items/1/compare"
    assert [place for _model, place in sides(web, path)] == [2, 1]
    assert [place for _model, place in sides(web, f"{path}?versions=1")] == [1, 2, 1]


def test_results_of_several_missions_are_compared(web: Client, owner: User, stranger: User):
    mine, other = make_mission(owner, ["a fox", "an owl"], name="Mine"), make_mission(stranger, 1)
    run(mine, [RED], [RED])
    run(other, [RED])
    ids = [str(item.pk) for item in (*mine.items.order_by("index"), other.items.get())]
    assert sides(web, f"/results/compare?item={','.join(ids)}") == [(mine.model, 1), (mine.model, 2)]
    assert sides(web, f"/results/compare?item={ids[0]}&item={ids[1]}&view=all") == [(mine.model, 1), (mine.model, 2)]
    for query in ("", "?item=", f"?item={ids[2]}", "?item=x"):
        assert web.get(f"/results/compare{query}").status_code == 302, query
    assert web.get(f"/missions/{other.pk}/items/1/compare").status_code == 404


def test_only_who_may_change_a_mission_can_keep(web: Client, owner: User):
    mission = make_mission(owner, ["a fox"])
    run(mission, [RED])
    path = f"/missions/{mission.pk}/items/1/compare"
    assert f'formaction="/missions/{mission.pk}/star"' in web.get(path).content.decode()
    web.post(f"/missions/{mission.pk}/star", {"item": "1", "starred": "1", "next": path})
    assert 'aria-pressed="true"' in web.get(path).content.decode()
