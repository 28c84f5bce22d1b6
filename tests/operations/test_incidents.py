"""Incidents: one message when all stops, one when it works again."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.utils import timezone

from core.storage import disk
from missions import reasons
from notifications import channels
from notifications.models import Channel, Delivery, Event, Incident, Topic
from operations import incidents
from providers import provider_accounts
from providers.models import ProviderAccount
from tests.factories import add_account, make_member, make_mission
from tests.notifications.conftest import later, work
from workers.models import WorkerCluster

pytestmark = pytest.mark.django_db
NO_MONEY = provider_accounts.UNREADABLE_KEY()


@pytest.fixture(autouse=True)
def _site(settings: Any, account: ProviderAccount) -> None:
    settings.RUNNINGHUB_API_KEY = "a real key"
    settings.EMAIL_HOST, settings.PUBLIC_BASE_URL = "mail.example.com", "https://batch.example.com"


@pytest.fixture
def operator(db: None) -> User:
    return make_member("Operators")


def mailbox(person: User, topics: list[str] | None = None) -> Channel:
    address = f"{person.get_username()}@example.com"
    return channels.create(owner=person, kind="email", address=address, events=topics or list(Topic.values))[0]


def received() -> dict[str, list[str]]:
    """Return the subjects of the mails to each person since the last call."""
    later(61)
    found: dict[str, list[str]] = {}
    for message in mail.outbox:
        subject = message.subject.removeprefix("RunningHub Batch: ")
        found.setdefault(message.to[0].partition("@")[0], []).append(subject)
    mail.outbox.clear()
    return found


STOPPED = "Your missions wait: RunningHub takes nothing at present."
WORKS = "RunningHub is used again: your missions continue."


@pytest.mark.postgresql
def test_one_message_however_many_missions(owner, stranger, operator, account):
    for person in (owner, stranger, operator):
        mailbox(person)
    for _ in range(3):
        make_mission(owner, 2)
    provider_accounts.block(account.pk, reason=NO_MONEY)
    incidents.watch()
    incidents.watch()
    work()
    texts = {message.to[0]: message.body for message in mail.outbox}
    assert received() == {
        "mei": [STOPPED],
        "operators": ["The account “environment” is blocked: RunningHub takes nothing from it."],
    }
    for text in texts.values():
        assert str(NO_MONEY) in text
        assert "nothing is charged for what waits" in text
    assert texts["mei@example.com"].endswith("https://batch.example.com/missions")
    assert f"/admin/providers/provideraccount/{account.pk}/change/" in texts["operators@example.com"]

    provider_accounts.resume(account.pk)
    incidents.watch()
    incidents.watch()
    assert received() == {"mei": [WORKS], "operators": ["The account “environment” at RunningHub is used again."]}
    assert not Incident.objects.exists()
    provider_accounts.block(account.pk, reason=NO_MONEY)
    incidents.watch()
    assert set(received()) == {"mei", "operators"}


def test_owners_hear_nothing_while_another_account_works(owner, operator, account, encryption_key):
    mailbox(owner)
    mailbox(operator)
    make_mission(owner, 2)
    second = add_account("second", "another real key", "https://site.example")
    provider_accounts.block(account.pk, reason=NO_MONEY)
    incidents.watch()
    assert set(received()) == {"operators"}
    provider_accounts.block(second.pk, reason=NO_MONEY)
    incidents.watch()
    assert set(received()) == {"operators", "mei"}
    provider_accounts.resume(account.pk)
    incidents.watch()
    assert received()["mei"] == [WORKS]


def test_who_is_told_of_nothing(owner, stranger, account):
    mailbox(stranger)  # has no mission
    mailbox(owner, [Topic.FINISHED])
    make_mission(owner, 2)
    provider_accounts.block(account.pk, reason=NO_MONEY)
    incidents.watch()
    assert received() == {}


def test_a_pause_on_purpose_is_no_incident(owner, operator, account):
    mailbox(operator)
    provider_accounts.pause_for_person(account.pk, reason="Budget review.")
    incidents.watch()
    provider_accounts.resume(account.pk)
    provider_accounts.block_all(reason=reasons.RESTORED())
    incidents.watch()
    assert received() == {}
    assert not Incident.objects.exists()


def test_switching_a_blocked_account_off_tells_nobody(operator, account):
    mailbox(operator)
    provider_accounts.block(account.pk, reason=NO_MONEY)
    incidents.watch()
    received()
    ProviderAccount.objects.update(is_enabled=False)
    incidents.watch()
    assert received() == {}
    assert not Incident.objects.exists()


@pytest.mark.postgresql
def test_full_disk(owner, operator, settings):
    settings.MIN_FREE_DISK_MB = 100
    mailbox(owner)
    mailbox(operator)
    make_mission(owner, 2)
    low, enough = 99 * disk.MEGABYTE, 200 * disk.MEGABYTE
    rows = [
        WorkerCluster.objects.create(host=host, pid=1, pid_started_at=0, beat_at=timezone.now(), free_disk_bytes=enough)
        for host in ("one", "two")
    ]

    def space(*free: int) -> dict[str, list[str]]:
        for row, count in zip(rows, free, strict=True):
            WorkerCluster.objects.filter(pk=row.pk).update(free_disk_bytes=count)
        incidents.watch()
        return received()

    one = "The disk of one is nearly full: its workers submit nothing more."
    assert space(enough, enough) == {}
    assert space(low, enough) == {"operators": [one]}
    assert space(low, low) == {
        "operators": ["The disk of two is nearly full: its workers submit nothing more."],
        "mei": ["Your missions wait: the server's disk is nearly full."],
    }
    assert space(low, 101 * disk.MEGABYTE) == {}  # only a little more
    assert space(low, enough) == {
        "operators": ["The disk of two has room again: work continues."],
        "mei": ["The server's disk has room again: your missions continue."],
    }
    WorkerCluster.objects.filter(pk=rows[0].pk).update(stopped_at=timezone.now())
    assert space(low, enough) == {}  # gone, not mended
    assert Incident.objects.count() == 1


def test_nothing_is_stored_without_channels(owner, account):
    make_mission(owner, 2)
    provider_accounts.block(account.pk, reason=NO_MONEY)
    incidents.watch()
    assert not Event.objects.exists()
    assert not Delivery.objects.exists()


def test_open_page_names_the_incident(web, owner, account):
    mission = make_mission(owner, 2)
    pulse = f"/missions/{mission.pk}/pulse"
    assert 'data-outcome=""' in web.get(pulse).content.decode()
    provider_accounts.block(account.pk, reason=NO_MONEY)
    incidents.watch()
    page = web.get(pulse).content.decode()
    assert 'data-outcome="stopped"' in page
    assert f'data-outcome-title="{STOPPED}"' in page
    assert str(NO_MONEY) in page
    provider_accounts.resume(account.pk)
    incidents.watch()
    assert STOPPED not in web.get(pulse).content.decode()
