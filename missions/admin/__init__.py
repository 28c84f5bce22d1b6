"""The administration, a module for each concern.  Django finds them here."""

from missions.admin import accounts, catalogue, control_room, items, library, missions, rows

__all__ = ["accounts", "catalogue", "control_room", "items", "library", "missions", "rows"]
