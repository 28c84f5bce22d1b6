"""Templates as rows: their names, their owners, and who comes first."""

from __future__ import annotations

import threading

import pytest
from django.contrib.auth.models import User
from django.db import connection

from templates_app.models import MissionTemplate
from templates_app.services import TemplateInvalid, create_template, delete_template, update_template


def make(owner: User, name: str = "Square", **more: str) -> MissionTemplate:
    return create_template(owner=owner, name=name, task_type="text_to_image", config={"params": {}}, **more)


def errors(work) -> dict[str, str]:
    with pytest.raises(TemplateInvalid) as caught:
        work()
    return {error.field: error.message for error in caught.value.errors}


def test_a_name_is_kept_without_blanks_around_it(owner):
    assert make(owner, "  Square ").name == "Square"


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\x00b"])
def test_a_name_that_cannot_be_kept_is_refused(owner, name):
    assert "name" in errors(lambda: make(owner, name))
    assert not MissionTemplate.objects.exists()


def test_a_description_has_an_end(owner):
    assert "description" in errors(lambda: make(owner, description="x" * 10_001))


def test_a_name_is_unique_per_person_and_not_beyond(owner, stranger):
    make(owner)
    make(stranger)

    assert "already a template named Square" in errors(lambda: make(owner))["name"]
    other = make(owner, "Other")
    assert "name" in errors(lambda: update_template(template=other, name="Square", task_type="x", config={}))
    other.refresh_from_db()
    assert (other.name, other.task_type) == ("Other", "text_to_image")


def test_a_template_that_was_deleted_cannot_be_changed_back_to_life(owner):
    template = make(owner)
    gone = MissionTemplate.objects.get()
    delete_template(template=template)

    with pytest.raises(MissionTemplate.DoesNotExist):
        update_template(template=gone, name="New", task_type="text_to_image", config={})
    assert not MissionTemplate.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_that_take_a_name_at_once_one_gets_it():
    owner = User.objects.create_user("mei")
    start, outcome = threading.Barrier(4), []

    def work() -> None:
        try:
            start.wait()
            make(owner)
            outcome.append("made")
        except TemplateInvalid:
            outcome.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcome) == ["made", "refused", "refused", "refused"]
