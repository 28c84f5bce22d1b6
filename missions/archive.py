"""Results on disk: fetched at once, because the provider keeps them for a day.

    fetch    stream to a .part file, within a size limit, from public addresses only
    inspect  open the file for what it claims to be; measure it; draw its thumbnail or poster
    place    rename (or upload) it under the name that its row decides, then record it

A download that fails costs nothing and is tried again for as long as its address lives.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import requests_hardened
from django.conf import settings
from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone

from missions import lifecycle
from missions.inspection import NotAResult, inspect
from missions.models import Mission, Output, OutputStatus
from missions.policy import retry

CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
CHUNK_BYTES = 256 * 1024
MAX_REDIRECTS = 3
LEASE = timedelta(seconds=10)  # renewed for as long as it takes, so that a dead worker's download is taken up soon
RENEW_SECONDS = 3.0


class DownloadFailed(Exception):
    """This try came to nothing.  The message is for people."""


@dataclass
class _Sessions:
    """Pooled sessions of this process: one that refuses private addresses, one for hosts that a setting allows."""

    guarded: requests.Session = field(
        default_factory=lambda: requests_hardened.HTTPSession(
            requests_hardened.Config(
                ip_filter_enable=True,
                ip_filter_allow_loopback_ips=False,
                never_redirect=True,
                default_timeout=(CONNECT_SECONDS, READ_SECONDS),
            )
        )
    )
    plain: requests.Session = field(default_factory=requests.Session)


_sessions = _Sessions()


def archive(output_id: int, try_number: int) -> None:
    """Fetch one output into the results storage.  A message for a try that was already made does nothing."""
    if not lifecycle.claim_download(output_id, try_number=try_number, lease_until=timezone.now() + LEASE):
        return
    output = _read(output_id)
    try:
        facts = _fetch_and_renew(output)
    except (DownloadFailed, NotAResult) as error:
        _try_later(output, str(error))
        return
    is_ours = lifecycle.store_output(output_id, **facts)
    if not is_ours and not _is_stored(output_id):
        remove([facts["file"], facts.get("thumbnail", "")])  # its mission was deleted in the meantime


def _fetch_and_renew(output: Output) -> dict[str, Any]:
    """Fetch an output in a thread, and renew its lease meanwhile.  Returns the facts for its row."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        facts = thread.submit(_fetch, output)
        while not wait([facts], timeout=RENEW_SECONDS).done:
            pending = Output.objects.filter(pk=output.pk, status=OutputStatus.PENDING)
            pending.update(next_try_at=timezone.now() + LEASE)
        return facts.result()


def _fetch(output: Output) -> dict[str, Any]:
    with _download(output) as (path, digest):
        return {"sha256": digest, **_place(output, path)}


def _is_stored(output_id: int) -> bool:
    """Whether another fetch of the same output came first: it left its file under the same name."""
    return Output.objects.filter(pk=output_id, status=OutputStatus.STORED).exists()


def _read(output_id: int) -> Output:
    fields = (
        "remote_url",
        "extension",
        "index",
        "try_count",
        "expires_at",
        "item__mission_id",
        "item__index",
        "attempt__number",
    )
    return Output.objects.select_related("item", "attempt").only(*fields).get(pk=output_id)


def _try_later(output: Output, message: str) -> None:
    next_try_at = timezone.now() + timedelta(seconds=retry.after_failed_download(output.try_count))
    if output.expires_at and next_try_at > output.expires_at:
        lifecycle.lose_output(
            output.pk, message=f"The result could not be fetched before its address expired. {message}"
        )
        return
    Output.objects.filter(pk=output.pk, status=OutputStatus.PENDING).update(
        next_try_at=next_try_at, error_message=message
    )


# --- Fetch ---


