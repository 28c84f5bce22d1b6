"""Webhooks for programs: signed, tried again, replayed, never inward, never leaked."""

from __future__ import annotations

import logging
import socket
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from django.utils import timezone
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from missions import lifecycle, services
from notifications import announce, channels, delivery, tasks
from notifications import services as notifications
from notifications.models import Cause, Channel, Delivery, Event
from providers import encryption
from providers.adapters import http
from providers.provider_accounts import NO_OWN_KEY
from tests import factories, http_servers
from tests.notifications.conftest import later, work


def finish(mission, account) -> None:
    for attempt in factories.claim(mission, account, 10):
        factories.begin(attempt)
        factories.accept(attempt)
        factories.succeed(attempt, urls=())


def test_message_is_signed(webhook, receiver, owner, account):
    mission = factories.make_mission(owner, 2)
    finish(mission, account)
    assert Event.objects.count() == 1
    work()

    [(headers, body)] = receiver.requests
    message = Webhook(webhook.secret).verify(body, headers)
    assert message["type"] == "mission.finished"
    assert message["data"] | {"name": ""} == {
        "api_mission_id": mission.pk,
        "status": "completed",
        "reason_code": None,
        "name": "",
        "total_count": 2,
        "counts": dict.fromkeys(message["data"]["counts"], 0) | {"completed": 2},
        "cost": "0.10",
        "currency": "CNY",
    }
    with pytest.raises(WebhookVerificationError):
        Webhook(webhook.secret).verify(body.replace(b"completed", b"cancelled"), headers)
    assert not Event.objects.exists()
    assert Delivery.objects.get().state == "delivered"


def test_incidents(receiver, owner, account):
    channels.create(owner=owner, kind="webhook", address=receiver.url, events=["service.stopped", "service.resumed"])
    facts = {"provider": "runninghub"}
    reason = NO_OWN_KEY()
    for _ in range(2):
        notifications.begin_incident(
            Cause.PROVIDER, "runninghub", people=lambda: [owner.pk], details=facts, reason=reason
        )
    work()
    incident = notifications.incident_for("runninghub")
    for _ in range(2):
        notifications.end_incident(incident, people=lambda: [owner.pk])
    work()
    assert [body["type"] for body in receiver.bodies] == ["service.stopped", "service.resumed"]
    data = {"cause": "provider", "subject": "runninghub", "provider": "runninghub", "reason_code": "no_own_key"}
    assert [body["data"] for body in receiver.bodies] == [data, data]


def test_event_is_undone_with_its_move(webhook, owner, account):
    mission = factories.make_mission(owner, 1)
    with transaction.atomic():
        lifecycle.pause(mission.pk, actor="user:1", reason="")
        assert Event.objects.count() == 1
        transaction.set_rollback(True)
    assert not Event.objects.exists()


def test_nothing_is_stored_without_a_channel(owner, account):
    finish(factories.make_mission(owner, 1), account)
    assert not Event.objects.exists()


def test_end_waits_for_files(webhook, receiver, owner, account):
    mission = factories.make_mission(owner, 1)
    [attempt] = factories.claim(mission, account)
    factories.begin(attempt)
    factories.accept(attempt)
    assert factories.succeed(attempt)
    work()
    assert not receiver.requests
    lifecycle.abandon_outputs(mission.pk)
    later(3)
    assert len(receiver.requests) == 1


def test_items_are_told_to_those_who_ask(webhook, receiver, owner, account):
    channels.update(channel=webhook, events=["item.completed", "item.failed"])
    mission = factories.make_mission(owner, 2)
    first, second = factories.claim(mission, account, 2)
    assert factories.begin(first, second)
    assert factories.accept(first, second, task_id="")
    factories.succeed(first)
    factories.fail(second)
    work()
    assert [(body["type"], body["data"]["item"], body["data"]["error_code"]) for body in receiver.bodies] == [
        ("item.completed", 1, ""),
        ("item.failed", 2, "1015"),
    ]


def test_failed_message_is_tried_again_with_its_id(webhook, receiver, owner, account):
    receiver.status, receiver.body = 500, b"broken: " + receiver.url.encode() + b" " + webhook.secret.encode()
    finish(factories.make_mission(owner, 1), account)
    before = timezone.now()
    work()
    work()
    assert len(receiver.requests) == 1  # not yet again
    for wait in delivery.RETRY_SECONDS:
        row = Delivery.objects.get()
        assert row.state == "waiting"
        assert before <= row.next_try_at - timedelta(seconds=wait) <= timezone.now()
        before = timezone.now()
        later(wait + 1)
    row = Delivery.objects.get()
    assert (row.state, len(receiver.requests)) == ("failed", len(delivery.RETRY_SECONDS) + 1)
    assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 1
    assert {each["status"] for each in row.tries} == {500}
    assert row.tries[0]["answer"] == "broken: ••• •••"
    webhook.refresh_from_db()
    assert webhook.given_up_at
    assert not webhook.is_enabled

    receiver.status = 204
    channels.update(channel=webhook, is_enabled=True)
    channels.replay(delivery=row)
    work()
    row.refresh_from_db()
    webhook.refresh_from_db()
    assert (row.state, webhook.failing_since, webhook.given_up_at) == ("delivered", None, None)
    assert receiver.requests[-1][0]["webhook-id"] == row.message_id


