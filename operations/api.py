"""``/health``: this process and its database.  ``/ready``: everything that a mission needs to be run."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router, Schema

from operations import readiness
from operations.readiness import Part

router = Router(tags=["Health"], auth=None)


class PartOut(Schema):
    """One thing that must work, and how it is."""

    is_ok: bool
    message: str


class HealthOut(Schema):
    database: PartOut


class ReadyOut(HealthOut):
    workers: PartOut
    provider: PartOut


@router.get("/health", response=HealthOut, summary="Is this process alive, and does its database answer?")
def health(request: HttpRequest) -> dict[str, Part]:
    return readiness.require(database=readiness.database())


@router.get("/ready", response=ReadyOut, summary="Would a mission be run now?")
def ready(request: HttpRequest) -> dict[str, Part]:
    return readiness.require(**readiness.all_parts())