@contextlib.contextmanager
def _download(output: Output) -> Iterator[tuple[Path, str]]:
    """Stream an output to a temporary file in the data folder.  Yields its path and SHA-256; raises DownloadFailed."""
    folder = Path(settings.DATA_DIR) / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=".part", dir=folder)
    path = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            digest = _stream(output, file)
            file.flush()
            os.fsync(file.fileno())
        yield path, digest
    except (requests.RequestException, ValueError, OSError) as error:
        raise DownloadFailed(f"The result could not be fetched: {type(error).__name__}.") from error
    finally:
        path.unlink(missing_ok=True)


def _stream(output: Output, file: Any) -> str:
    digest = hashlib.sha256()
    size = 0
    with contextlib.closing(_get(output.remote_url)) as answer:
        expected = answer.headers.get("Content-Length")
        for chunk in answer.iter_content(CHUNK_BYTES):
            size += len(chunk)
            if size > settings.RESULTS_MAX_BYTES:
                raise DownloadFailed(f"The result is larger than RESULTS_MAX_BYTES ({settings.RESULTS_MAX_BYTES}).")
            digest.update(chunk)
            file.write(chunk)
        is_encoded = "Content-Encoding" in answer.headers
    if expected is not None and expected.isdecimal() and not is_encoded and size != int(expected):
        raise DownloadFailed(f"The result broke off after {size} of {expected} bytes.")
    if not size:
        raise DownloadFailed("The result is an empty file.")
    return digest.hexdigest()


def _get(url: str) -> requests.Response:
    """GET, following redirects by hand so that every hop is checked like the first."""
    for _ in range(MAX_REDIRECTS + 1):
        answer = _session(url).get(url, stream=True, allow_redirects=False, timeout=(CONNECT_SECONDS, READ_SECONDS))
        if answer.is_redirect:
            url = urljoin(url, answer.headers["Location"])
            answer.close()
            continue
        if answer.status_code != requests.codes.ok:
            answer.close()
            raise DownloadFailed(f"The result's address answered {answer.status_code}.")
        return answer
    raise DownloadFailed("The result's address redirects too often.")


def _session(url: str) -> requests.Session:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DownloadFailed("The result's address is not an http address.")
    allowed = settings.RESULTS_ALLOWED_HOSTS
    return _sessions.plain if parts.netloc in allowed or parts.hostname in allowed else _sessions.guarded


# --- Place ---


class _LocalFile(File):  # type: ignore[type-arg]
    """A finished file on disk that a file system storage may rename instead of copying."""

    def temporary_file_path(self) -> str:
        return str(self.name)


def _place(output: Output, path: Path) -> dict[str, Any]:
    """Check the file, move it and its thumbnail into the storage.  Returns the facts for its row."""
    found = inspect(path, claimed=output.extension)
    name = _name(output)
    facts: dict[str, Any] = {
        "extension": found.extension,
        "content_type": found.content_type,
        "size_bytes": path.stat().st_size,
        "width": found.width,
        "height": found.height,
        "duration_seconds": found.duration_seconds,
    }
    if found.thumbnail is not None:
        facts["thumbnail"] = storages["results"].save(f"{name}.thumb.jpg", ContentFile(found.thumbnail))
    facts["file"] = _save(f"{name}.{found.extension}", path)
    return facts


def _save(name: str, path: Path) -> str:
    path.chmod(0o644)
    with path.open("rb") as file:
        return str(storages["results"].save(name, _LocalFile(file, name=str(path))))


def folder_of(mission_id: int) -> str:
    return f"missions/{mission_id}"


def _name(output: Output) -> str:
    """Decided by the row alone, so that a second fetch after a crash replaces the file of the first."""
    item = output.item
    return f"{folder_of(item.mission_id)}/{item.index:05d}-{output.attempt.number}-{output.index}"


def remove_files(mission: Mission) -> None:
    """Delete every result file of a mission from the storage."""
    for names in Output.objects.filter(item__mission=mission).values_list("file", "thumbnail").iterator():
        remove(names)
    with contextlib.suppress(OSError, NotImplementedError):
        Path(storages["results"].path(folder_of(mission.pk))).rmdir()


def remove(names: Iterable[str]) -> None:
    """Delete files from the storage by their names; "" is none."""
    for name in filter(None, names):
        storages["results"].delete(name)