def test_retry_after_is_heeded(webhook, receiver, owner, account):
    receiver.status, receiver.more_headers = 503, b"Retry-After: 120\r\n"
    finish(factories.make_mission(owner, 1), account)
    work()
    assert Delivery.objects.get().next_try_at > timezone.now() + timedelta(seconds=100)


def test_gone_switches_it_off(webhook, receiver, owner, account):
    receiver.status = 410
    finish(factories.make_mission(owner, 1), account)
    work()
    webhook.refresh_from_db()
    assert (webhook.is_enabled, Delivery.objects.get().state) == (False, "failed")


def test_redirect_is_not_followed(webhook, receiver, owner, account):
    with http_servers.serving(http_servers.answers(b"{}")) as inner:
        receiver.status, receiver.more_headers = 302, b"Location: %b/\r\n" % inner.url.encode()
        finish(factories.make_mission(owner, 1), account)
        work()
        assert inner.connections == 0
    assert "redirects" in Delivery.objects.get().last_try["answer"]


def test_hanging_receiver_delays_nobody(webhook, receiver, owner, account, settings, monkeypatch):
    monkeypatch.setattr(http, "MESSAGE_TIMEOUT", http.Timeout(0.3, 0.3, 0.3))
    with http_servers.serving(http_servers.drips(b"HTTP/1.1 200 OK\r\nX: ")) as slow:
        settings.NOTIFICATION_ALLOWED_HOSTS += [f"127.0.0.1:{slow.port}"]
        channel, _ = channels.create(owner=owner, kind="webhook", address=slow.url, events=["mission.finished"])
        for _number in range(3):
            finish(factories.make_mission(owner, 1), account)
        work()
        assert (slow.connections, len(receiver.requests)) == (1, 3)  # it rests after a failure
    assert channel.deliveries.filter(state="waiting").count() == 3
    assert "too long" in channel.deliveries.exclude(try_count=0).get().last_try["answer"]


ADDRESSES = {
    "https://127.0.0.1/": ["127.0.0.1"],
    "https://2130706433/": ["127.0.0.1"],
    "https://inner.example/": ["10.0.0.5"],
    "https://metadata.example/": ["169.254.169.254"],
    "https://six.example/": ["::1"],
    "https://mapped.example/": ["::ffff:192.168.1.1"],
    "https://nat.example/": ["64:ff9b::7f00:1"],
}


def test_private_addresses_are_refused(owner, account, encryption_key, monkeypatch, caplog):
    answers: dict[str, list[str]] = {url.split("/")[2]: each for url, each in ADDRESSES.items()}

    def resolve(host, port, *_, **__):
        family = socket.AF_INET6 if ":" in answers[host][0] else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port)) for address in answers[host]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    for url in ADDRESSES:
        channels.create(owner=owner, kind="webhook", address=url, events=["mission.finished"])
    finish(factories.make_mission(owner, 1), account)
    work()
    assert [row.last_try["answer"] for row in Delivery.objects.all()] == [http.IS_PRIVATE] * len(ADDRESSES)


def test_checked_address_is_the_one_that_is_used(owner, account, encryption_key, monkeypatch):
    """A name that resolves to a public address when it is checked, and then to a private one."""
    asked = []

    def resolve(host, port, *_, **__):
        asked.append(host)
        if host != "rebinds.example":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        address = "93.184.216.34" if asked.count(host) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    url = "https://rebinds.example/"
    channels.create(owner=owner, kind="webhook", address=url, events=["mission.finished"])
    finish(factories.make_mission(owner, 1), account)
    work()
    assert asked == ["rebinds.example", "93.184.216.34"]


def test_addresses_that_are_refused(owner, encryption_key):
    for url in (
        "http://example.com/",
        "ftp://example.com/",
        "https://mei:password@example.com/",
        "https://",
        "nonsense",
        "https://a.example/\n",
        "https://a.example:port/",
        "https://[::1",
    ):
        with pytest.raises(channels.ChannelInvalid) as refused:
            channels.create(owner=owner, kind="webhook", address=f"{url}x" if "\n" in url else url, events=["ping"])
        assert [error.field for error in refused.value.errors] == ["url", "events"], url


