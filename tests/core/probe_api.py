"""Operations that test the conventions of ``core.api``."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

from django.db import OperationalError, transaction
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from ninja import Query, Schema, Status

from accounts.models import ApiToken
from core.errors import FieldError, NotPossible
from missions.services import MissionInvalid
from runninghub_batch.api import make_api

api = make_api("probe")
ERRORS: dict[str, Exception] = {
    "mission": MissionInvalid([FieldError("batch_input.3.prompt", "Too long."), FieldError("name", "Missing.")]),
    "state": NotPossible("It has ended."),
    "missing": Http404(),
    "row": ApiToken.DoesNotExist(),
    "database": OperationalError("gone"),
    "bug": RuntimeError("a secret detail"),
}


class Config(Schema):
    rows: list[int]


class Body(Schema):
    config: Config
    note: str = ""


class Filters(Schema):
    search: str = ""
    page: int = 1


class Echo(Schema):
    note: str


@api.post("/echo", response={201: Echo})
def echo(request: HttpRequest, payload: Body) -> Status[Body]:
    return Status(201, payload)


@api.post("/echo-later", response={201: Echo})
async def echo_later(request: HttpRequest, payload: Body) -> Status[Body]:
    return Status(201, payload)


@api.get("/search", response=Echo)
def search(request: HttpRequest, filters: Query[Filters]) -> dict[str, Any]:
    return {"note": filters.search}


@api.get("/fail/{name}", response=Echo)
def fail(request: HttpRequest, name: str) -> None:
    raise ERRORS[name]


@api.get("/who", response=Echo)
async def who(request: HttpRequest) -> dict[str, Any]:
    return {"note": request.user.get_username()}


@api.post("/make", response={201: Echo})
def make(request: HttpRequest, name: str, then: str = "") -> Status[dict[str, Any]]:
    """Create a row, and fail afterwards if asked."""
    with transaction.atomic():
        ApiToken.objects.create(user_id=request.user.pk, name=name, digest=name)
        if then:
            raise ERRORS[then]
    return Status(201, {"note": name})


@api.delete("/nothing", response={204: None})
def nothing(request: HttpRequest) -> Status[None]:
    logging.getLogger("tests.probe").warning("deleted")
    return Status(204, None)


@api.get("/rare")
def rare(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=423, headers={"X-Lock": "7"})


@api.get("/stream")
async def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    return StreamingHttpResponse(parts(), content_type="text/plain")


urlpatterns = [path("api/v1/", api.urls)]
handler404 = "runninghub_batch.views.not_found"
