"""The API's data about accounts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from ninja import Schema
from pydantic import ConfigDict, Field, StringConstraints

from accounts.models import Scope
from core.api.pagination import PageOut

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class TokenOut(Schema):
    """A token without its secret."""

    id: int
    name: str
    prefix: str
    scopes: list[Scope] = Field(description="What it may do: read, create, operate.")
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


class NewTokenOut(TokenOut):
    """A new token."""

    token: str | None = Field(description="The secret. Only in this response, and null when it is replayed.")


class TokenPage(PageOut):
    items: list[TokenOut]


class TokenIn(Schema):
    model_config = ConfigDict(extra="forbid")

    name: Name = Field(description="Purpose of the token.")
    expires_in_days: int | None = Field(
        None, ge=1, le=3650, description="Without it the token is valid until it is revoked."
    )
    scopes: list[Scope] | None = Field(
        None, min_length=1, max_length=3, description="Without it: those of the token that asks, or all."
    )


class CallerOut(Schema):
    """The caller and the token of the request; null in a session."""

    id: int
    username: str
    is_staff: bool
    token: TokenOut | None
