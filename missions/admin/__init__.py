"""Plain admin pages, a module for each concern.  Django finds them here."""

from missions.admin import accounts, control_room, rows

__all__ = ["accounts", "control_room", "rows"]
