"""Channels of people: words, formats of the services, few messages, the pages."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core import mail
from django.utils import timezone

from accounts.models import Profile
from billing.reasons import MISSION_LIMIT_REACHED
from missions import lifecycle, reasons
from missions.lifecycle.missions import pause_locked
from missions.lifecycle.moves import lock_mission
from missions.models import Mission
from notifications import announce, channels, messages
from notifications.models import Channel, Delivery, Topic
from tests import factories
from tests.notifications.conftest import later, work
from tests.notifications.test_webhooks import finish

ALL = list(Topic.values)
NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)


@pytest.fixture
def mailbox(owner, settings) -> Channel:
    settings.EMAIL_HOST, settings.DEFAULT_FROM_EMAIL = "mail.example.com", "batch@example.com"
    settings.PUBLIC_BASE_URL = "https://batch.example.com"
    return channels.create(owner=owner, kind="email", address="mei@example.com", events=ALL)[0]


def pause(mission: Mission, reason: str) -> None:
    pause_locked(lock_mission(mission.pk), reason=reason)


def test_end_is_mailed_in_the_language_of_the_person(mailbox, owner, account):
    Profile.objects.create(user=owner, language="zh-hans")
    mission = factories.make_mission(owner, 2, name="Teapots")
    finish(mission, account)
    work()
    [message] = mail.outbox
    assert message.to == ["mei@example.com"]
    assert message.subject == "RunningHub Batch：“Teapots”已完成。"
    assert message.body.split("\n") == ["2 个完成 · ¥0.10", f"https://batch.example.com/missions/{mission.pk}"]


def test_topics(mailbox, owner, account):
    """Each move of a mission, and the topic of its message; None: no message."""
    for act, topic in (
        (lambda mission: finish(mission, account), "finished"),
        (lambda mission: pause(mission, reasons.KEY_CHANGED()), "trouble"),
        (lambda mission: pause(mission, MISSION_LIMIT_REACHED()), "limit"),
        (lambda mission: lifecycle.pause(mission.pk, actor="user:1", reason=""), None),
        (lambda mission: lifecycle.cancel(mission.pk, actor="user:1"), None),
    ):
        Delivery.objects.all().delete()
        mail.outbox.clear()
        act(factories.make_mission(owner, 1))
        for events in [ALL] if topic is None else [[each for each in ALL if each != topic], [topic]]:
            channels.update(channel=mailbox, events=events)
            if events == [topic]:
                act(factories.make_mission(owner, 1))
            work()
            assert len(mail.outbox) == (events == [topic]), (topic, events)


def test_messages_of_a_minute_are_one(mailbox, owner, account):
    for number in range(1, 21):
        finish(factories.make_mission(owner, 1, name=f"Set {number}"), account)
        work()
    assert [message.subject for message in mail.outbox] == ["RunningHub Batch: “Set 1” is done."]
    later(61)
    later(61)
    assert len(mail.outbox) == 2
    assert mail.outbox[1].subject == "RunningHub Batch: 19 messages"
    assert mail.outbox[1].body.count("is done") == messages.MOST_ENTRIES
    assert "and 4 more" in mail.outbox[1].body


def test_unconfirmed_items_are_one_message(mailbox, owner, account):
    mission = factories.make_mission(owner, 4)
    attempts = factories.claim(mission, account, 4)
    factories.begin(*attempts)
    factories.lose_answer(attempts[3])
    assert factories.accept(attempts[3])  # it was found
    later(61)
    assert not mail.outbox
    for attempt in attempts[:2]:
        factories.lose_answer(attempt)
    work()
    assert not mail.outbox  # perhaps they are found, too
    later(61)
    factories.lose_answer(attempts[2])
    later(61)
    assert [message.subject for message in mail.outbox] == ["RunningHub Batch: “Teapots” needs a decision."]
    assert "2 unconfirmed" in mail.outbox[0].body
    later(3600)
    assert len(mail.outbox) == 2
    assert "3 unconfirmed" in mail.outbox[1].body
    later(3600)
    later(3600)
    assert len(mail.outbox) == 2


def test_odd_charge_of_the_first_rows_is_trouble(mailbox, owner, account):
    channels.update(channel=mailbox, events=["trouble"])
    mission = factories.make_mission(owner, 9, run_first=1)
    [attempt] = factories.claim(mission, account)
    factories.begin(attempt)
    factories.accept(attempt)
    factories.succeed(attempt, cost="0.50")
    work()
    [message] = mail.outbox
    assert message.subject == "RunningHub Batch: “Teapots” is paused."
    assert "0.50" in message.body


def test_end_during_a_try_is_a_message_of_its_own(mailbox, owner, account, monkeypatch):
    send = mail.EmailMessage.send

    def send_slowly(message: mail.EmailMessage) -> int:
        if Mission.objects.count() == 1:
            finish(factories.make_mission(owner, 1, name="Cups"), account)
            announce.announce(timezone.now())
        return send(message)

    monkeypatch.setattr(mail.EmailMessage, "send", send_slowly)
    finish(factories.make_mission(owner, 1), account)
    work()
    later(61)
    subjects = [message.subject for message in mail.outbox]
    assert subjects == ["RunningHub Batch: “Teapots” is done.", "RunningHub Batch: “Cups” is done."]


def test_formats_of_the_services(db):
    entry = {
        "api_mission_id": 7,
        "name": "A <b> & c",
        "type": "mission.paused",
        "status": "paused",
        "topics": ["limit"],
    }
    entry |= {"reason": "", "reason_code": None, "reason_params": None}
    delivery = Delivery(type="mission.paused", payload={"events": [entry]})
    text = "RunningHub Batch: “A <b> & c” has reached a spending limit."
    url = "https://example.com/hook?access_token=t"

    def sent(kind: str, *secrets: str) -> tuple[str, Any]:
        request = messages.request_of(kind, url, secrets, delivery, "en", NOW)
        return request.url, json.loads(request.body)

    assert sent("wecom") == (url, {"msgtype": "text", "text": {"content": text}})
    assert sent("slack") == (url, {"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")})
    assert sent("feishu") == (url, {"msg_type": "text", "content": {"text": text}})
    seconds = str(int(NOW.timestamp()))
    signature = hmac.new(f"{seconds}\ns3cret".encode(), b"", hashlib.sha256).digest()
    body = sent("feishu", "s3cret")[1]
    assert (body["timestamp"], base64.b64decode(body["sign"])) == (seconds, signature)
    address, body = sent("dingtalk", "SECret")
    query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    signature = hmac.new(b"SECret", f"{seconds}000\nSECret".encode(), hashlib.sha256).digest()
    assert query == {"access_token": "t", "timestamp": f"{seconds}000", "sign": base64.b64encode(signature).decode()}
    assert body == {"msgtype": "text", "text": {"content": text}}


def test_refusals_in_an_answer_count(owner, receiver, account):
    for kind, answer, is_delivered in (
        ("wecom", {"errcode": 0, "errmsg": "ok"}, True),
        ("wecom", {"errcode": 93000, "errmsg": "invalid webhook url"}, False),
        ("feishu", {"code": 0, "msg": "success", "data": {}}, True),
        ("feishu", {"code": 19021, "msg": "sign match fail"}, False),
        ("dingtalk", {"errcode": 310000, "errmsg": "sign not match"}, False),
        ("slack", "ok", True),
    ):
        receiver.body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        channel, _ = channels.create(owner=owner, kind=kind, address=receiver.url, events=["finished"])
        delivery = channels.send_test(channel=channel)
        work()
        delivery.refresh_from_db()
        assert delivery.state == ("delivered" if is_delivered else "failed"), (kind, answer)
        assert delivery.last_try["answer"] == receiver.body.decode()


def test_addresses_of_other_services_are_refused(owner, encryption_key, settings):
    for kind, address in (
        ("wecom", "https://hooks.slack.com/services/T/B/x"),
        ("feishu", "https://example.com/open-apis/bot/v2/hook/x"),
        ("dingtalk", "http://oapi.dingtalk.com/robot/send?access_token=x"),
        ("email", "nobody"),
    ):
        settings.EMAIL_HOST = "mail.example.com"
        with pytest.raises(channels.ChannelInvalid):
            channels.create(owner=owner, kind=kind, address=address, events=["finished"])
    settings.EMAIL_HOST = ""
    with pytest.raises(channels.ChannelInvalid):
        channels.create(owner=owner, kind="email", address="mei@example.com", events=["finished"])


def test_pages(web, owner, receiver):
    page = web.post(
        "/accounts/notifications/new?kind=webhook", {"address": "http://x.example/", "events": ["mission.finished"]}
    )
    assert page.status_code == 422
    assert "https://" in page.text
    fields = {"address": receiver.url, "events": ["mission.finished"], "name": "Shop"}
    page = web.post("/accounts/notifications/new?kind=webhook", fields)
    channel = Channel.objects.get()
    secret = channels.secrets_of(channel, NOW)[0]
    here = f"/accounts/notifications/{channel.pk}"
    assert secret in page.text
    assert "Shop" in web.get("/accounts/notifications").text
    assert secret not in web.get(here).text
    assert receiver.url not in web.get(here).text

    web.post(f"{here}/test")
    assert "every 2s" in web.get(here).text
    work()
    page = web.get(here)
    assert "200 ok" in page.text
    assert "every 2s" not in page.text
    delivery = Delivery.objects.get()
    there = f"{here}/deliveries/{delivery.pk}"
    assert delivery.message_id in web.get(there).text
    web.post(there)
    work()
    assert len(receiver.requests) == 2

    web.post(here, {"address": "", "events": ["item.failed"], "name": "Other"})
    channel.refresh_from_db()
    assert (channel.name, channel.events, channels.url_of(channel)) == ("Other", ["item.failed"], receiver.url)
    assert channels.secrets_of(channel, NOW) == [secret]
    web.post(f"{here}/secret")
    channel.refresh_from_db()
    assert channels.secrets_of(channel, NOW)[0] != secret
    web.post(f"{here}/switch", {"is_enabled": "0"})
    web.post(f"{here}/test")
    assert Delivery.objects.count() == 1
    web.post(f"{here}/delete")
    assert not Channel.objects.exists()


def test_given_up_channel_is_announced(web, owner):
    Channel.objects.create(
        owner=owner, kind="slack", shown_address="hooks.slack.com", given_up_at=NOW, is_enabled=False
    )
    assert "were switched off" in web.get("/accounts/notifications").text
