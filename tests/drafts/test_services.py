"""What was entered is kept, and is submitted once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from drafts import services
from drafts.models import FormDraft
from drafts.services import AlreadySubmitted


@pytest.fixture
def draft(owner: User) -> FormDraft:
    return services.open_draft(owner=owner, key=services.new_key())


def again(draft: FormDraft) -> FormDraft:
    return FormDraft.objects.get(pk=draft.pk)


def test_what_was_typed_comes_back_as_it_was(draft: FormDraft) -> None:
    typed = {"name": "茶壶", "prompts": "one\r\ntwo\0 \ud800"}

    services.save_form(draft, typed)

    assert again(draft).fields == typed
    assert str(again(draft)) == "茶壶"


def test_an_imported_table_comes_back_and_can_be_put_away(draft: FormDraft) -> None:
    services.save_table(draft, file_name="prompts.csv", table={"rows": [[1, ["a", 2, None]]]})
    assert again(draft).rows == {"rows": [[1, ["a", 2, None]]]}

    services.save_table(draft, file_name="", table=None)
    assert again(draft).rows is None


def test_the_same_key_opens_the_same_draft_but_only_for_its_owner(draft: FormDraft, stranger: User) -> None:
    assert services.open_draft(owner=draft.owner, key=draft.key) == draft
    assert services.open_draft(owner=stranger, key=draft.key) != draft
    assert services.find_draft(owner=stranger, key=services.new_key()) is None


@pytest.mark.parametrize("key", ["", "../../etc", "Z" * 32, "0" * 33])
def test_a_key_that_cannot_be_one_gets_a_draft_of_its_own(owner: User, key: str) -> None:
    assert services.open_draft(owner=owner, key=key).key != key


def test_a_draft_becomes_one_mission_and_no_second(draft: FormDraft) -> None:
    services.finish(draft, mission_id=7)

    with pytest.raises(AlreadySubmitted) as raised, transaction.atomic():
        services.finish(again(draft), mission_id=8)
    assert raised.value.mission_id == 7


def test_nothing_can_be_entered_in_a_draft_that_was_submitted(draft: FormDraft) -> None:
    services.finish(draft, mission_id=7)

    with pytest.raises(AlreadySubmitted):
        services.save_form(draft, {"name": "late"})
    with pytest.raises(AlreadySubmitted):
        services.save_table(draft, file_name="late.csv", table=[])


def test_only_what_is_not_finished_is_offered_again(draft: FormDraft, owner: User, stranger: User) -> None:
    done = services.open_draft(owner=owner, key=services.new_key())
    services.finish(done, mission_id=7)
    services.open_draft(owner=stranger, key=services.new_key())

    assert list(FormDraft.objects.unfinished(owner)) == [draft]


def test_a_draft_is_discarded_by_its_owner_only(draft: FormDraft, owner: User, stranger: User) -> None:
    services.discard(owner=stranger, key=draft.key)
    assert FormDraft.objects.filter(pk=draft.pk).exists()

    services.discard(owner=owner, key=draft.key)
    assert not FormDraft.objects.filter(pk=draft.pk).exists()


def test_a_draft_that_nobody_touches_for_a_month_is_forgotten(draft: FormDraft, owner: User) -> None:
    FormDraft.objects.update(updated_at=timezone.now() - timedelta(days=31))

    fresh = services.open_draft(owner=owner, key=services.new_key())

    assert list(FormDraft.objects.all()) == [fresh]
