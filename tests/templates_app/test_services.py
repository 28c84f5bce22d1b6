"""Services of templates: limits, unique names, concurrent changes."""

from __future__ import annotations

import threading

import pytest
from django.contrib.auth.models import User
from django.db import connection

from accounts.audit.models import AuditEntry, Verb
from templates_app.models import MissionTemplate
from templates_app.services import TemplateInvalid, create_template, delete_template, update_template
from tests.interleaving import meanwhile


def make(owner: User, name: str = "Square", **more: str) -> MissionTemplate:
    return create_template(owner=owner, name=name, task_type="text_to_image", config={"params": {}}, **more)


def errors(work) -> dict[str, str]:
    with pytest.raises(TemplateInvalid) as caught:
        work()
    return {error.field: error.message for error in caught.value.errors}


def test_names_and_descriptions_have_limits(owner):
    for name in ("", "  ", "\u200b\u2800", "x" * 201, "a\x00b"):
        assert "name" in errors(lambda name=name: make(owner, name)), name
    assert "description" in errors(lambda: make(owner, description="x" * 10_001))
    assert not MissionTemplate.objects.exists()
    assert make(owner, "  Square ").name == "Square"


def test_name_is_unique_per_person(owner, stranger):
    make(owner)
    make(stranger)

    assert "already have a template named Square" in errors(lambda: make(owner))["name"]
    other = make(owner, "Other")
    assert "name" in errors(
        lambda: update_template(template=other, name="Square", task_type="text_to_video", config={})
    )
    other.refresh_from_db()
    assert (other.name, other.task_type) == ("Other", "text_to_image")


def test_deleted_template_cannot_be_updated(owner):
    template = make(owner)
    stale = MissionTemplate.objects.get()
    delete_template(template=template)

    with pytest.raises(MissionTemplate.DoesNotExist):
        update_template(template=stale, name="New", task_type="text_to_image", config={})
    with pytest.raises(MissionTemplate.DoesNotExist):
        delete_template(template=stale)
    assert not MissionTemplate.objects.exists()
    assert AuditEntry.objects.filter(verb=Verb.TEMPLATE_DELETE).count() == 1


def test_name_that_becomes_free_meanwhile_is_taken(owner):
    former = make(owner)
    with meanwhile("SELECT", "missiontemplate", former.delete, is_before=True):  # after our row was refused
        assert make(owner).name == "Square"


@pytest.mark.django_db(transaction=True)
def test_concurrent_creation_stores_one_template():
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
