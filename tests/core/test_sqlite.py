"""Waiting for the turn to write, when SQLite is the database."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, OperationalError, connection, transaction

from core.db.sqlite.base import PatientCursor

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _on_sqlite() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL has a queue of its own")


@contextmanager
def writer_elsewhere(*, stops_after: float = 3600) -> Iterator[threading.Event]:
    """Another connection that holds the write lock, for so many seconds or until the block ends."""
    holds, may_stop = threading.Event(), threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            holds.set()
            may_stop.wait(stops_after)
            other.execute("ROLLBACK")

    thread = threading.Thread(target=write)
    thread.start()
    assert holds.wait(10)
    try:
        yield may_stop
    finally:
        may_stop.set()
        thread.join()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.2)


def test_a_transaction_waits_for_its_turn():
    with writer_elsewhere(stops_after=0.3), transaction.atomic():
        User.objects.create_user("late")
    assert User.objects.filter(username="late").exists()


def test_a_single_statement_waits_for_its_turn():
    person = User.objects.create_user("mei")
    with writer_elsewhere(stops_after=0.3):
        assert User.objects.filter(pk=person.pk).update(first_name="Mei") == 1


def test_reading_waits_for_nobody(impatient):
    User.objects.create_user("mei")
    with writer_elsewhere():
        assert User.objects.get().username == "mei"


def test_a_write_that_waits_too_long_fails_and_stores_nothing(impatient):
    with writer_elsewhere():
        began = time.monotonic()
        with pytest.raises(OperationalError, match="locked"), transaction.atomic():
            User.objects.create_user("never")
        assert time.monotonic() - began > 0.2
    assert not User.objects.exists()
    with transaction.atomic():  # and the connection is as good as before
        User.objects.create_user("now")


def test_another_error_is_reported_at_once():
    began = time.monotonic()
    with pytest.raises(DatabaseError, match="no such table"), connection.cursor() as cursor:
        cursor.execute("UPDATE nowhere SET a = 1")
    assert time.monotonic() - began < 5


def test_write_to_an_outdated_snapshot_fails_at_once():
    """A retry cannot help: the snapshot stays as old as it is."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT COUNT(*) FROM auth_user")
        with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as other:
            other.execute("CREATE TABLE elsewhere (a)")
            other.execute("DROP TABLE elsewhere")
        began = time.monotonic()
        with pytest.raises(DatabaseError):
            cursor.execute("UPDATE auth_user SET first_name = 'x'")
        assert time.monotonic() - began < 5
        cursor.execute("ROLLBACK")


def test_the_lock_is_taken_over_within_a_few_naps(monkeypatch):
    """SQLite sleeps up to 100 ms between tries, so the lock would be free while waiters sleep."""
    naps: list[float] = []
    sleep = time.sleep

    def nap(seconds: float) -> None:
        naps.append(seconds)
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", nap)
    with writer_elsewhere(stops_after=3.0), transaction.atomic():
        pass
    assert isinstance(connection.create_cursor(), PatientCursor)
    assert len(naps) > 50
    assert max(naps) < 0.01
