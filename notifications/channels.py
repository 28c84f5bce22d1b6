"""Add, change and remove channels; test them; replay deliveries."""

from __future__ import annotations

import base64
import contextlib
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit import services as audit
from accounts.audit.models import Verb
from core.errors import FieldError, Invalid, NotPossible
from core.ui.notices import Notice
from notifications.models import ITEM_EVENTS, PING, Channel, ChannelKind, Delivery, DeliveryState, EventType, Topic
from providers import encryption
from providers.adapters import http
from workers import queue

MAX_CHANNELS = 20  # per person
MAX_URL = 2000
MAX_SECRET = 200
OLD_SECRET_VALID = timedelta(hours=24)
TESTS_PER_MINUTE = 6
SECRET_PREFIX = "whsec_"  # noqa: S105  the prefix that Standard Webhooks prescribes

SIGNING_KINDS = (ChannelKind.FEISHU, ChannelKind.DINGTALK)  # services that may give a bot a secret
# The hosts of the services. Slack's format is also that of Mattermost and others, on any host.
HOSTS: dict[str, tuple[str, ...]] = {
    ChannelKind.WECOM: ("qyapi.weixin.qq.com",),
    ChannelKind.FEISHU: ("open.feishu.cn", "open.larksuite.com"),
    ChannelKind.DINGTALK: ("oapi.dingtalk.com",),
}


class ChannelInvalid(Invalid):
    """The channel cannot be saved. Nothing was changed; ``errors`` names every field."""


class TooManyTests(NotPossible):
    """The channel was tested too often in the last minute."""

    status = 429


def offered_kinds() -> list[ChannelKind]:
    """Return the kinds of channels that this site can serve: e-mail only with a mail server."""
    return [kind for kind in ChannelKind if kind != ChannelKind.EMAIL or settings.EMAIL_HOST]


def choices_of(kind: str) -> type[EventType] | type[Topic]:
    """Return the events that a channel of a kind can subscribe to."""
    return EventType if kind == ChannelKind.WEBHOOK else Topic


def create(
    *,
    owner: User,
    kind: str,
    address: str,
    events: Collection[str],
    name: str = "",
    secret: str = "",
) -> tuple[Channel, str]:
    """Add a channel. Return it and, for a webhook, the new secret of its signatures.

    ``secret`` is the one that Feishu or DingTalk shows for the bot. Raises ChannelInvalid with all
    errors.
    """
    if kind not in offered_kinds():
        message = _("This site sends no e-mail: an operator has to set EMAIL_HOST first.")
        raise ChannelInvalid([FieldError("kind", message)])
    channel = Channel(owner_id=owner.pk, kind=kind, name=name.strip())
    webhook_secret = new_secret() if kind == ChannelKind.WEBHOOK else ""
    _fill(channel, address=address, events=events, secret=webhook_secret or secret)
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=owner.pk)  # two requests at once
        if Channel.objects.filter(owner=owner.pk).count() >= MAX_CHANNELS:
            raise NotPossible(_("You have %d channels, which is the limit. Delete one first.") % MAX_CHANNELS)
        channel.save(force_insert=True)
        audit.record(Verb.CHANNEL_CREATE, channel, kind=kind, address=channel.shown_address)
    return channel, webhook_secret


def update(
    *,
    channel: Channel,
    address: str | None = None,
    events: Collection[str] | None = None,
    name: str | None = None,
    secret: str | None = None,
    is_enabled: bool | None = None,
) -> Channel:
    """Change what is not None. Enabling it again sends what has waited since.

    Raises ChannelInvalid, or DoesNotExist when it was deleted meanwhile.
    """
    with transaction.atomic():
        channel = Channel.objects.select_for_update(no_key=True).get(pk=channel.pk)
        _fill(channel, address=address, events=events, secret=secret)
        if name is not None:
            channel.name = name.strip()
        if is_enabled is not None:
            channel.is_enabled = is_enabled
        if is_enabled or address is not None:
            channel.given_up_at = channel.failing_since = None
            channel.busy_until = timezone.now()
        channel.save()
        audit.record(Verb.CHANNEL_CHANGE, channel, is_enabled=channel.is_enabled, address=channel.shown_address)
    return channel


