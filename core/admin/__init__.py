"""Admin of the core app, and the pieces that other apps' admins share.  Django finds the registrations here."""

from core.admin import idempotency

__all__ = ["idempotency"]
