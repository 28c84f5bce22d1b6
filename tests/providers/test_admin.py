"""Provider accounts in the admin; keys go in and never come out."""

from __future__ import annotations

import logging

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from providers import encryption, provider_accounts
from providers.models import ProviderAccount
from tests.factories import add_account

pytestmark = pytest.mark.django_db

KEY = "a-key-that-nobody-may-see-4711"
SITE = "https://www.runninghub.example"
ADD = "/admin/providers/provideraccount/add/"


@pytest.fixture
def second(encryption_key) -> ProviderAccount:
    return add_account("second", KEY, SITE, concurrency=20)


def form(**more: str) -> dict[str, str]:
    fields = {"name": "second", "provider": "runninghub", "base_url": SITE, "concurrency": "20", "is_enabled": "on"}
    return fields | {"api_key": ""} | more


def page_of(account: ProviderAccount, verb: str = "change") -> str:
    return reverse(f"admin:providers_provideraccount_{verb}", args=[account.pk])


def test_a_key_goes_in_and_never_comes_out(admin_client, encryption_key, caplog):
    caplog.set_level(logging.DEBUG)
    assert admin_client.post(ADD, form(api_key=KEY)).status_code == 302
    account = ProviderAccount.objects.get(name="second")
    assert provider_accounts.settings_of(account).api_key == KEY
    assert account.concurrency == 20
    admin_client.post(page_of(account), form(api_key=KEY + "2"))
    shown = [
        admin_client.get(page_of(account)).content.decode(),
        admin_client.get(reverse("admin:providers_provideraccount_changelist")).content.decode(),
        admin_client.get(reverse("admin:providers_provideraccount_history", args=[account.pk])).content.decode(),
        admin_client.get("/api/v1/queue/status").content.decode(),
        str(list(LogEntry.objects.values())),
        str(list(ProviderAccount.objects.values())),
        caplog.text,
    ]
    assert all(KEY not in text for text in shown)
    assert "••••7112" in shown[0]
    assert "••••7112" in shown[1]


def test_a_form_that_is_refused_does_not_repeat_the_key(admin_client, encryption_key):
    answer = admin_client.post(ADD, form(api_key=KEY, base_url="ftp://elsewhere.example"))
    assert answer.status_code == 200
    assert "Write scheme, host and path" in answer.content.decode()
    assert KEY not in answer.content.decode()
    assert not ProviderAccount.objects.exists()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"api_key": ""}, "Enter the key."),
        ({"api_key": "two words"}, "characters that cannot be part of a key"),
        ({"name": "environment", "api_key": KEY}, "the environment describes"),
        ({"provider": "another", "api_key": KEY}, "Choose one of runninghub"),
    ],
)
def test_invalid_account_is_refused(admin_client, encryption_key, fields, words):
    assert words in admin_client.post(ADD, form(**fields)).content.decode()
    assert not ProviderAccount.objects.exists()


def test_no_key_is_stored_without_an_encryption_key(admin_client, settings):
    settings.ENCRYPTION_KEYS = []
    answer = admin_client.post(ADD, form(api_key=KEY)).content.decode()
    assert "ENCRYPTION_KEYS" in answer
    assert KEY not in answer
    assert not ProviderAccount.objects.exists()


def test_one_key_cannot_be_entered_twice(admin_client, second, settings):
    assert "“second” already uses this key" in admin_client.post(ADD, form(name="third", api_key=KEY)).content.decode()
    settings.RUNNINGHUB_API_KEY, settings.RUNNINGHUB_BASE_URL = "the-environment-s-key", SITE
    provider_accounts.environment_account()
    answer = admin_client.post(ADD, form(name="third", api_key="the-environment-s-key"))
    assert "“environment” already uses this key" in answer.content.decode()
    assert not ProviderAccount.objects.filter(name="third").exists()


def test_a_stored_key_is_never_sent_to_another_address(admin_client, second):
    answer = admin_client.post(page_of(second), form(base_url="https://elsewhere.example"))
    assert "Enter the key again" in answer.content.decode()
    second.refresh_from_db()
    assert second.base_url == SITE
    assert (
        admin_client.post(page_of(second), form(base_url="https://elsewhere.example", api_key=KEY)).status_code == 302
    )
    second.refresh_from_db()
    assert second.base_url == "https://elsewhere.example"


def test_site_on_the_simulator_refuses_a_real_account(admin_client, encryption_key, settings):
    settings.RUNNINGHUB_API_KEY = "simulator"
    assert "runs on the simulator" in admin_client.post(ADD, form(api_key=KEY)).content.decode()
    assert not ProviderAccount.objects.exists()