def delete(*, channel: Channel) -> None:
    """Delete a channel and its deliveries. What waits is not sent."""
    with transaction.atomic():
        audit.record(Verb.CHANNEL_DELETE, channel, kind=channel.kind, address=channel.shown_address)
        channel.delete()


def rotate_secret(*, channel: Channel) -> str:
    """Give a webhook a new secret and return it. For a day messages are signed with both."""
    secret = new_secret()
    with transaction.atomic():
        channel = Channel.objects.select_for_update(no_key=True).get(pk=channel.pk)
        channel.sealed_old_secret, channel.sealed_secret = channel.sealed_secret, _seal(secret)
        channel.old_secret_until = timezone.now() + OLD_SECRET_VALID
        channel.save(update_fields=["sealed_old_secret", "sealed_secret", "old_secret_until"])
        audit.record(Verb.CHANNEL_CHANGE, channel, has_new_secret=True)
    return secret


def send_test(*, channel: Channel) -> Delivery:
    """Let a worker send a test message, once. Raises NotPossible and TooManyTests."""
    if not channel.is_enabled:
        raise NotPossible(_("The channel is switched off. Switch it on first; nothing was sent."))
    with transaction.atomic():
        Channel.objects.select_for_update(no_key=True).get(pk=channel.pk)
        recent = channel.deliveries.filter(type=PING, created_at__gt=timezone.now() - timedelta(minutes=1))
        if recent.count() >= TESTS_PER_MINUTE:
            raise TooManyTests(_("A test can be sent %d times a minute. Wait a moment.") % TESTS_PER_MINUTE)
        payload: dict[str, Any] = {"type": PING, "timestamp": timestamp(timezone.now()), "data": {}}
        delivery = Delivery.objects.create(channel=channel, type=PING, payload=payload)
        _wake(channel)
    return delivery


def replay(*, delivery: Delivery) -> Delivery:
    """Send a message that has ended once more, with its id. Raises NotPossible if it has not."""
    with transaction.atomic():
        delivery = Delivery.objects.select_for_update(of=("self",)).select_related("channel").get(pk=delivery.pk)
        if delivery.state == DeliveryState.WAITING:
            raise NotPossible(_("It is still waiting to be sent; its page shows when."))
        if not delivery.channel.is_enabled:
            raise NotPossible(_("The channel is switched off. Switch it on first; nothing was sent."))
        delivery.state, delivery.try_count, delivery.ended_at = DeliveryState.WAITING, 0, None
        delivery.next_try_at = timezone.now()
        delivery.save(update_fields=["state", "try_count", "ended_at", "next_try_at"])
        _wake(delivery.channel)
    return delivery


def _wake(channel: Channel) -> None:
    """Let a worker see to a channel at once, even if it rests after a failure."""
    if channel.failing_since:
        Channel.objects.filter(pk=channel.pk).update(busy_until=timezone.now())
    queue.send("notify")


def page_notices(user: AbstractBaseUser | AnonymousUser) -> Sequence[Notice]:
    """Return a notice for channels of the user that were given up."""
    if not user.is_authenticated:
        return []
    given_up = Channel.objects.filter(owner=user.pk, given_up_at__isnull=False).first()
    if given_up is None:
        return []
    text = _("Notifications to %s were switched off, because none could be delivered for more than a day.") % given_up
    url = reverse("notifications:channel", args=[given_up.pk])
    return [Notice("channel", "warning", text, url, _("Check the channel"))]


# --- Addresses and secrets ---


def url_of(channel: Channel) -> str:
    """Return the address of a channel. Raises encryption.Unreadable."""
    return channel.shown_address if channel.kind == ChannelKind.EMAIL else encryption.unseal(channel.sealed_url)


