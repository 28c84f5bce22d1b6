"""Files that are uploaded to providers, once per account."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from providers import provider_accounts
from providers.adapters.base import InputFile
from providers.adapters.errors import Rejected
from providers.models import ProviderAccount, ProviderUpload

# A link is used only while it lives this much longer, so that a queued task can still read it.
SAFETY = timedelta(hours=3)


def url_of(account: ProviderAccount, file: InputFile) -> str:
    """Return a URL of a file at the account's provider, which need not have it yet.

    Raises Rejected when the file is missing here or refused there, AccountBlocked, or Unavailable
    when the upload got no answer.
    """
    uploads = ProviderUpload.objects.filter(account=account, sha256=file.sha256)
    existing = uploads.filter(expires_at__gt=timezone.now() + SAFETY).first()
    if existing:
        return existing.url
    try:
        with file.open() as stream:
            uploaded = provider_accounts.connect(account).upload(
                stream, filename=file.name, content_type=file.content_type
            )
    except FileNotFoundError:
        message = f"The file of {file.name} is missing on this server: upload it again."
        raise Rejected(message, code="reference_missing") from None
    ProviderUpload.objects.update_or_create(
        account=account,
        sha256=file.sha256,
        defaults={
            "url": uploaded.url,
            "expires_at": timezone.now() + timedelta(seconds=uploaded.lifetime_seconds),
            "created_at": timezone.now(),
        },
    )
    return uploaded.url