def test_both_secrets_sign_for_a_day(webhook, receiver, owner):
    new = channels.rotate_secret(channel=webhook)
    webhook.refresh_from_db()
    channels.send_test(channel=webhook)
    work()
    headers, body = receiver.requests[0]
    for secret in (webhook.secret, new):
        assert Webhook(secret).verify(body, headers)["type"] == "ping"
    channels.send_test(channel=webhook)
    later(86_400)
    headers, body = receiver.requests[1]
    Webhook(new).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(webhook.secret).verify(body, headers)


def test_keys_are_replaced(webhook, receiver, encryption_key, settings):
    new = encryption.new_key()
    settings.ENCRYPTION_KEYS = [new, encryption_key]
    call_command("provider_accounts", "reseal")
    settings.ENCRYPTION_KEYS = [new]
    webhook.refresh_from_db()
    assert channels.url_of(webhook) == receiver.url
    assert channels.secrets_of(webhook, timezone.now()) == [webhook.secret]


def test_channel_works_again_after_its_key_was_lost(webhook, receiver, settings):
    settings.ENCRYPTION_KEYS = [encryption.new_key()]
    channels.send_test(channel=webhook)
    work()
    assert not receiver.requests
    channels.update(channel=webhook, address=receiver.url)
    new = channels.rotate_secret(channel=webhook)
    channels.send_test(channel=webhook)
    work()
    headers, body = receiver.requests[0]
    assert Webhook(new).verify(body, headers)["type"] == "ping"


def test_old_deliveries_expire(webhook, owner):
    for days in (31, 29):
        Delivery.objects.create(channel=webhook, type="ping", created_at=timezone.now() - timedelta(days=days))
    tasks.expire_deliveries()
    assert Delivery.objects.count() == 1


def test_secrets_do_not_leak(webhook, receiver, owner, account, admin_client, caplog):
    caplog.set_level(logging.DEBUG)
    receiver.status, receiver.body = 400, f"no: {receiver.url} {webhook.secret}".encode()
    finish(factories.make_mission(owner, 1), account)
    work()
    row = Delivery.objects.get()
    secret_parts = ("a-secret-path", "abcdefgh", webhook.secret)
    columns = str(list(Channel.objects.values())) + str(list(Delivery.objects.values()))
    pages = [
        admin_client.get(address).text
        for address in (
            "/admin/notifications/channel/",
            f"/admin/notifications/channel/{webhook.pk}/change/",
            "/admin/notifications/delivery/",
            f"/admin/notifications/delivery/{row.pk}/change/",
        )
    ]
    # urllib3's own DEBUG lines are switched off by the settings, which caplog overrules.
    lines = "\n".join(record.getMessage() for record in caplog.records if record.name != "urllib3.connectionpool")
    for text in (columns, lines, *pages):
        assert not [part for part in secret_parts if part in text]


def test_lost_worker_is_made_up_for(webhook, receiver, owner, account):
    finish(factories.make_mission(owner, 1), account)
    announce.announce(timezone.now())
    lease = timezone.now() + delivery.LEASE  # as a worker leaves it that dies while it sends
    Channel.objects.update(busy_until=lease)
    Delivery.objects.update(next_try_at=lease)
    work()
    assert not receiver.requests
    later(61)
    assert len(receiver.requests) == 1


def test_failed_claim_holds_no_thread(webhook, receiver, owner, account):
    def fail(execute, sql, *more):
        if sql.startswith("UPDATE"):
            raise OperationalError
        return execute(sql, *more)

    finish(factories.make_mission(owner, 1), account)
    announce.announce(timezone.now())
    for _ in range(delivery.MOST_THREADS):
        with pytest.raises(OperationalError), transaction.atomic(), connection.execute_wrapper(fail):
            delivery.send_due(timezone.now())
    delivery.send_due(timezone.now())
    assert len(receiver.requests) == 1


def test_deleted_mission_and_person_leave_nothing(webhook, receiver, owner, account):
    mission = factories.make_mission(owner, 1)
    finish(mission, account)
    lifecycle.request_deletion(mission.pk, actor="user:1")
    assert services.purge_mission(mission.pk)
    work()
    assert [body["data"]["api_mission_id"] for body in receiver.bodies] == [mission.pk]
    owner.delete()
    assert [model.objects.count() for model in (Channel, Delivery, Event)] == [0, 0, 0]


def test_inactive_person_gets_nothing(webhook, receiver, owner, account):
    finish(factories.make_mission(owner, 1), account)
    owner.is_active = False
    owner.save()
    work()
    assert not receiver.requests
