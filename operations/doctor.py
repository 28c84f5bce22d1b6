"""Check every part that this program needs, and say how to fix it.

Spends nothing and leaves nothing behind.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.conf import settings
from django.contrib.sessions.models import Session
from django.core import checks
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, storages
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from core.storage import disk
from operations import readiness
from operations.models import Backup
from providers import provider_accounts
from providers.adapters.errors import ProviderError
from providers.adapters.http import TransportFailure, glance
from providers.adapters.registry import PROVIDERS
from providers.models import ProviderAccount
from workers import queue

MAX_MESSAGE_AGE = timedelta(seconds=30)  # while workers run
CLOCK_TOLERANCE = timedelta(seconds=30)
MIN_FREE_BYTES = 5 * 1024**3
GIGABYTE = 1024**3


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. ``remedy`` says how to fix it; "" when nothing is wrong."""

    part: str
    level: Level
    message: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Check every part, one after the other. No message contains a key or a password."""
    yield from _settings()
    database = list(_database())
    yield from database
    if not any(finding.level is Level.FAIL for finding in database):
        yield from _broker()
        yield from _accounts()
        yield from _clocks()
        yield _last_backup()
    yield from _storage()
    yield from _public_address()


def _settings() -> Iterator[Finding]:
    """Run `manage.py check`, with the deployment checks when HTTPS is on."""
    problems = [
        message
        for message in checks.run_checks(include_deployment_checks=settings.HTTPS_ONLY)
        if message.level >= checks.WARNING and not message.is_silenced()
    ]
    for message in problems:
        level = Level.FAIL if message.is_serious() else Level.WARN
        yield Finding("settings", level, f"{message.msg} ({message.id})", message.hint or "")
    if not problems:
        yield Finding("settings", Level.OK, "The system checks found no problems.")


# --- Database ---


def _database() -> Iterator[Finding]:
    state = readiness.database()
    if not state.is_ok:
        remedy = "Start it, or correct DATABASE_URL."
        if state.is_older:
            remedy = "Run: manage.py migrate. See Upgrade in the operator guide: stop workers and web first."
        yield Finding("database", Level.FAIL, state.message, remedy)
        return
    yield _write()
    if connection.vendor == "sqlite":
        yield _journal()


def _write() -> Finding:
    try:
        with transaction.atomic():
            Session.objects.create(session_key=secrets.token_hex(16), session_data="", expire_date=timezone.now())
            transaction.set_rollback(True)
    except DatabaseError as error:
        remedy = "Give this user permission to write, and free disk space."
        return Finding("database", Level.FAIL, f"It is not writable: {type(error).__name__}.", remedy)
    return Finding("database", Level.OK, f"{connection.vendor} answers, is up to date and writable.")


def _journal() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        mode = str(cursor.fetchone()[0])
    if mode == "wal":
        return Finding("database", Level.OK, "SQLite uses a write-ahead log.")
    remedy = "Put DATA_DIR on a local disk: a write-ahead log does not work on network shares."
    return Finding("database", Level.FAIL, f"SQLite's journal mode is {mode}, so workers block each other.", remedy)


# --- Workers and accounts ---


def _broker() -> Iterator[Finding]:
    workers = readiness.workers()
    level = Level.OK if workers.is_ok else Level.WARN
    yield Finding("workers", level, workers.message, "" if workers.is_ok else "Start manage.py workers, or make serve.")
    count, oldest = queue.backlog(timezone.now())
    message = f"{count} messages wait, the oldest for {oldest.total_seconds():.0f} s."
    if not workers.is_ok or oldest < MAX_MESSAGE_AGE:
        yield Finding("broker", Level.OK, message)
    else:
        yield Finding("broker", Level.WARN, message, "Read the workers' log; restart them if nothing is processed.")


def _accounts() -> Iterator[Finding]:
    accounts = list(ProviderAccount.objects.filter(is_enabled=True).order_by("pk"))
    if not accounts:
        yield Finding("provider", Level.WARN, "No account is in use.", "Start the workers once: they create one.")
    for account in accounts:
        yield _account(account)


def _account(account: ProviderAccount) -> Finding:
    part = f"provider {account.name}"
    needs_key = provider_accounts.needs_key(account)
    if needs_key and not provider_accounts.has_key(account):
        if provider_accounts.is_from_environment(account):
            remedy = f"Put the key into .env as {PROVIDERS[account.provider].environment['api_key']}, and restart."
        else:
            remedy = "Enter the key in the administration."
        return Finding(part, Level.WARN, "No key is set: nothing can be spent.", remedy)
    try:
        status = provider_accounts.connect(account).check_account()
    except ProviderError as error:
        return Finding(part, Level.FAIL, str(error), "Check the key, the URL and the network.")
    works = "The key works" if needs_key else "The provider answers"
    if account.paused_at:
        remedy = f"Fix the cause, then run: manage.py provider_accounts resume {account.name}"
        return Finding(part, Level.WARN, f"{works}, but the account is paused: {account.pause_reason}", remedy)
    if not needs_key and status.balance is None:
        return Finding(part, Level.OK, f"{works}.")
    balance = "not reported" if status.balance is None else f"{status.balance} {status.currency}".strip()
    return Finding(part, Level.OK, f"{works}. Balance: {balance}.")


# --- Clocks ---


def _clocks() -> Iterator[Finding]:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            yield _clock("database", cursor.fetchone()[0])
    addresses = {provider_accounts.address(row) for row in ProviderAccount.objects.all()}
    for address in sorted(addresses - {""}):
        try:
            seen = glance(address)
        except TransportFailure:
            continue  # the account's own finding says so
        if seen.date:
            yield _clock("provider", seen.date)


def _clock(whose: str, theirs: datetime) -> Finding:
    difference = abs(theirs - timezone.now())
    if difference < CLOCK_TOLERANCE:
        return Finding("clock", Level.OK, f"This machine's clock agrees with the {whose}'s.")
    message = f"This machine's clock differs from the {whose}'s by {difference.total_seconds():.0f} s."
    return Finding("clock", Level.WARN, message, "Synchronise clocks with NTP: timeouts and expiry depend on them.")


# --- Backups, files and the public URL ---


def _last_backup() -> Finding:
    latest = Backup.objects.first()
    remedy = "Run: manage.py backup DIR. See Backups in the operator guide."
    is_wanted = settings.BACKUP_MAX_AGE_DAYS > 0
    if latest is None:
        return Finding("backup", Level.WARN if is_wanted else Level.OK, "No backup was made.", remedy * is_wanted)
    age = timezone.now() - latest.made_at
    days = age / timedelta(days=1)
    text = f"The last backup is {days:.0f} days old" if days >= 2 else f"The last backup is {days * 24:.0f} hours old"
    is_old = is_wanted and days > settings.BACKUP_MAX_AGE_DAYS
    return Finding("backup", Level.WARN if is_old else Level.OK, f"{text}: {latest}.", remedy if is_old else "")


def _storage() -> Iterator[Finding]:
    for name, what in (("results", "results"), ("default", "uploads")):
        yield _probe(name, f"storage of {what}")
    yield from _disks()


def _disks() -> Iterator[Finding]:
    """Compare the free space here and on the hosts of live workers with MIN_FREE_DISK_MB."""
    here = disk.free_bytes()
    remedy = "Free some space: manage.py cleanup shows what can be deleted; make the disk larger; or move old backups."
    if disk.is_low(here):
        message = f"{here / disk.MEGABYTE:.0f} MB are free, less than MIN_FREE_DISK_MB: nothing more is submitted."
        yield Finding("disk", Level.FAIL, message, remedy)
    else:
        level = Level.OK if here > MIN_FREE_BYTES else Level.WARN
        yield Finding("disk", level, f"{here / GIGABYTE:.1f} GB are free for data.", remedy * (level is Level.WARN))
    others = [each for each in readiness.clusters_without_space() if each.host != os.uname().nodename]
    for cluster in others:
        message = f"{(cluster.free_disk_bytes or 0) / disk.MEGABYTE:.0f} MB are free: its workers submit nothing more."
        yield Finding(f"disk of {cluster.host}", Level.FAIL, message, remedy)


def _probe(name: str, part: str) -> Finding:
    storage, content = storages[name], secrets.token_bytes(16)
    try:
        saved = storage.save(f"probe-{secrets.token_hex(8)}", ContentFile(content))
        try:
            with storage.open(saved) as file:
                is_same = file.read() == content
        finally:
            storage.delete(saved)
    except OSError as error:
        remedy = (
            f"Give this user permission to write to {storage.location}."
            if isinstance(storage, FileSystemStorage)
            else "Check STORAGE_URL and its keys: they need permission to list, get, put and delete objects of the bucket."
        )
        return Finding(part, Level.FAIL, f"It cannot be used: {error.strerror or type(error).__name__}.", remedy)
    if not is_same:
        return Finding(part, Level.FAIL, "The content read differs from the content written.", "Check the disk.")
    return Finding(part, Level.OK, "A file was written, read and deleted.")


def _public_address() -> Iterator[Finding]:
    if not settings.PUBLIC_BASE_URL:
        yield Finding("public address", Level.OK, "PUBLIC_BASE_URL is not set: results are polled, without webhooks.")
        return
    remedy = "Start the web process, and point the proxy to it. Polling continues meanwhile."
    try:
        status = glance(f"{settings.PUBLIC_BASE_URL}/api/v1/health").status
    except TransportFailure as failure:
        yield Finding("public address", Level.WARN, f"PUBLIC_BASE_URL cannot be reached from here: {failure}.", remedy)
        return
    if status == 200:
        yield Finding("public address", Level.OK, "PUBLIC_BASE_URL leads to this site.")
    else:
        yield Finding("public address", Level.WARN, f"PUBLIC_BASE_URL answers {status}.", remedy)
