"""Bad settings are found at the start."""

from __future__ import annotations

import os
import sys

import pytest
from django.core.checks import Tags, run_checks

from providers import encryption
from providers.catalog import loading
from tests.factories import add_account


def own_messages(*, deploy: bool = False) -> dict[str, str]:
    """Return the ids of our own messages, and their hints."""
    messages = {str(message.id): message.hint or "" for message in run_checks(include_deployment_checks=deploy)}
    return {check_id: hint for check_id, hint in messages.items() if check_id.startswith("missions.")}


def found(*, deploy: bool = False) -> set[str]:
    messages = own_messages(deploy=deploy)
    assert all(messages.values())  # each has a hint
    return set(messages)


def test_default_settings_pass():
    assert found() == set()


@pytest.mark.parametrize(
    ("setting", "value", "check_id"),
    [
        ("RUNNINGHUB_CONCURRENCY", 0, "missions.E001"),
        ("RUNNINGHUB_CONCURRENCY", -1, "missions.E001"),
        ("RETENTION_MEDIA_DAYS", -1, "missions.E011"),
        ("MEDIA_MAX_PIXELS", 0, "missions.E019"),
        ("MEDIA_MAX_PIXELS", 100_000_000, "missions.E019"),
        ("LOG_FORMAT", "xml", "missions.E012"),
        ("FAILURE_BREAKER_ITEMS", -1, "missions.E013"),
        ("MIN_FREE_DISK_MB", -1, "missions.E023"),
        ("BACKUP_MAX_AGE_DAYS", -1, "missions.E024"),
        ("OPENAI_CONCURRENCY", 0, "missions.E001"),
        ("LOCAL_CONCURRENCY", 0, "missions.E001"),
        ("LOCAL_TIMEOUT_SECONDS", 0.0, "missions.E016"),
        ("OPENAI_BASE_URL", "localhost:11434", "missions.E018"),
        ("RUNNINGHUB_BASE_URL", "www.runninghub.cn", "missions.E018"),
        ("CHAT_INPUT_PRICE", "0.5", "missions.W007"),
        ("Q_WORKERS", 0, "missions.E002"),
        ("Q_WORKERS", 1, "missions.W002"),
        ("POLL_FLOOR_SECONDS", 0.0, "missions.E003"),
        ("POLL_FLOOR_SECONDS", -1.0, "missions.E003"),
        ("POLL_FLOOR_SECONDS", float("nan"), "missions.E003"),
        ("PUBLIC_BASE_URL", "batch.example.com", "missions.E004"),
        ("PUBLIC_BASE_URL", "ftp://batch.example.com", "missions.E004"),
        ("PUBLIC_BASE_URL", "https://", "missions.E004"),
        ("PUBLIC_BASE_URL", "https://batch.example.com/?a=1", "missions.E004"),
        ("PUBLIC_BASE_URL", "https://batch.example.com//hooks", "missions.E004"),
        ("PUBLIC_BASE_URL", "https://user:password@batch.example.com", "missions.E004"),
        ("PUBLIC_BASE_URL", "https://[::1", "missions.E004"),
        ("DEFAULT_MODELS", {"text_to_image": "no/such-model"}, "missions.E005"),
        ("DEFAULT_MODELS", {"text_to_image": "rhart-image-v1/edit"}, "missions.E005"),
        ("API_REQUESTS_PER_MINUTE", -1, "missions.E009"),
        ("API_MAX_BODY_BYTES", 1000, "missions.E009"),
        ("ENCRYPTION_KEYS", ["too short"], "missions.E010"),
        ("RESULTS_ALLOWED_HOSTS", ["http://127.0.0.1:9100"], "missions.E006"),
        ("RESULTS_ALLOWED_HOSTS", ["127.0.0.1:90000"], "missions.E006"),
        ("RESULTS_ALLOWED_HOSTS", ["files.internal/results"], "missions.E006"),
        ("RESULTS_ALLOWED_HOSTS", [""], "missions.E006"),
        ("EMAIL_HOST", "mail.example.com", "missions.E025"),
        ("NOTIFICATION_ALLOWED_HOSTS", ["http://hooks.internal"], "missions.E006"),
        ("SECRET_KEY", "insecure-key-for-local-use-only-set-SECRET_KEY", "missions.W001"),
    ],
)
def test_bad_value_is_reported(settings, setting, value, check_id):
    setattr(settings, setting, value)
    assert found() == {check_id}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("PUBLIC_BASE_URL", "http://192.0.2.1:8000"),
        ("PUBLIC_BASE_URL", "https://batch.example.com/below"),
        ("RESULTS_ALLOWED_HOSTS", ["127.0.0.1:9100", "files.internal", "[::1]:80"]),
        ("DEFAULT_MODELS", {"text_to_video": "rhart-video-g/text-to-video"}),
        ("Q_WORKERS", 2),
    ],
)
def test_good_value_passes(settings, setting, value):
    setattr(settings, setting, value)
    assert found() == set()


