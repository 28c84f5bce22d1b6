"""Free space on the disk of DATA_DIR, and the threshold below which nothing more is taken up.

Results of paid tasks need the space that is left: providers delete them after a day.
"""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError
from django.utils.translation import gettext as _

from core.errors import DomainError

MEGABYTE = 1024**2
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
SQLITE_FULL = "database or disk is full"


class OutOfSpace(DomainError):
    """The server has no disk space for what the request would store."""

    status = 507


def temporary_folder() -> Path:
    """Return the folder of unfinished files of this host, which may not exist yet."""
    return Path(settings.DATA_DIR) / "tmp"


def free_bytes() -> int:
    """Return the bytes that this user may still write to the disk of DATA_DIR."""
    folder = Path(settings.DATA_DIR)
    return shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free


def threshold_bytes() -> int:
    """Return MIN_FREE_DISK_MB in bytes; 0 when nothing depends on the free space."""
    return int(settings.MIN_FREE_DISK_MB) * MEGABYTE


def is_low(free: int | None = None) -> bool:
    """Return True if ``free`` bytes, or those that are free here now, are below the threshold."""
    threshold = threshold_bytes()
    return bool(threshold) and (free_bytes() if free is None else free) < threshold


def require_space() -> None:
    """Raise OutOfSpace when uploads would take the space that results need."""
    if not settings.STORAGE_URL and is_low():
        raise OutOfSpace(_("The server's disk is nearly full, so nothing can be uploaded. Tell an operator."))


def is_no_space(error: BaseException | None) -> bool:
    """Return True if an exception, or its cause, says that no space is left."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            return True
        if isinstance(error, DatabaseError) and SQLITE_FULL in str(error):
            return True
        error = error.__cause__
    return False
