"""The balance at the provider beside prices."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import responses
from django.contrib.auth.models import User
from django.utils import timezone

from providers import provider_accounts
from providers.models import ProviderAccount
from tests.api_client import caller
from tests.factories import bring_to, claim, make_member, make_mission
from tests.missions.api.calls import data
from tests.providers.adapters.runninghub import answers as wire

pytestmark = pytest.mark.django_db

SHORT = "The estimated cost exceeds the balance"
FORM = {"task_type": "text_to_image", "source": "prompts", "param-aspectRatio": "1:1", "action": "check"}


def hold(account: ProviderAccount, amount: str, currency: str = "CNY", *, shown: bool = True) -> None:
    ProviderAccount.objects.filter(pk=account.pk).update(
        balance=Decimal(amount),
        balance_currency=currency,
        balance_read_at=timezone.now() - timedelta(minutes=3),
        shows_balance=shown,
    )


def form_page(client, prompts: str = "a cat") -> str:
    return client.post("/missions/new", FORM | {"prompts": prompts}).content.decode()


def test_form_shows_it_with_its_age(web, account):
    hold(account, "12.5")
    page = form_page(web)
    assert "Balance at RunningHub: ¥12.50" in page
    assert "3 minutes ago" in page
    assert SHORT not in page


def test_warning_if_the_price_exceeds_it(web, account):
    hold(account, "0.09")
    assert SHORT not in form_page(web)
    assert SHORT in form_page(web, "a cat\na dog")  # 0.10


@pytest.mark.postgresql
def test_no_warning_unless_certain(web, account):
    prompts = "a cat\na dog"
    hold(account, "0.01", "USD")
    assert SHORT not in form_page(web, prompts)
    hold(account, "0.01")
    second = ProviderAccount.objects.create(name="second", provider="runninghub")
    assert SHORT not in form_page(web, prompts)  # the second's is unknown
    hold(second, "0.02")
    page = form_page(web, prompts)
    assert "Balance of second at RunningHub: ¥0.02" in page
    assert SHORT in page
    hold(second, "0.02", shown=False)
    page = form_page(web, prompts)
    assert "second" not in page
    assert SHORT not in page


def test_hidden_until_an_operator_shows_it(web, client, owner: User, account):
    hold(account, "12.5", shown=False)
    assert "Balance at" not in form_page(web)
    assert data(caller(owner).get("/api/v1/queue/status"))["accounts"][0]["balance"] is None
    operator = make_member("Operators")
    client.force_login(operator)
    assert "Balance at RunningHub: ¥12.50" in form_page(client)
    shown = data(caller(operator).get("/api/v1/queue/status"))["accounts"][0]
    assert (shown["balance"], shown["balance_currency"]) == ("12.50", "CNY")
    assert "Balance ¥12.50" in client.get("/admin/control-room/").content.decode()


def test_beside_the_price_of_retries(web, owner: User, account):
    mission = make_mission(owner, 2)
    for attempt in claim(mission, account, 2):
        bring_to("failed", attempt)
    hold(account, "0.01")
    page = web.get(f"/missions/{mission.pk}/failures").content.decode()
    assert "Balance at RunningHub: ¥0.01" in page
    assert SHORT in page


def test_beside_what_else_spends(web, owner: User, account):
    hold(account, "0.01")
    lost = make_mission(owner)
    [attempt] = claim(lost, account)
    bring_to("unconfirmed", attempt)
    waiting = make_mission(owner, 3, run_first=1)
    for path in (f"/{lost.pk}/failures", f"/{lost.pk}/items/1", f"/{waiting.pk}", f"/{waiting.pk}/rest"):
        page = web.get(f"/missions{path}").content.decode()
        assert page.count("Balance at RunningHub: ¥0.01") == 1, path
        assert SHORT in page, path


def test_pages_ask_no_provider(web, account, simulator):
    simulator.set(balance="87.50")
    provider_accounts.check(account)
    ProviderAccount.objects.update(shows_balance=True)
    simulator.set(balance="1.00")
    assert "¥87.50" in form_page(web)


def test_a_new_key_forgets_it(account, settings):
    settings.RUNNINGHUB_API_KEY = "the-first-key"
    provider_accounts.sync_env_key()
    hold(account, "12.5")
    settings.RUNNINGHUB_API_KEY = "another-key"
    provider_accounts.sync_env_key()
    account.refresh_from_db()
    assert (account.balance, account.balance_currency, account.balance_read_at) == (None, "", None)


@responses.activate
def test_an_unread_balance_keeps_the_last(account, settings):
    settings.RUNNINGHUB_BASE_URL, settings.RUNNINGHUB_API_KEY = wire.HOST, wire.KEY
    responses.get(wire.QUEUE, json={"code": 0, "message": "success", "data": {"concurrentLimit": 3}})
    responses.post(wire.ACCOUNT, json={"code": 0, "data": {"remainMoney": "12.3", "currency": "CNY"}})
    responses.post(wire.ACCOUNT, status=500)
    read = []
    for _ in range(2):
        provider_accounts.check(account)
        account.refresh_from_db()
        read.append((account.balance, account.balance_read_at))
    assert read[0] == read[1]
    assert read[0][0] == Decimal("12.3")