def test_edit_without_a_key_keeps_the_stored_one(admin_client, second):
    assert admin_client.post(page_of(second), form(concurrency="5", is_draining="on")).status_code == 302
    again = ProviderAccount.objects.get(pk=second.pk)
    assert (again.concurrency, again.is_draining) == (5, True)
    assert (again.sealed_key, again.key_fingerprint) == (second.sealed_key, second.key_fingerprint)


def test_environment_account_keeps_name_key_and_address(admin_client, encryption_key):
    account = provider_accounts.environment_account()
    assert admin_client.post(page_of(account), form(api_key=KEY, concurrency="7")).status_code == 302
    account.refresh_from_db()
    assert (account.name, account.base_url, account.sealed_key) == ("environment", "", "")
    assert account.concurrency == 7


def test_unreadable_key_can_be_entered_again(admin_client, second, settings):
    settings.ENCRYPTION_KEYS = [encryption.new_key()]
    assert "cannot be read" in admin_client.get(page_of(second)).content.decode()
    assert admin_client.post(page_of(second), form(api_key=KEY)).status_code == 302
    again = ProviderAccount.objects.get(pk=second.pk)
    assert provider_accounts.settings_of(again).api_key == KEY
    assert again.key_fingerprint == second.key_fingerprint


def test_the_connection_is_tested(admin_client, encryption_key, simulator):
    simulator.set(balance="87.50")
    account = add_account("second", "cap20-key-of-mine", simulator.url)
    page = admin_client.post(page_of(account, "test"), follow=True).content.decode()
    for words in ("The connection works", "Tasks at once: 20.", "Running: 0, waiting: 0.", "Balance: 87.50 CNY."):
        assert words in page
    account.refresh_from_db()
    assert account.remote_concurrency == 20


def test_failed_connection_test_pauses_the_account(admin_client, encryption_key, simulator):
    account = add_account("second", "bad-key-of-mine", simulator.url)
    page = admin_client.post(page_of(account, "test"), follow=True).content.decode()
    assert "Connection failed." in page
    assert "bad-key-of-mine" not in page
    account.refresh_from_db()
    assert account.paused_at


def test_account_page_pauses_and_resumes(admin_client, second):
    page = admin_client.post(page_of(second, "pause"), {"reason": "The budget is used up."}, follow=True)
    assert "The budget is used up." in page.content.decode()
    second.refresh_from_db()
    assert second.pause_reason == "The budget is used up."
    admin_client.post(page_of(second, "resume"))
    second.refresh_from_db()
    assert second.paused_at is None
    assert LogEntry.objects.count() == 2


@pytest.mark.parametrize("verb", ["test", "pause", "resume"])
def test_verbs_need_a_post_and_the_right_to_change(client, admin_client, second, verb):
    assert admin_client.get(page_of(second, verb)).status_code == 405
    looker = User.objects.create_user("looker", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_provideraccount"))
    client.force_login(looker)
    assert client.get(page_of(second)).status_code == 200
    assert client.post(page_of(second, verb)).status_code == 403
    second.refresh_from_db()
    assert second.paused_at is None


def test_account_form_requires_the_fields_of_its_provider(admin_client, encryption_key):
    add = "/admin/providers/provideraccount/add/"
    openai = {"name": "Ollama", "provider": "openai", "base_url": "http://127.0.0.1:11434/v1", "is_enabled": "on"}
    cases = [
        ({"base_url": ""}, "Write scheme, host and path"),
        ({"options": '{"modle": "x"}'}, "There is no setting modle."),
        ({"options": '{"submit_limit_seconds": -1}'}, "must be a number of seconds"),
        ({"options": "[]"}, "Write a JSON object."),
        ({"name": "openai"}, "an account that the environment describes"),
    ]
    for fields, message in cases:
        assert message in admin_client.post(add, openai | fields).content.decode()
    assert admin_client.post(add, openai | {"options": '{"model": "qwen"}'}).status_code == 302
    account = ProviderAccount.objects.get(name="Ollama")
    assert provider_accounts.blocked_reason(account) is None
    values = provider_accounts.settings_of(account)
    assert (values.base_url, values.api_key, values.options["model"]) == (openai["base_url"], "", "qwen")
    assert account.key_fingerprint
    local = {"name": "Second", "provider": "local", "is_enabled": "on"}
    assert admin_client.post(add, local).status_code == 302
    page = admin_client.get(f"/admin/providers/provideraccount/{account.pk}/change/").content.decode()
    assert "New API key" in page
    page = admin_client.get(f"/admin/providers/provideraccount/{ProviderAccount.objects.latest('pk').pk}/change/")
    assert "API key" not in page.content.decode()