def secrets_of(channel: Channel, now: datetime) -> list[str]:
    """Return the secrets that sign now, the newest first. Raises encryption.Unreadable."""
    opened = [encryption.unseal(channel.sealed_secret)] if channel.sealed_secret else []
    if channel.sealed_old_secret and channel.old_secret_until and channel.old_secret_until > now:
        with contextlib.suppress(encryption.Unreadable):  # it was replaced because its key is lost
            opened.append(encryption.unseal(channel.sealed_old_secret))
    return opened


def reseal() -> int:
    """Encrypt every address and secret with the first of ENCRYPTION_KEYS. Return how many."""
    count = 0
    for channel in Channel.objects.order_by("pk"):
        for name in ("sealed_url", "sealed_secret", "sealed_old_secret"):
            before = getattr(channel, name)
            if not before:
                continue
            try:
                sealed = encryption.reseal(before)
            except encryption.Unreadable:
                continue  # its deliveries say so
            count += Channel.objects.filter(pk=channel.pk, **{name: before}).update(**{name: sealed})
    return count


def new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def timestamp(moment: datetime) -> str:
    """Return a time as payloads have it: RFC 3339 in UTC."""
    return moment.isoformat().replace("+00:00", "Z")


def _fill(
    channel: Channel, *, address: str | None = None, events: Collection[str] | None = None, secret: str | None = None
) -> None:
    """Check values and set them. Raises ChannelInvalid with all errors."""
    errors: list[FieldError] = []
    if address is not None:
        address = address.strip()
        problem = _address_problem(channel.kind, address)
        if problem:
            errors.append(FieldError("url", problem))
        elif channel.kind == ChannelKind.EMAIL:
            channel.shown_address = address
        else:
            channel.sealed_url, channel.shown_address = _seal(address), (urlsplit(address).hostname or "")[:254]
    if events is not None:
        words = choices_of(channel.kind)
        unknown = [event for event in events if event not in words.values]
        if unknown or not events:
            errors.append(FieldError("events", _("Choose at least one of: %s.") % ", ".join(words.values)))
        channel.events = [event for event in words.values if event in events]
        channel.wants_items = any(event in channel.events for event in ITEM_EVENTS)
    if secret is not None:
        channel.sealed_secret = _seal(secret.strip()) if secret.strip() else ""
    if errors:
        raise ChannelInvalid(errors)


def _address_problem(kind: str, address: str) -> str:
    """Return what is wrong with an address, "" if nothing is.

    Hosts are resolved only when something is sent, so that a name cannot change its meaning later.
    """
    if kind == ChannelKind.EMAIL:
        try:
            validate_email(address)
        except ValidationError:
            return _("This is not an e-mail address.")
        return ""
    try:
        parts = urlsplit(address)
        host, has_login = parts.hostname or "", "@" in parts.netloc
        _port = parts.port
    except ValueError:
        return _("This is not a web address. It begins with https:// and names a host.")
    if parts.scheme not in ("http", "https") or not host or len(address) > MAX_URL or not address.isprintable():
        return _("This is not a web address. It begins with https:// and names a host.")
    if has_login or " " in address:
        return _("A name and a password in an address are not sent. Use a secret part in its path instead.")
    if http.is_listed(parts, settings.NOTIFICATION_ALLOWED_HOSTS):
        return ""
    if parts.scheme != "https":
        return _("Use an address that begins with https://, so that nobody on the way can read the messages.")
    known = HOSTS.get(kind)
    if known and host not in known:
        label = ChannelKind(kind).label
        return _("This is not the address of a bot of %(service)s. It begins with https://%(host)s/.") % {
            "service": label,
            "host": known[0],
        }
    return ""


def _seal(secret: str) -> str:
    try:
        return encryption.seal(secret)
    except encryption.NoKey:
        message = _("Addresses and secrets are stored encrypted: an operator has to set ENCRYPTION_KEYS first.")
        raise NotPossible(message) from None
