"""The admin shows every model; values that the engine sets are read-only."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import reverse

from missions import services
from missions.models import (
    Attempt,
    Mission,
    Output,
    OutputUse,
    PromptEntry,
    ResultEntry,
    SearchDay,
    SearchState,
    SearchWord,
)
from providers import provider_accounts

pytestmark = pytest.mark.django_db
OURS = ("accounts", "billing", "core", "media", "missions", "providers", "sharing", "templates_app", "workers")
INDEX = {PromptEntry, ResultEntry, SearchDay, SearchState, SearchWord}  # can be deleted and filled again at any time
MODELS = [model for app in OURS for model in apps.get_app_config(app).get_models() if model not in INDEX]
READ_ONLY = [
    "missions_mission",
    "missions_missionitem",
    "missions_attempt",
    "missions_output",
    "missions_outputuse",
    "missions_itemevent",
    "providers_providerupload",
    "workers_workercluster",
]


@pytest.fixture
def mission(admin_user: User) -> Mission:
    account = provider_accounts.environment_account()
    mission = services.submit_mission(owner=admin_user, name="Cats", task_type="text_to_image", rows=["a cat"])
    item = mission.items.get()
    attempt = Attempt.objects.create(item=item, number=1, account=account, model=mission.model)
    output = Output.objects.create(item=item, attempt=attempt, index=1)
    OutputUse.objects.create(mission=mission, output=output)
    return mission


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.model_name)
def test_every_model_has_a_page_that_opens(admin_client, mission, model):
    assert model in admin.site._registry
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    assert admin_client.get(reverse(f"{name}_changelist")).status_code == 200
    row = model.objects.first()
    if row is not None:
        assert admin_client.get(reverse(f"{name}_change", args=[row.pk])).status_code == 200


@pytest.mark.parametrize("name", READ_ONLY)
def test_engine_rows_cannot_be_added(admin_client, name):
    assert admin_client.get(reverse(f"admin:{name}_add")).status_code == 403


def test_engine_rows_cannot_be_deleted(admin_client, mission):
    item = mission.items.get()
    for row in (mission, item, item.attempts.get(), mission.events.first(), provider_accounts.environment_account()):
        name = f"admin:{row._meta.app_label}_{row._meta.model_name}"
        assert admin_client.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
        many = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
        admin_client.post(reverse(f"{name}_changelist"), many)
        row.refresh_from_db()


@pytest.mark.parametrize(
    ("former", "path"),
    [
        ("missions/provideraccount/", "/admin/providers/provideraccount/"),
        ("missions/provideraccount/1/change/?_popup=1", "/admin/providers/provideraccount/1/change/?_popup=1"),
        ("accounts/spendinglimit/", "/admin/billing/spendinglimit/"),
        ("missions/mission/", None),
    ],
)
def test_former_urls_of_moved_models_redirect(admin_client, former, path):
    response = admin_client.get(f"/admin/{former}")
    assert (response.status_code, response.get("Location")) == ((301, path) if path else (200, None))


def test_posted_status_and_cost_change_nothing(admin_client, mission):
    address = reverse("admin:missions_mission_change", args=[mission.pk])
    assert admin_client.post(address, {"status": "completed", "cost": "0", "completed_count": "1"}).status_code == 403
    mission.refresh_from_db()
    assert (mission.status, mission.completed_count) == ("queued", 0)


def test_webhook_token_is_not_shown(admin_client, mission):
    attempt = mission.items.get().attempts.get()
    page = admin_client.get(reverse("admin:missions_attempt_change", args=[attempt.pk])).content.decode()
    assert attempt.webhook_token not in page


def test_account_is_paused_and_resumed_from_the_list(admin_client, admin_user, mission):
    account = provider_accounts.environment_account()
    address = reverse("admin:providers_provideraccount_changelist")
    admin_client.post(address, {"action": "pause", "_selected_action": [account.pk]})
    account.refresh_from_db()
    assert account.paused_at is not None
    assert admin_user.username in account.pause_reason
    admin_client.post(address, {"action": "resume", "_selected_action": [account.pk]})
    account.refresh_from_db()
    assert account.paused_at is None


def test_editing_an_account_does_not_resume_it(admin_client, mission):
    account = provider_accounts.environment_account()
    provider_accounts.block(account.pk, reason="No money left.")
    address = reverse("admin:providers_provideraccount_change", args=[account.pk])
    form = {
        "name": account.name,
        "base_url": "",
        "concurrency": "7",
        "is_enabled": "on",
        "paused_at_0": "",
        "paused_at_1": "",
    }
    assert admin_client.post(address, form).status_code == 302
    account.refresh_from_db()
    assert account.concurrency == 7
    assert account.pause_reason == "No money left."
