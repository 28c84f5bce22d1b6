"""``/health``: this process and its database. ``/ready``: everything that a mission needs."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router, Schema

from operations import readiness
from operations.readiness import Part

router = Router(tags=["Health"], auth=None)


class PartOut(Schema):
    """One part that must work, and its state."""

    is_ok: bool
    message: str


class HealthOut(Schema):
    database: PartOut


class ReadyOut(HealthOut):
    workers: PartOut
    provider: PartOut
    disk: PartOut


@router.get("/health", response=HealthOut, summary="Check this process and its database")
def check_health(request: HttpRequest) -> dict[str, Part]:
    return readiness.require(database=readiness.database())


@router.get("/ready", response=ReadyOut, summary="Check everything that a mission needs")
def check_readiness(request: HttpRequest) -> dict[str, Part]:
    return readiness.require(**readiness.all_parts())
