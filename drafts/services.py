"""Saving the content of a form, and submitting it once.

A page knows its draft by a key. A draft becomes a mission at most once: ``finish`` runs in the
transaction that creates the mission, so that a second click, a reload or another process creates no
second mission.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from drafts.models import FormDraft

LIFETIME = timedelta(days=30)
DELETE_AT_ONCE = 100

_KEY = re.compile(r"[0-9a-f]{32}")


class AlreadySubmitted(Exception):
    """The draft has become the mission ``mission_id``."""

    def __init__(self, mission_id: int) -> None:
        super().__init__(f"This was submitted already, as mission {mission_id}.")
        self.mission_id = mission_id


def new_key() -> str:
    return secrets.token_hex(16)


def open_draft(*, owner: AbstractBaseUser, key: str) -> FormDraft:
    """Return the owner's draft with this key, or a new one; an invalid key is replaced."""
    if not _KEY.fullmatch(key):
        key = new_key()
    draft, is_new = FormDraft.objects.defer("file").get_or_create(owner_id=owner.pk, key=key)
    if is_new:
        _delete_some_old_drafts()
    return draft


def find_draft(*, owner: AbstractBaseUser, key: str) -> FormDraft | None:
    return FormDraft.objects.filter(owner_id=owner.pk, key=key).defer("file").first()


def save_form(draft: FormDraft, fields: Mapping[str, str]) -> None:
    """Replace the fields.  Raises AlreadySubmitted."""
    draft.form = json.dumps(dict(fields))
    _save(draft, form=draft.form)


def save_table(draft: FormDraft, *, file_name: str, table: Any, file: bytes | None = None) -> None:
    """Replace the imported file: plain JSON values, or None for no file.

    ``file`` is the file itself, if another part of it may be chosen later. Raises
    AlreadySubmitted.
    """
    draft.file_name = file_name[:255].replace("\0", "")
    draft.table = "" if table is None else json.dumps(table, separators=(",", ":"))
    _save(draft, file_name=draft.file_name, table=draft.table, file=file)


def file_of(*, owner: AbstractBaseUser, key: str) -> bytes | None:
    """Return the imported file itself, or None if it was not kept."""
    file = FormDraft.objects.filter(owner_id=owner.pk, key=key).values_list("file", flat=True).first()
    return None if file is None else bytes(file)


def finish(draft: FormDraft, *, mission_id: int) -> None:
    """Record the mission that was created from the draft.

    Raises AlreadySubmitted, which rolls back the transaction that created a second one.
    """
    _save(draft, mission_id=mission_id, form="{}", table="", file=None)
    draft.mission_id = mission_id


def discard(*, owner: AbstractBaseUser, key: str) -> None:
    FormDraft.objects.unfinished(owner).filter(key=key).delete()


def _save(draft: FormDraft, **values: Any) -> None:
    """Update a draft that was not submitted.

    Raises AlreadySubmitted, or DoesNotExist if it was deleted.
    """
    unfinished = FormDraft.objects.filter(pk=draft.pk, mission_id=None)
    if not unfinished.update(updated_at=timezone.now(), **values):
        mission_id = FormDraft.objects.filter(pk=draft.pk).values_list("mission_id", flat=True).first()
        if mission_id is None:
            raise FormDraft.DoesNotExist
        raise AlreadySubmitted(mission_id)


def _delete_some_old_drafts() -> None:
    """Delete a few expired drafts, so that the table stays small without a job of its own."""
    expired = FormDraft.objects.filter(updated_at__lt=timezone.now() - LIFETIME)
    with transaction.atomic():
        rows = expired.select_for_update(skip_locked=True).values_list("pk", flat=True)[:DELETE_AT_ONCE]
        FormDraft.objects.filter(pk__in=list(rows)).delete()
