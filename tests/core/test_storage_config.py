"""STORAGE_URL: a bucket with a prefix, or empty."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile

from core.storage.config import BUCKET, FOLDER, RESULTS_FOLDER, storages_of
from core.storage.folder import ResultsFolder

RESULTS = Path("/data/results")


def test_default_is_the_disk():
    kept = storages_of("", RESULTS)
    assert {name: entry["BACKEND"] for name, entry in kept.items()} == {"default": FOLDER, "results": RESULTS_FOLDER}
    assert kept["results"]["OPTIONS"]["location"] == RESULTS


def test_bucket_has_a_folder_per_storage():
    kept = storages_of("s3://pictures/our/site/?endpoint_url=http://minio.internal:9000&region_name=eu", RESULTS)
    shared = {"bucket_name": "pictures", "endpoint_url": "http://minio.internal:9000", "region_name": "eu"}
    assert {entry["BACKEND"] for entry in kept.values()} == {BUCKET}
    assert kept["default"]["OPTIONS"] == {**shared, "location": "our/site/uploads", "file_overwrite": False}
    assert kept["results"]["OPTIONS"] == {**shared, "location": "our/site/results", "file_overwrite": True}


def test_prefix_is_optional():
    assert storages_of("s3://pictures", RESULTS)["results"]["OPTIONS"]["location"] == "results"


@pytest.mark.parametrize(
    "url",
    [
        "pictures",
        "https://pictures.s3.amazonaws.com",
        "s3://",
        "s3:///folder",
        "s3://id:very-secret@pictures",
        "s3://pictures?endpoint=http://minio.internal",
        "s3://pictures?default_acl=public-read",
    ],
)
def test_invalid_url_is_refused_and_not_repeated(url: str):
    with pytest.raises(ImproperlyConfigured, match="STORAGE_URL must be s3://") as refused:
        storages_of(url, RESULTS)
    assert "very-secret" not in str(refused.value)


def test_a_result_of_the_same_name_is_a_new_file(tmp_path):
    """A backup may hold a hard link to the old one."""
    storage = ResultsFolder(tmp_path, allow_overwrite=True)
    storage.save("a/1.png", ContentFile(b"old"))
    (tmp_path / "link").hardlink_to(tmp_path / "a/1.png")
    assert storage.save("a/1.png", ContentFile(b"new")) == "a/1.png"
    assert [(tmp_path / "link").read_bytes(), (tmp_path / "a/1.png").read_bytes()] == [b"old", b"new"]
