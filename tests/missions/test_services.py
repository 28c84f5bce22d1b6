"""Services of missions: create, control, retry and delete."""

from __future__ import annotations

import io
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.errors import NotPossible
from media.services import store_upload
from missions import execution, lifecycle, services
from missions.models import Attempt, Mission, MissionItem, Output
from missions.services import MissionInvalid
from providers import catalog, provider_accounts
from providers.models import ProviderAccount
from templates_app.models import MissionTemplate
from tests.factories import (
    Workers,
    accept,
    begin,
    bring_to,
    check_mission,
    claim,
    make_media,
    make_mission,
    pass_time,
    picture,
)

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]

ME = "user:7"


def errors_of(owner: User, **more: Any) -> dict[str, str]:
    """Submit an invalid mission and return its errors by field. Nothing may be stored."""
    arguments: dict[str, Any] = {"name": "x", "task_type": "text_to_image", "rows": ["a teapot"]} | more
    with pytest.raises(MissionInvalid) as caught:
        services.submit_mission(owner=owner, **arguments)
    assert not Mission.objects.exists()
    assert not MissionItem.objects.exists()
    return {error.field: error.message for error in caught.value.errors}


# --- Create ---


def test_mission_of_a_template_deleted_meanwhile_is_stored(transactional_db, account):
    owner = User.objects.create_user("mei")
    template = MissionTemplate.objects.create(owner=owner, name="Wide", task_type="text_to_image")
    draft = services.validate_mission(
        owner=owner, name="Cats", task_type="text_to_image", rows=["a cat"], template_id=template.pk
    )
    template.delete()
    assert services.create_mission(draft).template_id is None


def test_a_mission_is_stored_whole(owner, account):
    mission = services.submit_mission(
        owner=owner,
        name="  Teapots  ",
        description="for the kitchen",
        task_type="text_to_image",
        rows=["red", {"prompt": "blue", "custom_id": "B-2", "aspectRatio": "1:1"}],
        params={"aspectRatio": "16:9"},
        priority=3,
        metadata={"order": 12},
    )
    mission.refresh_from_db()
    assert (mission.name, mission.description, mission.priority, mission.metadata) == (
        "Teapots",
        "for the kitchen",
        3,
        {"order": 12},
    )
    assert (mission.status, mission.model, mission.provider) == (
        "queued",
        "rhart-image-v1/text-to-image",
        "runninghub",
    )
    first, second = mission.items.order_by("index")
    assert (first.index, first.custom_id, mission.params | first.params) == (
        1,
        "",
        {"prompt": "red", "aspectRatio": "16:9"},
    )
    assert (second.index, second.custom_id, mission.params | second.params) == (
        2,
        "B-2",
        {"prompt": "blue", "aspectRatio": "1:1"},
    )
    assert mission.estimated_cost == Decimal("0.10")
    check_mission(mission.pk)


@pytest.mark.parametrize(
    "provider, endpoint, row",
    [
        ("runninghub", "rhart-image-v1/text-to-image", {"prompt": "a teapot"}),
        ("openai", "chat/completions", {"prompt": "Describe a teapot."}),
        ("local", "ken-burns", {"image": "https://a.example/b.png"}),
    ],
)
def test_mission_has_provider_and_currency_of_its_model(provider, endpoint, row, owner):
    model = catalog.get_model(endpoint, provider)
    arguments = {"task_type": model.task_type, "model": endpoint, "provider": provider}
    mission = services.submit_mission(owner=owner, name="x", rows=[row], **arguments)
    account = ProviderAccount.objects.create(name="x", provider=model.provider)
    attempt = Attempt.objects.get(pk=claim(mission, account)[0])
    assert (mission.provider, mission.currency, attempt.currency) == (model.provider, model.currency, model.currency)
    assert not Mission().provider + Mission().currency + Attempt().currency, "nobody may forget them"


def test_a_new_mission_wakes_the_workers(owner, workers: Workers):
    make_mission(owner, 1)
    assert ("dispatch", (workers.account.pk,)) in workers.waiting()


