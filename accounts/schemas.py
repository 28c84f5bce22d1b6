"""What the API says about accounts, and takes in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from ninja import Schema
from pydantic import ConfigDict, Field, StringConstraints

MAX_ID = 2**63 - 1

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class TokenOut(Schema):
    """A token as it is listed: never the secret itself."""

    id: int
    name: str
    prefix: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


class NewTokenOut(TokenOut):
    """A token that was just made."""

    token: str | None = Field(description="The secret: shown in this answer only, and null in a replay of it.")


class TokenPage(Schema):
    items: list[TokenOut]
    total: int
    page: int
    page_size: int


class TokenIn(Schema):
    model_config = ConfigDict(extra="forbid")

    name: Name = Field(description="What the token is for.")
    expires_in_days: int | None = Field(
        None, ge=1, le=3650, description="Without it the token holds until it is revoked."
    )


class Paging(Schema):
    page: int = Field(1, ge=1, le=1_000_000)
    page_size: int = Field(20, ge=1, le=100)


class MeOut(Schema):
    """Who is calling, and with which token: none in a session."""

    id: int
    username: str
    is_staff: bool
    token: TokenOut | None
