"""The storages of uploads and results: folders in DATA_DIR, or the bucket of STORAGE_URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

FOLDER = "django.core.files.storage.FileSystemStorage"
RESULTS_FOLDER = "core.storage.folder.ResultsFolder"
BUCKET = "core.storage.s3.Bucket"
ENDPOINT = ("endpoint_url", "region_name", "addressing_style", "signature_version")
FORM = "s3://bucket/prefix?endpoint_url=https://s3.example.com&region_name=eu-central-1"


def storages_of(url: str, results_root: Path) -> dict[str, Any]:
    """Return the entries ``default`` (uploads) and ``results`` of STORAGES.

    ``url`` is STORAGE_URL; empty means files on a disk.  The row of a result determines its name,
    so downloading it twice overwrites it.  Raises ImproperlyConfigured.
    """
    if not url:
        folder = {"location": results_root, "base_url": None, "allow_overwrite": True}
        return {"default": {"BACKEND": FOLDER}, "results": {"BACKEND": RESULTS_FOLDER, "OPTIONS": folder}}
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    if parts.scheme != "s3" or not parts.netloc or "@" in parts.netloc or not set(options) <= set(ENDPOINT):
        # The URL is not repeated: it may contain a secret.
        raise ImproperlyConfigured(f"STORAGE_URL must be {FORM} (options: {', '.join(ENDPOINT)}).")
    path = unquote(parts.path).strip("/")
    prefix = f"{path}/" if path else ""
    shared = {"bucket_name": parts.netloc, **options}
    uploads = shared | {"location": f"{prefix}uploads", "file_overwrite": False}
    results = shared | {"location": f"{prefix}results", "file_overwrite": True}
    return {
        "default": {"BACKEND": BUCKET, "OPTIONS": uploads},
        "results": {"BACKEND": BUCKET, "OPTIONS": results},
    }
