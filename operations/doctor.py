"""Check every part that this program needs, and say how to fix it.

Each function checks one part and yields its findings. None spends anything or leaves anything
behind.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from django.conf import settings
from django.contrib.sessions.models import Session
from django.core import checks
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, storages
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from core.storage import disk
from notifications import channels
from notifications.models import Channel
from operations import readiness
from operations.models import Backup
from providers import encryption, provider_accounts
from providers.adapters.errors import AccountBlocked, ProviderError
from providers.adapters.http import TransportFailure, glance
from providers.adapters.registry import PROVIDERS
from providers.models import ProviderAccount
from workers import queue

MAX_MESSAGE_AGE = timedelta(seconds=30)  # while workers run
CLOCK_TOLERANCE = timedelta(seconds=30)
MIN_FREE_BYTES = 5 * 1024**3
GIGABYTE = 1024**3
CREATE_ACCOUNT = "Start the workers: at their first start they create one. Or enable one in the admin."
FREE_SPACE = "Free some space: manage.py cleanup shows what can be deleted; make the disk larger; or move old backups."
START_WORKERS = "Run: systemctl start runninghub-batch-workers. Without systemd: manage.py workers, or make serve."


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
    yield from check_settings()
    database = list(check_database())
    yield from database
    if not any(finding.level is Level.FAIL for finding in database):
        yield from check_workers()
        yield from check_accounts()
        yield from check_clocks()
        yield from check_channels()
        yield from check_backup()
    yield from check_storages()
    yield from check_disks()
    yield from check_public_address()


def check_settings() -> Iterator[Finding]:
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


def check_database() -> Iterator[Finding]:
    """Read from the database and write to it. SQLite must not let writers block readers."""
    state = readiness.database()
    if not state.is_ok:
        remedy = "Start it, or correct DATABASE_URL."
        if state.is_older:
            remedy = "Run: manage.py migrate. See Upgrade in the operator guide: stop workers and web first."
        yield Finding("database", Level.FAIL, state.message, remedy)
        return
    try:
        with transaction.atomic():
            Session.objects.create(session_key=secrets.token_hex(16), session_data="", expire_date=timezone.now())
            transaction.set_rollback(True)
    except DatabaseError as error:
        remedy = "Give this user permission to write, and free disk space."
        yield Finding("database", Level.FAIL, f"It is not writable: {type(error).__name__}.", remedy)
    else:
        yield Finding("database", Level.OK, f"{connection.vendor} answers, is up to date and writable.")
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        mode = str(cursor.fetchone()[0])
    if mode == "wal":
        yield Finding("database", Level.OK, "SQLite uses a write-ahead log.")
    else:
        message = f"SQLite's journal mode is {mode}, so workers block each other."
        remedy = "Put DATA_DIR on a local disk: a write-ahead log does not work on network shares."
        yield Finding("database", Level.FAIL, message, remedy)


def check_workers() -> Iterator[Finding]:
    """Check that workers run and that no message waits for long."""
    workers = readiness.workers()
    level = Level.OK if workers.is_ok else Level.WARN
    yield Finding("workers", level, workers.message, "" if workers.is_ok else START_WORKERS)
    count, oldest = queue.backlog(timezone.now())
    message = f"{count} messages wait, the oldest for {oldest.total_seconds():.0f} s."
    if not workers.is_ok or oldest < MAX_MESSAGE_AGE:
        yield Finding("broker", Level.OK, message)
    else:
        yield Finding("broker", Level.WARN, message, "Read the workers' log; restart them if nothing is processed.")


def check_accounts() -> Iterator[Finding]:
    """Ask the provider of each account in use whether its key works, and for its balance."""
    accounts = list(ProviderAccount.objects.filter(is_enabled=True).order_by("pk"))
    if not accounts:
        yield Finding("provider", Level.WARN, "No account is in use.", CREATE_ACCOUNT)
    for account in accounts:
        part = f"provider {account.name}"
        needs_key = provider_accounts.needs_key(account)
        if needs_key and not provider_accounts.has_key(account):
            remedy = "Enter the key in the administration."
            if provider_accounts.is_from_environment(account):
                remedy = f"Put the key into .env as {PROVIDERS[account.provider].environment['api_key']}, and restart."
            yield Finding(part, Level.WARN, "No key is set: nothing can be spent.", remedy)
            continue
        try:
            status = provider_accounts.connect(account).check_account()
        except ProviderError as error:
            is_refused = isinstance(error, AccountBlocked)
            remedy = "Correct it in .env or in the admin." if is_refused else "Check the address and the network."
            yield Finding(part, Level.FAIL, str(error), remedy)
            continue
        works = "The key works" if needs_key else "The provider answers"
        if account.paused_at:
            remedy = f"Fix the cause, then run: manage.py provider_accounts resume {account.name}"
            message = f"{works}, but the account is paused: {account.pause_reason}"
            yield Finding(part, Level.WARN, message, remedy)
        elif not needs_key and status.balance is None:
            yield Finding(part, Level.OK, f"{works}.")
        else:
            balance = "not reported" if status.balance is None else f"{status.balance} {status.currency}".strip()
            yield Finding(part, Level.OK, f"{works}. Balance: {balance}.")


def check_clocks() -> Iterator[Finding]:
    """Compare this machine's clock with those of PostgreSQL and of the providers."""
    differences: list[tuple[str, timedelta]] = []
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            differences.append(("database", abs(cursor.fetchone()[0] - timezone.now())))
    addresses = {provider_accounts.address(row) for row in ProviderAccount.objects.all()}
    for address in sorted(addresses - {""}):
        with suppress(TransportFailure):  # the account's own finding says so
            if date := glance(address).date:
                differences.append(("provider", abs(date - timezone.now())))
    for owner, difference in differences:
        if difference < CLOCK_TOLERANCE:
            yield Finding("clock", Level.OK, f"This machine's clock agrees with the {owner}'s.")
        else:
            message = f"This machine's clock differs from the {owner}'s by {difference.total_seconds():.0f} s."
            remedy = "Synchronise clocks with NTP: timeouts and expiry depend on them."
            yield Finding("clock", Level.WARN, message, remedy)