def test_prices_of_chats_are_numbers(settings):
    settings.CHAT_INPUT_PRICE = settings.CHAT_OUTPUT_PRICE = "0.15"
    assert found() == set()
    for text in ("cheap", "-1", "NaN", "1,5"):
        settings.CHAT_INPUT_PRICE = text
        assert found() == {"missions.E017"}, text


def test_fast_polling_is_only_for_the_simulator(settings):
    settings.POLL_FLOOR_SECONDS = 0.1
    settings.RUNNINGHUB_BASE_URL = "https://www.runninghub.cn"
    assert found() == {"missions.W003"}
    for local in ("http://127.0.0.1:9100", "http://localhost:9100", "http://[::1]:9100"):
        settings.RUNNINGHUB_BASE_URL = local
        assert found() == set()


def test_hint_for_wrong_default_lists_choices(settings):
    settings.DEFAULT_MODELS = {"image_to_video": "rhart-video-s/text-to-video"}
    assert "rhart-video-s/image-to-video" in own_messages()["missions.E005"]
    assert "rhart-video-s/text-to-video" not in own_messages()["missions.E005"]


def test_broken_catalogue_is_an_error(monkeypatch, tmp_path):
    (tmp_path / "broken.toml").write_text("[[model]]\nendpoint = 'a/b'\n")
    monkeypatch.setattr(loading, "DIRECTORY", tmp_path)
    loading.catalogue.cache_clear()
    try:
        assert found() == {"missions.E007"}
    finally:
        loading.catalogue.cache_clear()


@pytest.mark.parametrize("name", ["DATA_DIR", "MEDIA_ROOT", "RESULTS_ROOT"])
def test_folder_below_a_file_is_reported(settings, tmp_path, name):
    (tmp_path / "file").write_text("")
    setattr(settings, name, tmp_path / "file" / "data")
    assert found() == {"missions.E008"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder_is_reported(settings, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    settings.DATA_DIR = locked / "data"
    assert found() == {"missions.E008"}


def test_missing_folder_passes_and_is_not_created(settings, tmp_path):
    settings.DATA_DIR = tmp_path / "not" / "yet"
    assert found() == set()
    assert not settings.DATA_DIR.exists()


def test_object_storage_needs_its_package(settings, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    settings.MEDIA_ROOT = settings.RESULTS_ROOT = tmp_path / "file" / "data"
    settings.STORAGE_URL = "s3://pictures"
    assert found() == set()
    monkeypatch.setitem(sys.modules, "storages", None)
    assert found() == {"missions.E014"}


def test_default_secret_key_passes_while_debugging(settings):
    settings.DEBUG = True
    settings.SECRET_KEY = "insecure-key-for-local-use-only-set-SECRET_KEY"
    assert found() == set()


def test_short_metrics_token_is_reported(settings):
    for token, problems in (("", set()), ("secret", {"missions.W020"}), ("x" * 20, set())):
        settings.METRICS_TOKEN = token
        assert found() == problems


def test_missing_api_key_is_reported_on_deploy_only(settings):
    settings.RUNNINGHUB_API_KEY = ""
    assert "missions.I001" in found(deploy=True)
    for name in ("RUNNINGHUB_API_KEY", "OPENAI_API_KEY"):
        setattr(settings, name, "a-key")
        assert "missions.I001" not in found(deploy=True)
        setattr(settings, name, "")


@pytest.mark.django_db
def test_unreadable_stored_key_is_reported(settings, encryption_key):
    add_account("other", "a-key-of-its-own", "https://site.example")

    def told() -> list[str]:
        return [str(message.id) for message in run_checks(tags=[Tags.database], databases=["default"])]

    assert told() == []
    settings.ENCRYPTION_KEYS = [encryption.new_key()]
    assert told() == ["missions.W004"]
