"""A NUL character in a request is refused before the database sees it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]

PLACES = [
    "/missions/new?draft=%00",
    "/admin/missions/attempt/?status=%00",
    "/admin/missions/output/?status=%00",
    "/hooks/runninghub/%00",
    "/missions?a%00=1",
    "/missions/%00",
    "/api/v1/missions/%00",
]


@pytest.fixture
def operator() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    return client


def test_nul_in_path_and_query_is_refused(operator: Client):
    for address in PLACES:
        assert operator.get(address).status_code == 400, address
    for name, query in (("status", "status=%00"), ("metadata.a\0", "metadata.a%00=1"), ("a\0", "a%00=1")):
        answer = operator.get(f"/api/v1/missions?{query}")
        assert answer.status_code == 422, query
        assert answer.json()["errors"][0]["field"] == name


def test_nul_in_cookies_and_forms_is_refused(operator: Client):
    form = "application/x-www-form-urlencoded"
    assert operator.post("/accounts/login", "username=a%00&password=b", content_type=form).status_code == 400
    for cookie in ('sessionid="a\\000b"', 'csrftoken="\\000"', 'django_language="\\000"'):
        assert Client(headers={"cookie": cookie}).get("/accounts/login").status_code == 400, cookie


def test_the_refusal_says_what_to_change(operator: Client):
    answer = operator.get("/missions?x=%00", headers={"accept-language": "zh-hans"})
    assert (answer.status_code, answer.content.decode()) == (400, "请求中含有 NUL 字符，请去掉它。")
    answer = operator.get("/api/v1/missions/%00")
    assert (answer.json()["error"], answer.json()["message"]) == (
        "bad_request",
        "The request contains a NUL character. Remove it.",
    )
