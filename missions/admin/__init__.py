"""Plain admin pages, a module for each concern.  Django finds them here."""

from missions.admin import accounts, rows

__all__ = ["accounts", "rows"]
