"""Messages: the words for people, and the bodies that each service expects."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from django.conf import settings
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from core.db import reasons
from core.reasons import TEMPLATES, define
from core.templatetags.ui import money
from notifications.models import PING, Cause, ChannelKind, Delivery, EventType, Topic
from providers.adapters.registry import PROVIDERS

# In place of an answer; stored as English sentences and translated when shown.
REDIRECTS = define("message.redirects", "The address redirects, which is not followed. Enter the final address.")()
UNREADABLE = define(
    "message.unreadable",
    "The stored address or secret cannot be read, because ENCRYPTION_KEYS lacks its key. Enter the address again, "
    "and the secret again or a new one.",
)()
MAILED = define("message.mailed", "The mail server has taken it.")()
NOT_MAILED = define("message.not_mailed", "The mail server did not take it.")()
MOST_ENTRIES = 15  # of one message; the rest is counted
SITE = "RunningHub Batch"


@dataclass(frozen=True, slots=True)
class Request:
    """A request that brings a message to a channel that is not a mailbox."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a message by Standard Webhooks."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def request_of(
    kind: str, url: str, secrets: Sequence[str], delivery: Delivery, language: str, now: datetime
) -> Request:
    """Return the request that brings a delivery to a channel of a kind, but for e-mail."""
    if kind == ChannelKind.WEBHOOK:
        body = json.dumps(delivery.payload, ensure_ascii=False, separators=(",", ":")).encode()
        seconds = int(now.timestamp())
        signatures = " ".join(signature(secret, delivery.message_id, seconds, body) for secret in secrets)
        headers = {"webhook-id": delivery.message_id, "webhook-timestamp": str(seconds)}
        return Request(url, body, {**headers, "webhook-signature": signatures, "Content-Type": "application/json"})
    title, lines = words(delivery, language)
    text = "\n".join([title, *lines])
    secret = secrets[0] if secrets else ""
    data: dict[str, Any]
    match kind:
        case ChannelKind.WECOM:
            data = {"msgtype": "text", "text": {"content": _cut(text, 2048)}}
        case ChannelKind.FEISHU:
            data = {"msg_type": "text", "content": {"text": text}}
            if secret:
                seconds = int(now.timestamp())
                digest = hmac.digest(f"{seconds}\n{secret}".encode(), b"", hashlib.sha256)
                data |= {"timestamp": str(seconds), "sign": base64.b64encode(digest).decode()}
        case ChannelKind.DINGTALK:
            data = {"msgtype": "text", "text": {"content": text}}
            if secret:
                milliseconds = int(now.timestamp() * 1000)
                digest = hmac.digest(secret.encode(), f"{milliseconds}\n{secret}".encode(), hashlib.sha256)
                query = urlencode(
                    {"timestamp": milliseconds, "sign": base64.b64encode(digest).decode()}, quote_via=quote, safe=""
                )
                parts = urlsplit(url)
                url = urlunsplit(parts._replace(query=f"{parts.query}&{query}".lstrip("&")))
        case _:
            for plain, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
                text = text.replace(plain, escaped)
            data = {"text": text}
    return Request(url, json.dumps(data, ensure_ascii=False).encode(), {"Content-Type": "application/json"})


def refusal(kind: str, body: bytes) -> bool:
    """Return True if a service says in the body of a 200 that it did not take the message."""
    if kind not in (ChannelKind.WECOM, ChannelKind.FEISHU, ChannelKind.DINGTALK):
        return False
    try:
        answer = json.loads(body)
        return any(answer.get(name) not in (0, None) for name in ("errcode", "code", "StatusCode"))
    except (ValueError, AttributeError):
        return True


def words(delivery: Delivery, language: str) -> tuple[str, list[str]]:
    """Return the title and the lines of a message for a person."""
    with translation.override(language):
        if delivery.type == PING:
            return _("RunningHub Batch: this is a test."), [_("Notifications reach you here.")]
        entries = delivery.payload["events"]
        lines = []
        for entry in entries[:MOST_ENTRIES]:
            lines += _lines(entry)
        if (more := len(entries) - MOST_ENTRIES) > 0:
            lines.append(ngettext("and %d more", "and %d more", more) % more)
        if len(entries) == 1:
            return _("%(site)s: %(sentence)s") % {"site": SITE, "sentence": lines[0]}, lines[1:]
        count = len(entries)
        title = ngettext("%(count)d message", "%(count)d messages", count) % {"count": count}
        return _("%(site)s: %(sentence)s") % {"site": SITE, "sentence": title}, lines


def headline(outcome: str, name: str) -> str:
    """Return a sentence about the outcome of a mission, such as "done"."""
    sentences = {
        "done": _("“%s” is done."),
        "first": _("The first rows of “%s” are done."),
        "failed": _("“%s” has failed."),
        "paused": _("“%s” is paused."),
        "limit": _("“%s” has reached a spending limit."),
        "unconfirmed": _("“%s” needs a decision."),
    }
    return sentences[outcome] % _cut(name, 80)


