"""Results in a folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from django.core.files.storage import FileSystemStorage


class ResultsFolder(FileSystemStorage):
    """A folder in which a file of the same name is replaced and never rewritten in place.

    Backups may hold hard links to the files.
    """

    def _save(self, name: str, content: Any) -> str:
        with suppress(FileNotFoundError, IsADirectoryError):
            Path(self.path(name)).unlink()
        return str(super()._save(name, content))  # type: ignore[misc]
