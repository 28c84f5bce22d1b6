"""The documented schema matches a real server, tested by schemathesis."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone
from ninja import Schema

from missions import event_source, services
from missions.api.schemas.events import EndEvent, ItemEvent, MissionEvent, StateEvent
from providers import provider_accounts
from templates_app.models import MissionTemplate
from tests.api_client import new_token
from tests.core.operations import documented, operations
from tests.core.schema_checks import RULE
from workers.models import WorkerCluster

ROOT = Path(__file__).parents[2]
EXAMPLES = 2  # examples per operation, beside those that cover each value
REPLACED_CHECKS = "positive_data_acceptance,negative_data_rejection"  # by those of tests.core.schema_checks
ENDLESS = "/events$"  # a stream that ends with its mission, and no worker runs here


def test_operation_ids_are_short_and_unique():
    names = [operation.described["operationId"] for operation in operations()]
    assert len(names) == len(set(names))
    assert {"submit_mission", "list_missions", "upload_media", "follow_mission", "show_me"} <= set(names)
    assert not [name for name in names if len(name) > 25 or "_api_" in name]


def test_every_component_is_used_and_every_reference_resolves():
    schema = documented()
    references = set(re.findall(r'"#/components/([a-z]+)/([A-Za-z-]+)"', json.dumps(schema)))
    for kind in ("schemas", "headers"):
        assert {name for found, name in references if found == kind} == set(schema["components"][kind])
    assert schema["servers"] == [{"url": "/"}]


def test_schemas_have_names_of_their_own():
    """Of two schemas with one name, the documentation would show one in both places."""
    ours = [schema for schema in _below(Schema) if schema.__module__.partition(".")[0] in settings.INSTALLED_APPS]
    names = [schema.__name__ for schema in ours]
    assert len(names) > 50
    assert not {name for name in names if names.count(name) > 1}


def _below(base: type[Any]) -> list[type[Any]]:
    return [found for child in base.__subclasses__() for found in (child, *_below(child))]


def test_changes_have_no_defaults():
    """A generated client would send them, and so remove a spending limit."""
    for operation in operations():
        if operation.method == "patch":
            body = operation.described["requestBody"]["content"]["application/json"]["schema"]
            name = (body.get("anyOf", [body])[0])["$ref"].rpartition("/")[2]
            fields = documented()["components"]["schemas"][name]["properties"]
            assert fields, str(operation)
            assert not [field for field, schema in fields.items() if "default" in schema], str(operation)


def test_error_words_are_an_enum():
    words = documented()["components"]["schemas"]["Error"]["properties"]["error"]["enum"]
    table = (ROOT / "docs/api.md").read_text()
    assert {"gone", "not_found", "output_not_stored", "idempotency_mismatch"} <= set(words)
    assert not [word for word in words if f"`{word}`" not in table]
    apps = {path.parent for path in ROOT.glob("*/__init__.py")} - {
        ROOT / "tests",
        ROOT / "benchmarks",
        ROOT / "devtools",
    }
    sources = [path for app in apps for path in app.rglob("*.py")]
    used = {word for path in sources for word in re.findall(r'\berror="([a-z_]+)"', path.read_text())}
    assert used <= set(words)


def test_headers_and_parameters_are_documented():
    found = {operation.described["operationId"]: operation.described for operation in operations()}
    table = [
        ("submit_mission", 202, {"Location", "Idempotent-Replayed", "X-Request-Id", "RateLimit-Remaining"}, set()),
        ("submit_mission", 429, {"Retry-After"}, {"Idempotency-Key"}),
        ("show_mission", 200, {"ETag"}, {"If-None-Match"}),
        ("download_results", 206, {"ETag", "Content-Range"}, {"Range", "If-Range", "If-None-Match"}),
        ("download_output", 409, {"Retry-After"}, {"Range"}),
    ]
    for name, status, headers, parameters in table:
        described = found[name]
        assert headers <= set(described["responses"][status]["headers"]), name
        assert parameters <= {known["name"] for known in described["parameters"]}, name
    assert "ETag" not in found["download_results_csv"]["responses"][200]["headers"]


def test_files_can_be_fetched_by_generated_clients():
    files = [operation for operation in operations() if operation.described["operationId"].startswith("download_")]
    assert len(files) == 7
    for operation in files:
        assert "application/octet-stream" in operation.described["responses"][200]["content"], str(operation)


def test_stream_messages_have_the_documented_shape(owner, account):
    mission = services.submit_mission(owner=owner, name="Cats", task_type="text_to_image", rows=["a cat"])
    services.cancel_mission(mission_id=mission.pk, actor="user:1")
    head = event_source.MissionSource().heads([mission.pk])[mission.pk]
    logged = event_source.MissionSource().events(mission.pk, after=0, head=head, limit=100)
    messages = [event_source.first_event(mission), *logged, event_source.MissionSource().end(head)]
    models: dict[str, Any] = {"state": StateEvent, "item": ItemEvent, "mission": MissionEvent, "end": EndEvent}
    assert {message.name for message in messages} == set(models)
    for message in messages:
        sent = json.loads(message.data)
        shown = models[message.name].model_validate(sent).model_dump(by_alias=True, mode="json")
        assert shown.keys() == sent.keys(), message.name
        assert shown["mission"] == sent["mission"], message.name


def test_schema_has_envelopes_and_errors():
    for operation in operations():
        for status, response in operation.described["responses"].items():
            schema = response.get("content", {}).get("application/json", {}).get("schema", {})
            if int(status) >= 400:
                assert schema == {"$ref": "#/components/schemas/Error"}, (str(operation), status)
            elif schema:
                assert schema["required"] == ["code", "data"], (str(operation), status)


def test_rules_are_about_fields_of_their_operation():
    schemas, count = documented()["components"]["schemas"], 0
    for operation in operations():
        fields = {known["name"] for known in operation.described["parameters"]}
        for content in operation.described.get("requestBody", {}).get("content", {}).values():
            body = content["schema"].get("anyOf", [content["schema"]])[0]
            fields |= set(schemas.get(body.get("$ref", "").rpartition("/")[2], body)["properties"])
        described = operation.described["responses"].get(422, {}).get("description", "")
        rules = set(re.findall(RULE, described, re.MULTILINE))
        assert rules <= fields, str(operation)
        count += len(rules)
    assert count > 30


def test_both_authentications_are_documented():
    schemes = documented()["components"]["securitySchemes"]
    assert schemes["BearerToken"] == {"type": "http", "scheme": "bearer"}
    assert (schemes["Session"]["in"], schemes["Session"]["name"]) == ("cookie", "sessionid")
    for operation in operations():
        described = operation.described["security"]
        if operation.is_public:
            assert described == []
            continue
        [[scope]] = described[0].values()
        assert described == [{"BearerToken": [scope]}, {"Session": []}]
        assert scope in ({"read"} if operation.method == "get" else {"create", "operate"}), str(operation)


def test_alias_is_served_but_undocumented(db, client):
    assert not [operation for operation in operations() if "api_missions" in operation.path]
    for address in ("/api/v1/api_missions/1/nowhere", "/api/v1/api_missions"):
        assert client.get(address).wsgi_request.path == address.replace("api_missions", "missions")


@pytest.fixture
def furnished(transactional_db: None) -> User:
    """Return a user with one object of each kind, on a server that is ready for missions."""
    owner = User.objects.create_user("mei")
    provider_accounts.environment_account()
    in_an_hour = timezone.now() + timedelta(hours=1)
    WorkerCluster.objects.create(host="elsewhere", pid=1, pid_started_at=0, beat_at=in_an_hour)
    services.submit_mission(owner=owner, name="Cats", task_type="text_to_image", rows=["a cat", "two cats"])
    MissionTemplate.objects.create(owner=owner, name="Cats", task_type="text_to_image")
    return owner


@pytest.mark.processes
def test_schemathesis_finds_no_failure(furnished, open_server, tmp_path):
    web = open_server(
        LOG_LEVEL="ERROR",
        API_REQUESTS_PER_MINUTE="0",
        RUNNINGHUB_API_KEY="simulator",
        RUNNINGHUB_BASE_URL="http://127.0.0.1:9",  # no request may leave
    )
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{web.url}/api/v1/openapi.json"]
    command += ["--header", f"Authorization: Bearer {new_token(furnished)}", "--exclude-path-regex", ENDLESS]
    command += [
        "--exclude-checks",
        REPLACED_CHECKS,
        "--max-examples",
        str(EXAMPLES),
        "--phases",
        "examples,coverage,fuzzing",
        "--generation-allow-x00",
        "false",
        "--seed",
        "1",
        "--no-color",
    ]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "tests.core.schema_checks", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}\n{web.log.read_text()}"
    selected, tested = re.search(r"Selected: (\d+)/\d+\s+Tested: (\d+)", run.stdout).groups()
    assert selected == tested, run.stdout
    assert "Traceback" not in web.log.read_text()
