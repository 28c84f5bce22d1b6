"""Conventions of every operation: envelope, errors, request ids, strict JSON."""

from __future__ import annotations

import json
import logging

import pytest
from django.test import Client

from core.logging.formatters import JsonLines
from tests.api_client import caller, new_token

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.core.probe_api")]
BODY = {"config": {"rows": [1]}, "note": "你好"}


def post(client: Client, body, path: str = "/api/v1/echo", content_type: str = "application/json"):
    return client.post(path, body, content_type)


def test_payload_is_wrapped_in_envelope(owner):
    answer = post(caller(owner), BODY)
    assert answer.status_code == 201
    assert answer.content.decode() == '{"code": 0, "data": {"note": "你好"}}'


def test_204_has_no_body(owner):
    answer = caller(owner).delete("/api/v1/nothing")
    assert (answer.status_code, answer.content) == (204, b"")


def test_stream_has_no_envelope(owner):
    answer = caller(owner).get("/api/v1/stream")
    assert answer["X-Request-Id"]
    assert answer["Content-Type"] == "text/plain"


@pytest.mark.parametrize(
    ("name", "status", "word"),
    [
        ("mission", 422, "invalid"),
        ("state", 409, "not_possible"),
        ("missing", 404, "not_found"),
        ("row", 404, "not_found"),
        ("database", 503, "unavailable"),
        ("bug", 500, "internal_error"),
    ],
)
def test_errors_have_one_body(owner, name, status, word):
    answer = caller(owner).get(f"/api/v1/fail/{name}")
    body = answer.json()
    assert answer.status_code == body["code"] == status
    assert body["error"] == word
    assert body["message"]
    assert body["data"] is None
    assert body["request_id"] == answer["X-Request-Id"]
    assert set(body) == {"code", "error", "message", "data", "errors", "request_id"}


def test_mission_errors_have_request_paths(owner):
    errors = caller(owner).get("/api/v1/fail/mission").json()["errors"]
    assert errors == [
        {"field": "config.batch_input.3.prompt", "message": "Too long."},
        {"field": "name", "message": "Missing."},
    ]


def test_only_domain_messages_reach_the_caller(owner, caplog):
    assert caller(owner).get("/api/v1/fail/state").json()["message"] == "It has ended."
    assert b"secret detail" not in caller(owner).get("/api/v1/fail/bug").content
    assert "a secret detail" in caplog.text


def test_unavailable_has_retry_after(owner):
    assert caller(owner).get("/api/v1/fail/database")["Retry-After"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"config": {"rows": [1, "x"]}}, "config.rows.1"),
        ({"config": {}}, "config.rows"),
        ({}, "config"),
        ([], "body"),
        ("text", "body"),
    ],
)
def test_invalid_value_is_named_by_its_path(owner, body, field):
    answer = post(caller(owner), json.dumps(body))
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_invalid_parameter_is_named(owner):
    answer = caller(owner).get("/api/v1/search", {"page": "x"})
    assert [error["field"] for error in answer.json()["errors"]] == ["page"]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"config": {"rows": [1]}, "note": "\\u0000"}',
        '{"config": {"rows": [1]}, "\\u0000": 1}',
        '{"config": {"rows": [1]}, "note": "\\ud800"}',
        '{"config": {"rows": [NaN]}}',
        '{"config": {"rows": [1e999]}}',
        '{"config": {"rows": [-1E+999]}}',
        '{"config": {"rows": [' + "9" * 400 + ".5]}}",
        '{"config": {"rows": [' + "9" * 5000 + "]}}",
        "[" * 100_000,
        b'{"note": "\xff"}',
    ],
    ids=lambda text: repr(text)[:40],
)
def test_unstorable_json_is_refused(owner, text):
    answer = post(caller(owner), text)
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_json")


def test_escaped_backslash_u0000_is_text(owner):
    answer = post(caller(owner), {**BODY, "note": "\\u0000"})
    assert answer.json()["data"]["note"] == "\\u0000"


def test_unstorable_query_is_refused(owner):
    answer = caller(owner).get("/api/v1/search?search=a%00b")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "search"
    assert caller(owner).get("/api/v1/search?search=%ED%A0%80").status_code == 200  # no UTF-8: Django replaces it


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_other_content_types_are_refused(owner, content_type):
    answer = post(caller(owner), json.dumps(BODY), content_type=content_type)
    assert (answer.status_code, answer.json()["error"]) == (415, "unsupported_media_type")