def test_shared_parameters_and_defaults_are_stored_once(owner):
    mission = make_mission(owner, [{"prompt": f"x {number}", "aspectRatio": "1:1"} for number in range(3)])
    assert mission.params == {"aspectRatio": "1:1"}
    assert [item.params for item in mission.items.all()] == [{"prompt": f"x {number}"} for number in range(3)]
    assert make_mission(owner, 1).params == {"aspectRatio": "3:4"}


INVALID = [
    ({"name": "  "}, "name", "name"),
    ({"task_type": "text_to_music"}, "task_type", "Choose one of"),
    ({"model": "nobody/knows"}, "model", "catalogue"),
    ({"model": "rhart-video-s/text-to-video"}, "model", "not text_to_image"),
    ({"rows": []}, "batch_input", "at least one"),
    ({"repeat": 0}, "repeat", "at least 1"),
    ({"repeat": -1}, "repeat", "at least 1"),
    ({"rows": ["fine", "  "]}, "batch_input.1.prompt", "Required"),
    ({"rows": ["x" * 20_001]}, "batch_input.0.prompt", "Too long"),
    ({"rows": [{"promt": "x"}]}, "batch_input.0.promt", "Did you mean"),
    ({"rows": [5]}, "batch_input.0.prompt", "Give a text"),
    ({"rows": [None]}, "batch_input.0.prompt", "Give a text"),
    ({"rows": [{"prompt": "x", "aspectRatio": "7:1"}]}, "batch_input.0.aspectRatio", "one of"),
    ({"rows": [{"prompt": "x", "webhookUrl": "http://a.b"}]}, "batch_input.0.webhookUrl", "set by the server"),
    ({"rows": [{"prompt": "x", "custom_id": "y" * 201}]}, "batch_input.0.custom_id", "200"),
    ({"params": {"aspectRatio": "7:1"}}, "params.aspectRatio", "one of"),
    ({"task_type": "image_to_image", "rows": ["nonsense"]}, "batch_input.0.imageUrls", "address"),
    (
        {"task_type": "image_to_image", "rows": [{"imageUrls": ["media:9"], "prompt": "x"}]},
        "batch_input.0.imageUrls",
        "",
    ),
]


@pytest.mark.parametrize("arguments, field, words", INVALID)
def test_errors_name_fields_and_nothing_is_stored(arguments, field, words, owner):
    errors = errors_of(owner, **arguments)
    assert words in errors[field]


def test_all_errors_are_reported_at_once(owner):
    errors = errors_of(owner, rows=["", "fine", {"prompt": "x", "aspectRatio": "7:1"}, {"oops": 1}])
    assert {"batch_input.0.prompt", "batch_input.2.aspectRatio", "batch_input.3.oops"} <= set(errors)


def test_a_flood_of_errors_is_cut(owner):
    errors = errors_of(owner, rows=[""] * 5000)
    assert len(errors) == services.MAX_ERRORS


def test_a_mission_may_not_be_larger_than_the_setting_allows(owner, settings):
    settings.MISSION_MAX_ITEMS = 10
    assert "split it" in errors_of(owner, rows=["x"] * 11)["batch_input"]
    assert "split it" in errors_of(owner, rows=["x"] * 6, repeat=2)["batch_input"]
    assert make_mission(owner, ["x"] * 5, repeat=2).total_count == 10


def test_an_absurd_repeat_is_refused_before_it_is_tried(owner):
    assert errors_of(owner, repeat=10**15)


def test_repeat_makes_each_row_that_many_items(owner):
    mission = make_mission(owner, ["a", "b"], repeat=3)
    assert mission.total_count == 6
    prompts = sorted(item.params["prompt"] for item in mission.items.all())
    assert prompts == ["a", "a", "a", "b", "b", "b"]
    assert mission.estimated_cost == Decimal("0.30")


def test_numeric_custom_id_is_stored_as_text(owner):
    mission = make_mission(owner, [{"prompt": "a", "custom_id": 17}, {"prompt": "b", "custom_id": 0}])
    assert list(mission.items.values_list("custom_id", flat=True)) == ["17", "0"]


def test_the_estimate_sums_what_each_item_costs(owner):
    draft = services.validate_mission(
        owner=owner, name="Cats", task_type="text_to_image", model="rhart-image-n-pro/text-to-image",
        rows=["a", {"prompt": "b", "resolution": "4k"}],
    )  # fmt: skip
    assert draft.estimated_cost == Decimal("0.9")
    assert not Mission.objects.exists()