def incident_headline(details: Mapping[str, Any], *, is_over: bool = False) -> str:
    """Return a sentence about an incident or its end."""
    sentences = {
        Cause.ACCOUNT: (
            _("The account “%(subject)s” is blocked: %(provider)s takes nothing from it."),
            _("The account “%(subject)s” at %(provider)s is used again."),
        ),
        Cause.PROVIDER: (
            _("Your missions wait: %(provider)s takes nothing at present."),
            _("%(provider)s is used again: your missions continue."),
        ),
        Cause.DISK: (
            _("The disk of %(subject)s is nearly full: its workers submit nothing more."),
            _("The disk of %(subject)s has room again: work continues."),
        ),
        Cause.ALL_DISKS: (
            _("Your missions wait: the server's disk is nearly full."),
            _("The server's disk has room again: your missions continue."),
        ),
    }
    kind = PROVIDERS.get(details.get("provider", ""))
    facts = {"subject": _cut(details["subject"], 80), "provider": kind.label if kind else ""}
    return sentences[Cause(details["cause"])][is_over] % facts


def _incident_lines(entry: Mapping[str, Any]) -> list[str]:
    """Return what stopped or goes on, if money was spent, what to do, and where."""
    details = entry["details"]
    cause, is_over = Cause(details["cause"]), entry["type"] == EventType.SERVICE_RESUMED
    lines = [incident_headline(details, is_over=is_over)]
    if not is_over:
        if reason := reasons.display(entry["reason"], entry["reason_code"], entry["reason_params"]):
            lines.append(_cut(reason, 500))
        lines.append(
            _("Nothing is lost, and nothing is charged for what waits. What was sent before is charged as usual.")
        )
        lines.append(
            {
                Cause.ACCOUNT: _(
                    "Remove the cause, then resume the account. Until then its items wait, or go to other accounts."
                ),
                Cause.PROVIDER: _(
                    "You need not do anything: the missions continue when an operator has removed the cause."
                ),
                Cause.DISK: _(
                    "Free some space: manage.py cleanup shows what can be deleted. Work then continues by itself."
                ),
                Cause.ALL_DISKS: _(
                    "You need not do anything: the missions continue when an operator has freed some space."
                ),
            }[cause]
        )
    if settings.PUBLIC_BASE_URL:
        address = reverse("missions:list")
        if cause == Cause.ACCOUNT:
            address = reverse("admin:providers_provideraccount_change", args=[details["account_id"]])
        elif cause == Cause.DISK:
            address = reverse("control_room:show")
        lines.append(f"{settings.PUBLIC_BASE_URL}{address}")
    return lines


def _lines(entry: Mapping[str, Any]) -> list[str]:
    """Return what happened in a sentence, then its details and the address of the mission."""
    if entry.get("details"):
        return _incident_lines(entry)
    name = str(entry.get("name") or entry["api_mission_id"])
    match entry["type"]:
        case EventType.MISSION_FINISHED:
            outcome = "done" if entry["status"] == "completed" else "failed"
        case EventType.MISSION_PAUSED:
            outcome = "limit" if Topic.LIMIT in entry["topics"] else "paused"
            if Topic.FINISHED in entry["topics"]:  # of its first rows
                outcome = "first"
        case _:
            outcome = "unconfirmed"
    lines = [headline(outcome, name)]
    counts = entry.get("counts")
    if counts:
        facts = [ngettext("%d completed", "%d completed", counts["completed"]) % counts["completed"]]
        if count := counts["failed"]:
            facts.append(ngettext("%d failed", "%d failed", count) % count)
        if count := counts["unconfirmed"]:
            facts.append(ngettext("%d unconfirmed", "%d unconfirmed", count) % count)
        if entry.get("currency"):
            facts.append(money(Decimal(entry["cost"]), entry["currency"]))
        lines.append(" · ".join(facts))
    if reason := reasons.display(entry["reason"], entry["reason_code"], entry["reason_params"]):
        lines.append(_cut(reason, 500))
    if entry["type"] == EventType.MISSION_UNCONFIRMED:
        lines.append(_("Some items were sent without an answer and may have been charged. Look at them."))
    if settings.PUBLIC_BASE_URL:
        lines.append(f"{settings.PUBLIC_BASE_URL}/missions/{entry['api_mission_id']}")
    return lines


def _cut(text: str, length: int) -> str:
    """Cut a text to ``length`` bytes of UTF-8, as the services count."""
    encoded = text.encode()
    return text if len(encoded) <= length else encoded[: length - 3].decode(errors="ignore") + "…"


def label_of(event_type: str) -> str:
    """Return the name of an event for people."""
    return _("Test") if event_type == PING else str(dict(EventType.choices).get(event_type, event_type))


def shown_answer(answer: str) -> str:
    """Return the answer of a receiver, or our own reason in the reader's language."""
    return _(answer) if answer in TEMPLATES.values() else answer
