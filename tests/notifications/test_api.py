"""``/webhooks``."""

from __future__ import annotations

from notifications import channels
from notifications.models import Channel, Delivery
from tests.notifications.conftest import work

BODY = {"url": "https://hooks.example.com/in?key=s3cret", "events": ["mission.finished"]}


def test_life_of_a_webhook(api, owner, receiver):
    made = api.client.post(
        "/api/v1/webhooks", {**BODY, "url": receiver.url}, "application/json", headers={"Idempotency-Key": "one"}
    ).json()["data"]
    again = api.client.post(
        "/api/v1/webhooks", {**BODY, "url": receiver.url}, "application/json", headers={"Idempotency-Key": "one"}
    ).json()["data"]
    assert made["secret"].startswith("whsec_")
    assert again == {**made, "secret": None}
    channel = Channel.objects.get()
    here = f"/api/v1/webhooks/{channel.pk}"

    shown = api.client.get(here).json()["data"]
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert "s3cret" not in str(shown)
    changed = api.client.patch(here, {"events": ["item.completed"]}, "application/json").json()["data"]
    assert (changed["events"], changed["host"]) == (["item.completed"], "127.0.0.1")
    assert channels.url_of(channel) == receiver.url

    rotated = api.client.post(f"{here}/secret").json()["data"]
    assert rotated["secret"] != made["secret"]
    assert rotated["old_secret_until"]

    sent = api.client.post(f"{here}/test")
    assert (sent.status_code, sent.json()["data"]["state"]) == (202, "waiting")
    log = f"{here}/deliveries/{sent.json()['data']['id']}"
    assert api.client.post(f"{log}/replay").status_code == 409
    work()
    delivery = api.client.get(log).json()["data"]
    assert (delivery["state"], delivery["tries"][0]["status"], delivery["tries"][0]["answer"]) == (
        "delivered",
        200,
        "ok",
    )
    assert api.client.post(f"{log}/replay").status_code == 202
    work()
    assert receiver.requests[0][0]["webhook-id"] == receiver.requests[1][0]["webhook-id"]
    assert api.client.get(f"{here}/deliveries?state=failed").json()["data"]["total"] == 0

    assert api.client.delete(here).status_code == 204
    assert not Delivery.objects.exists()


def test_tests_are_limited(api, webhook):
    answers = [api.client.post(f"/api/v1/webhooks/{webhook.pk}/test").status_code for _ in range(7)]
    assert answers == [202] * 6 + [429]


def test_number_is_limited(api, owner, encryption_key):
    Channel.objects.bulk_create(Channel(owner=owner, kind="slack") for _ in range(channels.MAX_CHANNELS))
    assert api.client.post("/api/v1/webhooks", BODY, "application/json").status_code == 409


def test_without_an_encryption_key(api):
    answer = api.client.post("/api/v1/webhooks", BODY, "application/json")
    assert answer.status_code == 409
    assert "ENCRYPTION_KEYS" in answer.json()["message"]


def test_other_channels_are_no_webhooks(api, owner):
    channel = Channel.objects.create(owner=owner, kind="slack")
    assert api.client.get(f"/api/v1/webhooks/{channel.pk}").status_code == 404
    assert api.client.get("/api/v1/webhooks").json()["data"]["total"] == 0