def test_model_without_a_price_has_no_estimate(owner):
    mission = make_mission(owner, 1, model="some/model", allow_free_form=True)
    assert mission.estimated_cost is None


def test_free_form_endpoint_needs_permission(owner):
    assert "catalogue" in errors_of(owner, model="some/model", rows=[{"anything": [1, {"a": 2}]}])["model"]
    mission = make_mission(owner, [{"anything": [1, {"a": 2}]}], model="some/model", allow_free_form=True)
    assert mission.params | mission.items.get().params == {"anything": [1, {"a": 2}]}


@pytest.mark.parametrize("model", ["../../etc", "a b/c", "http://evil.example/x", "x?y=1"])
def test_invalid_endpoint_is_refused(model, owner):
    assert "model" in errors_of(owner, model=model, allow_free_form=True)


@pytest.mark.parametrize("value", ["media:abc", 5, [1, 2], [None], {"a": 1}, "media:" + "9" * 30])
def test_odd_file_values_of_free_form_models_are_accepted(value, owner):
    rows = [{"imageUrl": value}]
    try:
        mission = make_mission(owner, rows, model="some/model", allow_free_form=True)
    except MissionInvalid as error:
        invalid = error
    else:
        assert mission.total_count == 1
        return
    assert invalid.errors[0].field == "batch_input.0.imageUrl"


def test_ten_thousand_items_are_stored_in_few_statements(owner, account):
    rows = [f"a teapot, number {number}" for number in range(10_000)]
    with CaptureQueriesContext(connection) as captured:
        mission = make_mission(owner, rows)
    assert len(captured) < 250  # SQLite takes 999 values per statement
    assert mission.items.count() == mission.total_count == 10_000


# --- Files ---


def edit_rows(*names: str) -> list[dict[str, Any]]:
    return [{"imageUrls": [name], "prompt": "x"} for name in names]


def test_only_one_s_own_files_can_be_used(owner, stranger):
    mine, foreign = make_media(owner), make_media(stranger)
    errors = errors_of(owner, task_type="image_to_image", rows=edit_rows(f"media:{mine.pk}", f"media:{foreign.pk}"))
    assert list(errors) == ["batch_input.1.imageUrls"]
    assert "upload it first" in errors["batch_input.1.imageUrls"]
    rows = [{"imageUrl": f"media:{foreign.pk}"}]
    assert errors_of(owner, model="some/model", rows=rows, allow_free_form=True)
    assert make_mission(owner, edit_rows(f"media:{mine.pk}"), task_type="image_to_image").total_count == 1


def test_images_of_any_type_and_size_are_taken(owner):
    gif = make_media(owner, content=picture("GIF"), content_type="image/gif", name="cat.gif")
    huge = make_media(owner, content=picture(colour="blue"), size_bytes=11 * 1024 * 1024, name="huge.png")
    rows = edit_rows(f"media:{gif.pk}", f"media:{huge.pk}")
    assert make_mission(owner, rows, task_type="image_to_image").total_count == 2


def test_images_are_named_as_people_name_them(owner, settings):
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    heic = store_upload(owner=owner, file=io.BytesIO(picture("HEIF")), name="IMG_1.HEIC").media
    plain = store_upload(owner=owner, file=io.BytesIO(picture()), name="front.png").media
    again = store_upload(owner=owner, file=io.BytesIO(picture(colour="blue")), name="front.png").media
    names = ["img_1.heic", f"http://127.0.0.1:8810/media/{plain.key}", "photos/IMG_1", "front.png"]
    draft = services.validate_mission(owner=owner, name="x", task_type="image_to_image", rows=edit_rows(*names))
    assert [row["imageUrls"][0] for row in draft.rows[:2]] == [heic.reference, plain.reference]
    assert draft.rows[3]["imageUrls"] == [again.reference]
    converted, repeated = sorted(draft.warnings)
    assert converted.startswith("Images that are converted for this model: 1. For example: IMG_1.HEIC: HEIC → JPG, ")
    assert repeated.endswith("the newest one is used: front.png.")


