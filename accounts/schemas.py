"""What the API says about accounts."""

from __future__ import annotations

from datetime import datetime

from ninja import Schema


class TokenOut(Schema):
    """A token as it is listed: never the secret itself."""

    id: int
    name: str
    prefix: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


class MeOut(Schema):
    """Who is calling, and with which token: none in a session."""

    id: int
    username: str
    is_staff: bool
    token: TokenOut | None