def check_channels() -> Iterator[Finding]:
    """Check that the addresses and secrets of notifications can be decrypted."""
    lost = []
    for channel in Channel.objects.select_related("owner").filter(is_enabled=True):
        try:
            channels.url_of(channel)
            channels.secrets_of(channel, timezone.now())
        except encryption.Unreadable:
            lost.append(f"{channel} of {channel.owner}")
    if lost:
        names = ", ".join(lost[:5]) + ", …" * (len(lost) > 5)
        remedy = "Put the lost key back into ENCRYPTION_KEYS, or let these people enter address and secret again."
        yield Finding("notifications", Level.WARN, f"None of ENCRYPTION_KEYS opens {len(lost)}: {names}", remedy)


def check_backup() -> Iterator[Finding]:
    """Check that the last backup is not older than BACKUP_MAX_AGE_DAYS."""
    latest = Backup.objects.first()
    remedy = "Run: manage.py backup DIR. See Backups in the operator guide."
    is_needed = settings.BACKUP_MAX_AGE_DAYS > 0
    if latest is None:
        yield Finding("backup", Level.WARN if is_needed else Level.OK, "No backup was made.", remedy * is_needed)
        return
    days = (timezone.now() - latest.made_at) / timedelta(days=1)
    age = f"{days:.0f} days" if days >= 2 else f"{days * 24:.0f} hours"
    is_old = is_needed and days > settings.BACKUP_MAX_AGE_DAYS
    level = Level.WARN if is_old else Level.OK
    yield Finding("backup", level, f"The last backup is {age} old: {latest}.", remedy * is_old)


def check_storages() -> Iterator[Finding]:
    """Write, read and delete a file in the storages of results and uploads."""
    for name, files in (("results", "results"), ("default", "uploads")):
        part, storage, content = f"storage of {files}", storages[name], secrets.token_bytes(16)
        try:
            path = storage.save(f"probe-{secrets.token_hex(8)}", ContentFile(content))
            try:
                with storage.open(path) as file:
                    is_same = file.read() == content
            finally:
                storage.delete(path)
        except OSError as error:
            remedy = (
                "Check STORAGE_URL and its keys: they need permission to list, get, put and delete objects of the "
                "bucket."
            )
            if disk.is_no_space(error):
                remedy = FREE_SPACE
            elif isinstance(storage, FileSystemStorage):
                remedy = f"Give this user permission to write to {storage.location}."
            message = f"It cannot be used: {error.strerror or type(error).__name__}."
            yield Finding(part, Level.FAIL, message, remedy)
            continue
        if is_same:
            yield Finding(part, Level.OK, "A file was written, read and deleted.")
        else:
            message = "The content read differs from the content written."
            yield Finding(part, Level.FAIL, message, "Check the disk.")


def check_disks() -> Iterator[Finding]:
    """Compare the free space here and on the hosts of live workers with MIN_FREE_DISK_MB."""
    free = disk.free_bytes()
    if disk.is_low(free):
        message = f"{free / disk.MEGABYTE:.0f} MB are free, less than MIN_FREE_DISK_MB: nothing more is submitted."
        yield Finding("disk", Level.FAIL, message, FREE_SPACE)
    elif free > MIN_FREE_BYTES:
        yield Finding("disk", Level.OK, f"{free / GIGABYTE:.1f} GB are free for data.")
    else:
        yield Finding("disk", Level.WARN, f"{free / GIGABYTE:.1f} GB are free for data.", FREE_SPACE)
    for cluster in readiness.clusters_without_space():
        if cluster.host != os.uname().nodename:
            message = (
                f"{(cluster.free_disk_bytes or 0) / disk.MEGABYTE:.0f} MB are free: its workers submit nothing more."
            )
            yield Finding(f"disk of {cluster.host}", Level.FAIL, message, FREE_SPACE)


def check_public_address() -> Iterator[Finding]:
    """Request /health by PUBLIC_BASE_URL."""
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