def test_names_that_fit_no_image_are_explained(owner):
    errors = errors_of(
        owner, task_type="image_to_image", rows=edit_rows("gone.png", "no name", "/media/abc"), params={"prompt": "x"}
    )
    assert errors["batch_input.0.imageUrls"].startswith("You have no uploaded image of this name.")
    assert "media:ID of an uploaded file" in errors["batch_input.1.imageUrls"]
    assert "no uploaded file at this address" in errors["batch_input.2.imageUrls"]
    model = {"task_type": "image_to_video", "params": {"imageUrl": "gone.png"}}
    assert "params.imageUrl" in errors_of(owner, **model, rows=["x"], model="rhart-video-v3.1-pro/image-to-video")


def test_a_jpeg_is_taken_where_jpg_is_listed(owner):
    media = make_media(owner, content=picture("JPEG"), content_type="image/jpeg", name="cat.jpeg")
    assert make_mission(owner, edit_rows(f"media:{media.pk}"), task_type="image_to_image").total_count == 1


def test_files_are_looked_up_together(owner):
    media = make_media(owner)
    rows = edit_rows(*[f"media:{media.pk}"] * 500)
    with CaptureQueriesContext(connection) as captured:
        services.validate_mission(owner=owner, name="Cats", task_type="image_to_image", rows=rows)
    assert len(captured) == 4  # the files, their names now and of older releases, and the owner's limit


# --- Scheduled start ---


def test_a_mission_with_a_start_in_the_future_waits_for_it(owner, account):
    later = make_mission(owner, 1, not_before=timezone.now() + timedelta(hours=1))
    past = make_mission(owner, 1, not_before=timezone.now() - timedelta(hours=1))
    assert (later.status, past.status) == ("scheduled", "queued")
    assert execution.dispatch(account.pk) == 1


# --- Pause, resume, cancel ---

VERBS: dict[str, Any] = {
    "pause": services.pause_mission,
    "resume": services.resume_mission,
    "cancel": services.cancel_mission,
    "retry": services.retry_failed,
}


