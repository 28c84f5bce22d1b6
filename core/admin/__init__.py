"""The admin of core, and the parts that the admins of other apps share."""

from core.admin import bulk_page, idempotency

__all__ = ["bulk_page", "idempotency"]
