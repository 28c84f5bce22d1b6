"""The documented schema matches a real server, tested by schemathesis."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from missions import services
from providers import provider_accounts
from templates_app.models import MissionTemplate
from tests.api_client import new_token
from tests.core.operations import documented, operations
from workers.models import WorkerCluster

EXAMPLES = 2  # examples per operation, beside those that cover each value
# These two report false positives, because a schema cannot express a model's own rules.
UNFIT_CHECKS = "positive_data_acceptance,negative_data_rejection"
ENDLESS = "/events$"  # a stream that ends with its mission, and no worker runs here


def test_operation_ids_are_unique():
    names = [operation.described["operationId"] for operation in operations()]
    assert len(names) == len(set(names))


def test_schema_has_envelopes_and_errors():
    for operation in operations():
        for status, response in operation.described["responses"].items():
            schema = response.get("content", {}).get("application/json", {}).get("schema", {})
            if int(status) >= 400:
                assert schema == {"$ref": "#/components/schemas/Error"}, (str(operation), status)
            elif schema:
                assert schema["required"] == ["code", "data"], (str(operation), status)


def test_both_authentications_are_documented():
    schemes = documented()["components"]["securitySchemes"]
    assert schemes["BearerToken"] == {"type": "http", "scheme": "bearer"}
    assert (schemes["Session"]["in"], schemes["Session"]["name"]) == ("cookie", "sessionid")
    for operation in operations():
        assert operation.is_public or operation.described["security"] == [{"BearerToken": []}, {"Session": []}]


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
        UNFIT_CHECKS,
        "--max-examples",
        str(EXAMPLES),
        "--phases",
        "examples,coverage,fuzzing",
        "--seed",
        "1",
        "--no-color",
    ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False)
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}\n{web.log.read_text()}"
    selected, tested = re.search(r"Selected: (\d+)/\d+\s+Tested: (\d+)", run.stdout).groups()
    assert selected == tested, run.stdout
    assert "Traceback" not in web.log.read_text()