@pytest.mark.parametrize(
    "verb, status",
    [
        ("pause", "cancelled"),
        ("resume", "queued"),
        ("cancel", "cancelled"),
        ("retry", "cancelled"),
        ("pause", "failed"),
        ("cancel", "failed"),
        ("resume", "failed"),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_impossible_verb_says_why(verb, status):
    account = provider_accounts.environment_account()
    mission = make_mission(User.objects.create_user("li"), 1)
    if status == "cancelled":
        services.cancel_mission(mission_id=mission.pk, actor=ME)
    if status == "failed":
        bring_to("failed", claim(mission, account)[0])
    with pytest.raises(NotPossible, match=f"{status} cannot be {verb[:4]}"):
        VERBS[verb](mission_id=mission.pk, actor=ME)
    check_mission(mission.pk)


def test_pause_and_resume_lose_nothing(owner, workers: Workers, simulator):
    mission = make_mission(owner, 10)
    execution.dispatch(workers.account.pk)
    services.pause_mission(mission_id=mission.pk, actor=ME, reason="lunch")
    submits = simulator.stats()["submits"]
    workers.play()
    pass_time(600)
    execution.reap(workers.account.pk)
    workers.play()
    assert simulator.stats()["submits"] == submits == 0
    mission.refresh_from_db()
    assert (mission.status, mission.pending_count) == ("paused", 10)
    services.resume_mission(mission_id=mission.pk, actor=ME)
    assert workers.finish(mission).completed_count == 10


def test_cancel_keeps_paid_results(owner, workers: Workers, simulator, account):
    ProviderAccount.objects.update(concurrency=4)
    mission = make_mission(owner, 10)
    execution.dispatch(account.pk)
    workers.play("submit")
    stopped = services.cancel_mission(mission_id=mission.pk, actor=ME)
    assert (stopped.cancelled_count, stopped.still_sending) == (6, [])
    workers.finish(mission)
    assert (mission.status, mission.completed_count, mission.cancelled_count) == ("cancelled", 4, 6)
    assert simulator.stats()["accepted"] == 4
    assert Output.objects.filter(status="stored").count() == 4


@pytest.mark.parametrize("verb", [services.cancel_mission, services.pause_mission, services.delete_mission])
def test_stop_reports_attempts_that_are_sending(verb, owner, account):
    mission = make_mission(owner, 3)
    sending, prepared = claim(mission, account, 2)
    begin(sending)
    assert verb(mission_id=mission.pk, actor=ME).still_sending == [sending]
    assert not begin(prepared)
    mission.refresh_from_db()
    assert mission.submitting_count == 1
    assert accept(sending)
    mission.refresh_from_db()
    assert (mission.submitting_count, mission.processing_count) == (0, 1)
    check_mission(mission.pk)


def test_restore_gives_paused_missions_its_reason(owner, account):
    waiting, stopped, ended = make_mission(owner, 2), make_mission(owner, 2), make_mission(owner, 1)
    services.pause_mission(mission_id=stopped.pk, actor=ME)  # perhaps resumed after the backup
    bring_to("succeeded", claim(ended, account)[0])
    assert services.pause_after_restore() == 2
    for mission, expected in ((waiting, "restored"), (stopped, "restored"), (ended, None)):
        mission.refresh_from_db()
        assert mission.pause_reason_code == expected
    services.resume_mission(mission_id=stopped.pk, actor=ME)
    stopped.refresh_from_db()
    assert stopped.status == "queued"


@pytest.mark.parametrize("status", ["prepared", "sending", "running", "unconfirmed"])
def test_key_change_pauses_open_missions(status, owner, account):
    waiting, taken_up, ended = make_mission(owner, 2), make_mission(owner, 1), make_mission(owner, 1)
    bring_to(status, claim(taken_up, account)[0])
    bring_to("succeeded", claim(ended, account)[0])
    services.pause_after_key_change("runninghub")
    execution.recover()  # unsent attempts go back to pending
    if status == "running":
        lifecycle.fail(Attempt.objects.get(status="running").pk, code="1015", message="x", retry_at=timezone.now())
    assert execution.dispatch(account.pk) == 0
    waiting.refresh_from_db()
    assert waiting.status == "paused"
    assert "Resume" in waiting.pause_reason
    ended.refresh_from_db()
    assert ended.status == "completed"
    check_mission(taken_up.pk)


# --- Retry ---


def indexes(mission: Mission, status: str) -> list[int]:
    return list(mission.items.filter(status=status).order_by("index").values_list("index", flat=True))


@pytest.mark.parametrize(
    "choice, expected",
    [
        ({}, [1, 2, 3]),
        ({"error_code": "1015"}, [1, 2]),
        ({"error_code": "1003"}, [3]),
        ({"error_code": "nothing like it"}, []),
        ({"indexes": [2, 3, 4, 5, 6, 99]}, [2, 3]),
        ({"indexes": []}, []),
        ({"error_code": "1015", "indexes": [2, 3]}, [2]),
    ],
)
def test_retry_touches_only_the_chosen_failed_items(choice, expected, mixed):
    retried = services.retry_failed(mission_id=mixed.pk, actor=ME, **choice)
    assert (retried.count, retried.estimate) == (len(expected), len(expected) * Decimal("0.05"))
    assert indexes(mixed, "pending") == [*expected, 7]
    assert indexes(mixed, "failed") == [index for index in (1, 2, 3) if index not in expected]
    assert (indexes(mixed, "completed"), indexes(mixed, "unconfirmed"), indexes(mixed, "processing")) == ([4], [5], [6])
    check_mission(mixed.pk)


def test_a_planned_start_can_be_changed_or_skipped(owner, account):
    soon, later = timezone.now() + timedelta(hours=1), timezone.now() + timedelta(days=2)
    mission = make_mission(owner, 2, not_before=soon)
    services.change_mission(mission_id=mission.pk, not_before=later)
    mission.refresh_from_db()
    assert (mission.status, mission.not_before) == ("scheduled", later)
    with pytest.raises(MissionInvalid, match="start the mission now"):
        services.change_mission(mission_id=mission.pk, not_before=timezone.now() - timedelta(minutes=1))
    services.start_mission(mission_id=mission.pk, actor=ME)
    mission.refresh_from_db()
    assert (mission.status, mission.not_before) == ("queued", None)
    assert mission.events.last().reason_display == "Started by a person before its planned time."
    with pytest.raises(NotPossible, match="queued cannot be started"):
        services.start_mission(mission_id=mission.pk, actor=ME)
    with pytest.raises(MissionInvalid, match="does not wait for a planned start"):
        services.change_mission(mission_id=mission.pk, not_before=later)
    services.pause_mission(mission_id=mission.pk, actor=ME)
    services.resume_mission(mission_id=mission.pk, actor=ME)
    assert len(claim(mission, account, 2)) == 2


def test_the_start_of_a_paused_mission_can_be_changed(owner):
    soon, later = timezone.now() + timedelta(hours=1), timezone.now() + timedelta(days=2)
    mission = make_mission(owner, 2, not_before=soon)
    services.pause_mission(mission_id=mission.pk, actor=ME)
    services.change_mission(mission_id=mission.pk, not_before=later)
    services.resume_mission(mission_id=mission.pk, actor=ME)
    mission.refresh_from_db()
    assert (mission.status, mission.not_before) == ("scheduled", later)


def test_a_retry_never_reaches_into_another_mission(owner, account, mixed):
    other = make_mission(owner, 2)
    for attempt_id in claim(other, account, 2):
        bring_to("failed", attempt_id)
    services.retry_failed(mission_id=mixed.pk, actor=ME)
    assert indexes(other, "failed") == [1, 2]


def test_a_retried_mission_runs_to_its_end(owner, workers: Workers, simulator):
    simulator.set(submit_1501=2)
    mission = workers.finish(make_mission(owner, 5))
    assert (mission.status, mission.failed_count) == ("completed", 2)
    assert services.retry_failed(mission_id=mission.pk, actor=ME).count == 2
    mission.refresh_from_db()
    assert mission.status == "running"
    workers.finish(mission)
    assert (mission.status, mission.completed_count) == ("completed", 5)


# --- Delete ---


def files_of(mission_id: int) -> list[Path]:
    return sorted((Path(django_settings.RESULTS_ROOT) / "missions" / str(mission_id)).rglob("*"))


def test_a_deleted_mission_leaves_no_row_and_no_file(owner, workers: Workers, simulator):
    mission, other = workers.finish(make_mission(owner, 3)), workers.finish(make_mission(owner, ["stays"]))
    assert len(files_of(mission.pk)) == 6
    services.delete_mission(mission_id=mission.pk, actor=ME)
    assert not Mission.objects.filter(pk=mission.pk).exists()
    assert files_of(mission.pk) == []
    assert not (Path(django_settings.RESULTS_ROOT) / "missions" / str(mission.pk)).exists()
    assert len(files_of(other.pk)) == 2
    assert Attempt.objects.count() == Output.objects.count() == 1


def test_deleted_mission_is_purged_after_its_last_task(owner, workers: Workers, simulator, account):
    ProviderAccount.objects.update(concurrency=3)
    mission = make_mission(owner, 10)
    execution.dispatch(account.pk)
    workers.play("submit")
    services.delete_mission(mission_id=mission.pk, actor=ME)
    mission.refresh_from_db()
    assert (mission.status, mission.in_flight_count) == ("cancelled", 3)
    assert mission.delete_requested_at
    workers.run(lambda: not Mission.objects.exists())
    workers.play()
    assert simulator.stats()["submits"] == 3
    assert files_of(mission.pk) == []


def test_messages_of_a_deleted_mission_disturb_nobody(owner, workers: Workers, simulator, account):
    mission, other = make_mission(owner, 4), make_mission(owner, 4)
    execution.dispatch(account.pk)
    services.delete_mission(mission_id=mission.pk, actor=ME)
    assert not Mission.objects.filter(pk=mission.pk).exists()
    assert workers.finish(other).completed_count == 4
    assert simulator.stats()["submits"] == 4


def test_a_mission_is_not_purged_unless_it_is_marked_and_quiet(owner, account):
    mission = make_mission(owner, 1)
    assert services.purge_mission(mission.pk) is False
    bring_to("running", claim(mission, account)[0])
    Mission.objects.update(delete_requested_at=timezone.now())
    assert services.purge_mission(mission.pk) is False
    assert services.purge_mission(999_999) is False
    assert Mission.objects.count() == 1