def test_unknown_path_has_the_error_body(owner):
    for address in ("/api/v1/nowhere", "/api/v1/"):
        answer = caller(owner).get(address)
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_unknown_method_lists_the_allowed_ones(owner):
    answer = caller(owner).put("/api/v1/echo")
    assert (answer.status_code, answer.json()["error"], answer["Allow"]) == (405, "method_not_allowed", "POST")


def test_rare_status_is_kept(owner):
    answer = caller(owner).get("/api/v1/rare")
    assert (answer.status_code, answer.json()["error"]) == (423, "locked")
    assert answer["X-Lock"] == "7"


@pytest.mark.parametrize(
    "path, hint",
    [
        ("/api/api-missions", "/api/v1/missions"),
        ("/api/api-missions/7/cancel", "/api/v1/missions"),
        ("/api/upload-image", "/api/v1/media/upload"),
        ("/api/images/cat.png", "/api/v1/media/files"),
        ("/api/v2/missions", "/api/v1"),
        ("/api/", "/api/v1"),
    ],
)
def test_paths_below_api_are_json_with_a_hint(client, path, hint):
    for answer in (client.get(path), client.post(path)):
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
        assert hint in answer.json()["message"]


def test_head_is_like_get_without_a_body(owner):
    client = caller(owner)
    for path in ("/api/v1/search", "/api/v1/who", "/api/v1/stream", "/api/v1/fail/state", "/api/v1/nowhere"):
        head, response = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (response.status_code, b""), path
        names = ("Content-Type", "ETag", "Content-Length")
        expected = [response.get(name) for name in names]
        if not response.streaming:
            expected[2] = str(len(response.content))
        assert [head.get(name) for name in names] == expected or "fail" in path, path
    assert client.head("/api/v1/echo").status_code == 405


def test_compressed_body_is_refused(owner):
    answer = caller(owner).post("/api/v1/echo", b"\x1f\x8b", "application/json", headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["error"]) == (415, "unsupported_media_type")
    assert answer["Accept-Encoding"] == "identity"
    plain = caller(owner).post("/api/v1/echo", BODY, "application/json", headers={"Content-Encoding": "identity"})
    assert plain.status_code == 201


def test_unknown_query_names_are_refused(owner):
    client = caller(owner)
    answer = client.get("/api/v1/search?serach=a&page=1&foo=1")
    assert answer.status_code == 422
    assert {error["field"]: error["message"] for error in answer.json()["errors"]} == {
        "serach": "Unknown. Allowed: page, search.",
        "foo": "Unknown. Allowed: page, search.",
    }
    for path in ("/api/v1/who?a=1", "/api/v1/fail/state?a=1"):
        assert [error["field"] for error in client.get(path).json()["errors"]] == ["a"], path
    assert client.post("/api/v1/echo?a=1", BODY, "application/json").status_code == 422
    assert Client().get("/api/v1/who?a=1").status_code == 401


def test_field_errors_are_in_the_readers_language(owner):
    body = {"config": {"rows": ["x", 1.5]}, "note": 5}
    table = {
        "en": {"config.rows.0": "Must be a whole number.", "note": "Must be a text."},
        "zh-hans": {"config.rows.0": "必须是整数。", "note": "必须是文本。"},
    }
    for language, expected in table.items():
        answer = caller(owner).post("/api/v1/echo", body, "application/json", headers={"Accept-Language": language})
        errors = {error["field"]: error["message"] for error in answer.json()["errors"]}
        assert expected.items() <= errors.items(), language


def test_bad_host_has_the_error_body():
    answer = Client(headers={"Host": "evil.example"}).get("/api/v1/who")
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")


# --- Names of requests ---


def test_request_id_of_the_caller_is_kept(owner):
    answer = caller(owner).get("/api/v1/fail/state", headers={"X-Request-Id": "job-7.a_b"})
    assert answer["X-Request-Id"] == answer.json()["request_id"] == "job-7.a_b"


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "a\x1b[31m", "é"])
def test_unsafe_request_id_is_replaced(owner, name):
    given = caller(owner).get("/api/v1/who", headers={"X-Request-Id": name})["X-Request-Id"]
    assert given != name
    assert len(given) == 32


