"""The admin of core, and the parts that the admins of other apps share."""

from core.admin import idempotency

__all__ = ["idempotency"]
