"""Keeping what was entered, and submitting it once.

A draft is named by the page that shows it.  It becomes a mission at most once: ``finish`` runs in the transaction that stores
the mission, so that a second click, a reload or a second process makes no second one.
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

KEPT = timedelta(days=30)
FORGET_AT_ONCE = 100

_KEY = re.compile(r"[0-9a-f]{32}")


class AlreadySubmitted(Exception):
    """The draft has become a mission: ``mission_id``."""

    def __init__(self, mission_id: int) -> None:
        super().__init__(f"This was submitted already, as mission {mission_id}.")
        self.mission_id = mission_id


def new_key() -> str:
    return secrets.token_hex(16)


def open_draft(*, owner: AbstractBaseUser, key: str) -> FormDraft:
    """The owner's draft of that name; a new one, under a name of its own, when there is none or the name cannot be one."""
    if not _KEY.fullmatch(key):
        key = new_key()
    draft, is_new = FormDraft.objects.get_or_create(owner_id=owner.pk, key=key)
    if is_new:
        _forget_old()
    return draft


def find_draft(*, owner: AbstractBaseUser, key: str) -> FormDraft | None:
    return FormDraft.objects.filter(owner_id=owner.pk, key=key).first()


def keep_form(draft: FormDraft, fields: Mapping[str, str]) -> None:
    """Replace the fields.  Raises AlreadySubmitted."""
    draft.form = json.dumps(dict(fields))
    _keep(draft, form=draft.form)


def keep_table(draft: FormDraft, *, file_name: str, table: Any) -> None:
    """Replace the imported file: plain JSON values, or None for no file.  Raises AlreadySubmitted."""
    draft.file_name = file_name[:255].replace("\0", "")
    draft.table = "" if table is None else json.dumps(table, separators=(",", ":"))
    _keep(draft, file_name=draft.file_name, table=draft.table)


def finish(draft: FormDraft, *, mission_id: int) -> None:
    """Note which mission the draft became.  Raises AlreadySubmitted, which undoes the transaction that made another one."""
    changed = FormDraft.objects.filter(pk=draft.pk, mission_id=None).update(
        mission_id=mission_id, form="{}", table="", updated_at=timezone.now()
    )
    if not changed:
        _refuse(draft)
    draft.mission_id = mission_id


def discard(*, owner: AbstractBaseUser, key: str) -> None:
    FormDraft.objects.unfinished(owner).filter(key=key).delete()


def _keep(draft: FormDraft, **columns: str) -> None:
    kept = FormDraft.objects.filter(pk=draft.pk, mission_id=None).update(updated_at=timezone.now(), **columns)
    if not kept:
        _refuse(draft)


def _refuse(draft: FormDraft) -> None:
    known = FormDraft.objects.filter(pk=draft.pk).values_list("mission_id", flat=True).first()
    if known is not None:
        raise AlreadySubmitted(known)
    raise FormDraft.DoesNotExist


def _forget_old() -> None:
    """Remove some drafts that nobody has touched for long."""
    old = FormDraft.objects.filter(updated_at__lt=timezone.now() - KEPT)
    with transaction.atomic():
        rows = old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:FORGET_AT_ONCE]
        FormDraft.objects.filter(pk__in=list(rows)).delete()