def test_log_lines_have_the_request_id(owner, caplog, monkeypatch):
    monkeypatch.setattr(caplog.handler, "formatter", JsonLines())
    with caplog.at_level(logging.INFO):
        caller(owner).delete("/api/v1/nothing", headers={"X-Request-Id": "job-8"})
    names = {line["logger"]: line["request_id"] for line in map(json.loads, caplog.text.splitlines())}
    assert names["tests.probe"] == names["access"] == "job-8"
    assert "DELETE /api/v1/nothing 204" in caplog.text


def test_path_cannot_forge_a_log_line(owner, caplog):
    with caplog.at_level(logging.INFO):
        caller(owner).get("/api/v1/fail/bug%0aforged")
        caller(owner).get("/api/v1/nowhere%0aforged")
    assert not [record for record in caplog.records if "\nforged" in record.getMessage()]
    assert "nowhere%0Aforged 404" in caplog.text


# --- Caching ---


def test_etag_avoids_a_second_transfer(owner):
    client = caller(owner)
    first = client.get("/api/v1/search", {"search": "a"})
    again = client.get("/api/v1/search", {"search": "a"}, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get("/api/v1/search", {"search": "b"}, headers={"If-None-Match": first["ETag"]})
    assert other.status_code == 200


def test_responses_are_private(owner):
    answer = caller(owner).get("/api/v1/who")
    assert answer["Cache-Control"] == "private, no-cache"
    assert {"Authorization", "Cookie"} <= {name.strip() for name in answer["Vary"].split(",")}


# --- Limits ---


def test_too_many_requests_get_retry_after(owner, stranger, settings):
    settings.API_REQUESTS_PER_MINUTE = 3
    client = caller(owner)
    assert [client.get("/api/v1/search").status_code for _ in range(4)] == [200, 200, 200, 429]
    answer = client.get("/api/v1/who")
    assert (answer.status_code, answer.json()["error"]) == (429, "rate_limited")
    assert 1 <= int(answer["Retry-After"]) <= 60
    assert (answer["RateLimit-Limit"], answer["RateLimit-Remaining"]) == ("3", "0")
    assert 1 <= int(answer["RateLimit-Reset"]) <= 60
    assert caller(stranger).get("/api/v1/who").status_code == 200
    settings.API_REQUESTS_PER_MINUTE = 0
    assert "RateLimit-Limit" not in client.get("/api/v1/who")


def test_responses_count_down_the_rate_limit(owner, settings):
    settings.API_REQUESTS_PER_MINUTE = 5
    client = caller(owner)
    assert [client.get("/api/v1/who")["RateLimit-Remaining"] for _ in range(3)] == ["4", "3", "2"]


def test_large_body_is_refused_unread(owner, settings):
    settings.API_MAX_BODY_BYTES = 1000
    answer = post(caller(owner), {**BODY, "note": "x" * 1000})
    assert (answer.status_code, answer.json()["error"]) == (413, "too_large")
    settings.MEDIA_MAX_BYTES = 5000
    upload = Client().post("/api/v1/media/upload", b"x" * 80_000, "multipart/form-data; boundary=x")
    assert upload.status_code == 413


# --- Who calls ---


def test_async_operation_knows_its_caller(owner, client):
    assert caller(owner).get("/api/v1/who").json()["data"]["note"] == "mei"
    client.force_login(owner)
    assert client.get("/api/v1/who").json()["data"]["note"] == "mei"


@pytest.mark.parametrize("path", ["/api/v1/echo", "/api/v1/echo-later"])
def test_session_needs_csrf_token_for_changes(owner, path):
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    refused = post(client, BODY, path)
    assert (refused.status_code, refused.json()["error"]) == (403, "csrf_failed")
    client.cookies["csrftoken"] = "a" * 32
    assert client.post(path, BODY, "application/json", headers={"X-CSRFToken": "a" * 32}).status_code == 201


@pytest.mark.parametrize("path", ["/api/v1/echo", "/api/v1/echo-later"])
def test_stranger_gets_401_before_csrf(path):
    answer = post(Client(enforce_csrf_checks=True), BODY, path)
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Basic bWVpOng=", "Bearer \0", "nonsense"])
def test_invalid_token_beats_a_session(owner, client, header):
    client.force_login(owner)
    assert client.get("/api/v1/who", headers={"Authorization": header}).status_code == 401


def test_token_needs_no_csrf_token(owner):
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    bearer = {"Authorization": f"Bearer {new_token(owner)}"}
    assert client.post("/api/v1/echo", BODY, "application/json", headers=bearer).status_code == 201
