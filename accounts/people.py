"""Make people inactive or active, and delete them.

Apps above this one register what a person has: ``register_work`` for what must stop and must not be
deleted with the person.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import CASCADE
from django.utils.translation import gettext as _

from accounts.audit import services as audit
from accounts.audit.models import Verb
from core.errors import NotPossible


@dataclass(frozen=True, slots=True)
class Work:
    """The knowledge of one app about a person's work.

    ``stop`` stops what is not sent yet and returns the number of missions that it paused.
    ``blocked_reason`` says why the person cannot be deleted, "" if nothing is in the way. ``facts``
    are short texts for the list of people.
    """

    stop: Callable[[User], int]
    blocked_reason: Callable[[User], str]
    facts: Callable[[User], Sequence[str]]


class HasWork(NotPossible):
    """The person still has missions."""


_works: list[Work] = []


def register_work(work: Work) -> None:
    """Add what an app knows about a person's work."""
    _works.append(work)


def set_active(person: User, is_active: bool) -> int:
    """Make a person active or inactive.

    An inactive person is signed out, their tokens stop, and their missions are paused in the same
    transaction. Return the number of paused missions. Nothing is resumed for a person who becomes
    active again.
    """
    with transaction.atomic():
        person.is_active = is_active
        person.save(update_fields=["is_active"])
        paused_count = 0 if is_active else sum(work.stop(person) for work in _works)
        verb = Verb.PERSON_ACTIVATE if is_active else Verb.PERSON_DEACTIVATE
        audit.record(verb, person, paused_missions=paused_count)
    return paused_count


def blocked_reason(person: User) -> str:
    """Return why a person cannot be deleted and what to do, "" if nothing is in the way."""
    return next(filter(None, (work.blocked_reason(person) for work in _works)), "")


def facts_of(person: User) -> list[str]:
    """Return short texts about a person's work, such as "114 missions"."""
    return [fact for work in _works for fact in work.facts(person)]


def belongings_of(person: User) -> list[str]:
    """Return what is deleted together with a person: kinds of rows with their number."""
    texts = []
    for relation in User._meta.related_objects:
        if getattr(relation, "on_delete", None) is CASCADE:
            model = relation.related_model
            count = model._base_manager.filter(**{relation.field.name: person.pk}).count()
            if count:
                texts.append(f"{model._meta.verbose_name_plural}: {count:,}")
    return texts


def delete_person(person: User) -> None:
    """Delete a person without missions, and their tokens, templates and images.

    The files of the images are removed by ``cleanup``. Raises HasWork.
    """
    with transaction.atomic():
        User.objects.select_for_update().get(pk=person.pk)
        if reason := blocked_reason(person):
            raise HasWork(reason)
        audit.record(Verb.PERSON_DELETE, person, belongings=belongings_of(person))
        person.delete()


def inactive_reason(person: User) -> str:
    """Return why nothing may be sent for a person, "" if something may."""
    if person.is_active:
        return ""
    return _("%s is inactive, so nothing is sent for them. Make them active again first.") % person
