"""Every page, list and field that names a row is tried with an object of somebody else."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from tests.addresses import addresses
from tests.security.conftest import MARK, browser_of, everything, undone

pytestmark = pytest.mark.django_db

# Everybody with the URL of an uploaded image may see it: docs/security.md.
CARRIES_ITS_OWN_KEY = {"/media/<key>", "/media/<key>/preview", "/media/<key>/sent"}
EVERYBODYS = ("/shared/", "/help/")  # a link with its own key; the documentation
PAGES = [page for page in addresses("/admin/", "/api/") if not str(page).startswith(EVERYBODYS)]
INTO_ROWS = [address for address in PAGES if address.names and str(address) not in CARRIES_ITS_OWN_KEY]
REST = [address for address in PAGES if not address.names]


def test_pages_of_others_are_not_found(stranger, owner, places):
    client = browser_of(stranger)
    before = everything()
    for address in INTO_ROWS:
        there = address.filled(places)
        for answer in (client.get(there), client.post(there, {"confirmed": "yes"})):
            assert answer.status_code in (404, 405), (there, answer.status_code)
    assert everything() == before
    for address in INTO_ROWS:
        there = address.filled(places)
        with undone():
            found = browser_of(owner)
            assert 404 not in (found.get(there).status_code, found.post(there).status_code), there


def test_shared_pages_hide_others_data(stranger, places):
    before = belongings(stranger)
    ids = {
        "images": [places["media_id"]],
        "item": [1, 2, 3],
        "media": str(places["media_id"]),
        "template": places["template_id"],
        "template_id": places["template_id"],
        "mission": places["mission_id"],
        "draft": places["draft"],
        "confirmed": "yes",
        "action": "load_template",
    }
    for address in REST:
        there = address.filled(places)
        with undone():
            client = browser_of(stranger)
            for answer in (client.get(there, ids), client.post(there, ids)):
                assert MARK not in answer.content.decode(), there
            assert belongings(stranger) == before, there


def belongings(stranger: User) -> list[object]:
    """Return all rows that are not the stranger's."""
    return [
        row
        for rows in everything().values()
        for row in rows
        if stranger.pk not in (row.get("owner_id"), row.get("user_id"), row.get("person_id"))
    ]


def test_owner_sees_the_marked_data(owner, places):
    """Prove that the pages above would show the data."""
    client = browser_of(owner)
    for address in ("/missions", "/media", "/templates", "/accounts/tokens", "/missions/new"):
        assert MARK in client.get(address).content.decode(), address


def test_admin_is_for_staff(stranger, places):
    client = browser_of(stranger)
    inside = [address for address in addresses() if address.template.startswith("/admin/")]
    numbers = dict.fromkeys({name for address in inside for name in address.names}, 1)
    before = everything()
    for address in inside:
        if str(address) in ("/admin/login/", "/admin/logout/", "/admin/jsi18n/"):
            continue
        for answer in (client.get(address.filled(numbers)), client.post(address.filled(numbers))):
            assert answer.status_code in (302, 403), (str(address), answer.status_code)
            assert "/login/" in answer.get("Location", "/login/")
            assert MARK not in answer.content.decode()
    assert everything() == before
