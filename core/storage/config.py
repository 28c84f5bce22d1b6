"""Where uploads and results are kept: in DATA_DIR, or in the bucket that STORAGE_URL names."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

FOLDER = "django.core.files.storage.FileSystemStorage"
BUCKET = "core.storage.s3.Bucket"
ENDPOINT = ("endpoint_url", "region_name", "addressing_style", "signature_version")
FORM = "s3://bucket/prefix?endpoint_url=https://s3.example.com&region_name=eu-central-1"


def storages_of(url: str, results_root: Path) -> dict[str, Any]:
    """The entries ``default`` (uploads) and ``results`` of STORAGES.  ``url`` is empty for files on a disk.

    A result's name is decided by its row, so fetching it twice overwrites.  Raises ImproperlyConfigured.
    """
    if not url:
        results = {"location": results_root, "base_url": None, "allow_overwrite": True}
        return {"default": {"BACKEND": FOLDER}, "results": {"BACKEND": FOLDER, "OPTIONS": results}}
    shared, prefix = _read(url)
    return {
        "default": _in_bucket(shared, location=f"{prefix}uploads", file_overwrite=False),
        "results": _in_bucket(shared, location=f"{prefix}results", file_overwrite=True),
    }


def _in_bucket(shared: dict[str, str], **own: Any) -> dict[str, Any]:
    return {"BACKEND": BUCKET, "OPTIONS": shared | own}


def _read(url: str) -> tuple[dict[str, str], str]:
    """The options that name the bucket, and the prefix of every object in it."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    if parts.scheme != "s3" or not parts.netloc or "@" in parts.netloc or not set(options) <= set(ENDPOINT):
        told = f"STORAGE_URL is not of the form {FORM} (after the question mark: {', '.join(ENDPOINT)})."
        raise ImproperlyConfigured(told)  # it is not repeated: somebody may have put a secret into it
    prefix = unquote(parts.path).strip("/")
    return {"bucket_name": parts.netloc, **options}, f"{prefix}/" if prefix else ""
