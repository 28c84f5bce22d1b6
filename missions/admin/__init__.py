"""The administration, a module for each concern.  Django finds them here."""

from missions.admin import accounts, catalogue, items, library, missions, rows

__all__ = ["accounts", "catalogue", "items", "library", "missions", "rows"]
