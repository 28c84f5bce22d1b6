"""Reference files of a request: ``media:ID`` becomes a URL that the provider can read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, BinaryIO, cast

from django.utils import timezone

from media.models import MediaFile
from providers import provider_accounts
from providers.adapters.errors import Rejected
from providers.catalog import Model
from providers.models import ProviderAccount, ProviderUpload
from providers.references import MEDIA

# A link is used only while it lives this much longer, so that a queued task can still read it.
SAFETY = timedelta(hours=3)


def resolve(model: Model, params: Mapping[str, Any], *, account: ProviderAccount) -> dict[str, Any]:
    """``params`` with every ``media:ID`` replaced by a URL at the account's provider.

    Raises Rejected when a file is gone or refused, AccountBlocked, or Unavailable when the upload got no answer.
    """
    resolved = dict(params)
    for name in model.file_names(params):
        value = params[name]
        if isinstance(value, str):
            resolved[name] = _resolve(value, account)
        else:
            resolved[name] = [_resolve(entry, account) for entry in value]
    return resolved


def _resolve(reference: str, account: ProviderAccount) -> str:
    match = MEDIA.fullmatch(reference)
    if not match:
        return reference
    media = MediaFile.objects.filter(pk=int(match[1])).first()
    if media is None:
        raise Rejected(f"The reference file {reference} no longer exists: upload it again.", code="reference_missing")
    known = ProviderUpload.objects.filter(
        account=account, sha256=media.sha256, expires_at__gt=timezone.now() + SAFETY
    ).first()
    return known.url if known else _upload(media, account)


def _upload(media: MediaFile, account: ProviderAccount) -> str:
    try:
        with media.file.storage.open(str(media.file.name), "rb") as file:
            uploaded = provider_accounts.connect(account).upload(
                cast(BinaryIO, file), filename=media.name, content_type=media.content_type
            )
    except FileNotFoundError:
        message = f"The file of {media.name} is missing on this server: upload it again."
        raise Rejected(message, code="reference_missing") from None
    expires_at = timezone.now() + timedelta(seconds=uploaded.lifetime_seconds)
    ProviderUpload.objects.update_or_create(
        account=account,
        sha256=media.sha256,
        defaults={"url": uploaded.url, "expires_at": expires_at, "created_at": timezone.now()},
    )
    return uploaded.url
