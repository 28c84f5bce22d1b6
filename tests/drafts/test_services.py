"""Drafts: saved as typed, submitted once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from drafts import services
from drafts.models import FormDraft
from drafts.services import AlreadySubmitted

pytestmark = pytest.mark.postgresql


@pytest.fixture
def draft(owner: User) -> FormDraft:
    return services.open_draft(owner=owner, key=services.new_key())


def again(draft: FormDraft) -> FormDraft:
    return FormDraft.objects.get(pk=draft.pk)


def test_form_is_restored_unchanged(draft: FormDraft) -> None:
    typed = {"name": "茶壶", "prompts": "one\r\ntwo\0 \ud800"}

    services.save_form(draft, typed)

    assert again(draft).fields == typed
    assert str(again(draft)) == "茶壶"


def test_table_is_restored_and_removed(draft: FormDraft) -> None:
    services.save_table(draft, file_name="prompts.csv", table={"rows": [[1, ["a", 2, None]]]})
    assert again(draft).rows == {"rows": [[1, ["a", 2, None]]]}

    services.save_table(draft, file_name="", table=None)
    assert again(draft).rows is None


def test_key_opens_the_draft_of_its_owner(draft: FormDraft, stranger: User) -> None:
    assert services.open_draft(owner=draft.owner, key=draft.key) == draft
    assert services.open_draft(owner=stranger, key=draft.key) != draft
    assert services.find_draft(owner=stranger, key=services.new_key()) is None


@pytest.mark.parametrize("key", ["", "../../etc", "Z" * 32, "0" * 33])
def test_invalid_key_opens_a_new_draft(owner: User, key: str) -> None:
    assert services.open_draft(owner=owner, key=key).key != key


def test_draft_becomes_one_mission(draft: FormDraft) -> None:
    services.finish(draft, mission_id=7)

    with pytest.raises(AlreadySubmitted) as raised, transaction.atomic():
        services.finish(again(draft), mission_id=8)
    assert raised.value.mission_id == 7


def test_submitted_draft_cannot_change(draft: FormDraft) -> None:
    services.finish(draft, mission_id=7)

    with pytest.raises(AlreadySubmitted):
        services.save_form(draft, {"name": "late"})
    with pytest.raises(AlreadySubmitted):
        services.save_table(draft, file_name="late.csv", table=[])


def test_unfinished_drafts_are_listed(draft: FormDraft, owner: User, stranger: User) -> None:
    done = services.open_draft(owner=owner, key=services.new_key())
    services.finish(done, mission_id=7)
    services.open_draft(owner=stranger, key=services.new_key())

    assert list(FormDraft.objects.unfinished(owner)) == [draft]


def test_only_the_owner_discards_a_draft(draft: FormDraft, owner: User, stranger: User) -> None:
    services.discard(owner=stranger, key=draft.key)
    assert FormDraft.objects.filter(pk=draft.pk).exists()

    services.discard(owner=owner, key=draft.key)
    assert not FormDraft.objects.filter(pk=draft.pk).exists()


def test_drafts_expire_after_a_month(draft: FormDraft, owner: User) -> None:
    FormDraft.objects.update(updated_at=timezone.now() - timedelta(days=31))

    fresh = services.open_draft(owner=owner, key=services.new_key())

    assert list(FormDraft.objects.all()) == [fresh]
