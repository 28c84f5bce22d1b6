"""Find uploaded files by the names that people write: in sheets, forms, programs.

A file has every name under which it was uploaded. Names are compared without regard to case, to
the way in which accents are encoded (macOS decomposes them), to the kind of slash, and to invisible
characters. Folders and endings matter only where files would be mistaken for one another.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.http.request import validate_host
from django.utils import timezone
from django.utils.translation import gettext as _

from core.db import bulk
from core.reasons import Reason, define
from core.text import is_shapeless
from media.images import FORMATS
from media.models import MediaFile, MediaName

BATCH = 500
MAX_PATH = 500
SHOWN = 5
_REFERENCE = re.compile(r"(?:media:\d{1,18}|output:\d{1,18}/\d{1,5})", re.ASCII)
_OWN_PATH = re.compile(r"/media/(?P<key>[A-Za-z0-9_-]{1,40})(?:/(?:preview|sent))?/?")
EXAMPLES = 3  # names that a warning shows
NAMES_REPEATED = define(
    "image_names_repeated", "Several of your images have the same name; the newest one is used: %(names)s."
)
_MENTIONED_ID = re.compile(r"media:\d{1,18}", re.ASCII)
_MENTIONED_KEY = re.compile(r"/media/([A-Za-z0-9_-]{1,40})")
_MARKS = re.compile(r"[|\r\n,;，；、]")
_ENDINGS = {f".{extension}" for each in FORMATS.values() for extension in each.extensions}


@dataclass(slots=True)
class Resolved:
    """The result of ``resolve``.

    ``references`` has ``media:ID`` for each text that was found, ``problems`` a sentence for people
    for each that was not. ``repeated`` are names that several files have, of which the newest is
    used; ``unknown`` are texts that do not look like the name of a picture either.
    """

    references: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)

    @property
    def warnings(self) -> list[Reason]:
        """A warning for people if there are ``repeated`` names."""
        if not self.repeated:
            return []
        names = ", ".join(sorted(self.repeated)[:EXAMPLES])
        return [NAMES_REPEATED(names=names + (" …" if len(self.repeated) > EXAMPLES else ""))]


def is_name(text: str) -> bool:
    """Return True for a text that is neither a reference nor an address of another host."""
    if _REFERENCE.fullmatch(text):
        return False
    return not text.lower().startswith(("http://", "https://")) or _own_key(text) is not None


def resolve(texts: Iterable[str], *, owner: AbstractBaseUser) -> Resolved:
    """Find the owner's files for texts for which ``is_name`` holds.

    A text is a file's name, with or without folders and ending, perhaps after ``media:``, or the
    address of a file on this site.
    """
    result = Resolved()
    by_path: dict[str, str] = {}
    by_key: dict[str, str] = {}
    for text in set(texts):
        key = _own_key(text)
        if key is None:
            by_path[text] = folded(re.sub(r"(?i)^media:", "", text.strip()))
        else:
            by_key[text] = key
    if by_key:
        files = MediaFile.objects.filter(owner_id=owner.pk, key__in=set(by_key.values()))
        references = {media.key: media.reference for media in files}
        for text, key in by_key.items():
            if key in references:
                result.references[text] = references[key]
            else:
                result.problems[text] = _("You have no uploaded file at this address. Upload it, and write media:ID.")
    if by_path:
        _complete_names(owner)
        _find(by_path, owner, result)
    return result


def choose(wanted: str, candidates: Sequence[tuple[str, str]]) -> set[str]:
    """Return the ids of those (path, id) that fit a folded path best; several are ambiguous.

    The more folders agree, from the last to the first, the better a candidate is.
    """
    parts = wanted.split("/")[::-1]
    best: set[str] = set()
    most = -1
    for path, candidate_id in candidates:
        agreeing = 0
        for part, other in zip(parts[1:], path.split("/")[::-1][1:], strict=False):
            if part != other:
                break
            agreeing += 1
        if agreeing > most:
            most, best = agreeing, set()
        if agreeing == most:
            best.add(candidate_id)
    return best


def mentioned(text: str) -> Iterator[str]:
    """Yield what a text may mean an uploaded file by: ``media:ID``, the key of an address, names.

    Names are folded and without folders. The text may list several, one a line or divided by marks.
    """
    yield from _MENTIONED_ID.findall(text)
    yield from _MENTIONED_KEY.findall(text)
    for part in {text, *_MARKS.split(text)}:
        if name := folded(part[-MAX_PATH:]).rpartition("/")[2]:
            yield name


def names_of(media: MediaFile) -> set[str]:
    """Return all that ``mentioned`` may yield for a file."""
    names = {name for row in media.names.all() for name in (row.key, row.stem)} or {folded(media.name)}
    return names | {media.reference, media.key}


def original_names(owner_id: int, media_ids: Sequence[int]) -> dict[int, str]:
    """Return the names, without folders, under which a person's files were last uploaded."""
    found: dict[int, str] = {}
    for batch in bulk.batches(media_ids, BATCH):
        names = MediaName.objects.filter(owner_id=owner_id, media__in=batch).order_by("uploaded_at", "pk")
        found |= {media_id: path.rpartition("/")[2] for media_id, path in names.values_list("media_id", "path")}
        if older := [pk for pk in batch if pk not in found]:  # stored by an older release
            found |= MediaFile.objects.filter(owner_id=owner_id, pk__in=older).values_list("pk", "name")
    return found


def folded(name: str) -> str:
    """Return a name or path in the form in which names are compared."""
    visible = "".join(character for character in name if character == " " or not is_shapeless(character))
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", visible).casefold())
    return re.sub(r"/{2,}", "/", plain.replace("\\", "/")).strip().removeprefix("./")


def stem_of(name: str) -> str:
    """Return a folded name without the ending of a picture."""
    path = PurePosixPath(name)
    return name.removesuffix(path.suffix) if path.suffix in _ENDINGS else name


def record(media: MediaFile, paths: Iterable[str]) -> bool:
    """Record names under which a file was uploaded just now. Return False if its row is gone."""
    rows = {}
    for path in paths:
        shown = path.encode("utf-8", "replace").decode().replace("\0", "").replace("\\", "/")[-MAX_PATH:]
        key = folded(shown).rpartition("/")[2][-255:]
        if key:
            rows[shown] = MediaName(
                owner_id=media.owner_id, media=media, path=shown, key=key, stem=stem_of(key), uploaded_at=timezone.now()
            )
    with transaction.atomic():
        if not MediaFile.objects.select_for_update(no_key=True).filter(pk=media.pk).exists():
            return False
        MediaName.objects.bulk_create(
            rows.values(), update_conflicts=True, unique_fields=["media", "path"], update_fields=["uploaded_at"]
        )
    return True


def _own_key(text: str) -> str | None:
    """Return the key in an address of a file on this site, None for any other text."""
    try:
        parts = urlsplit(text.strip())
        host = parts.hostname or ""
    except ValueError:
        return None
    match = _OWN_PATH.fullmatch(unquote(parts.path))
    is_address = parts.scheme in ("http", "https") and validate_host(f"[{host}]" if ":" in host else host, _hosts())
    is_path = not parts.scheme and not parts.netloc and text.strip().startswith("/media/")
    return match["key"] if match and (is_address or is_path) else None


def _hosts() -> list[str]:
    return [host for host in (*settings.ALLOWED_HOSTS, "127.0.0.1", "localhost", "[::1]") if host != "*"]


def _complete_names(owner: AbstractBaseUser) -> None:
    """Record the names of files that an older release stored."""
    named = MediaName.objects.filter(media=OuterRef("pk"))
    for media in MediaFile.objects.filter(~Exists(named), owner_id=owner.pk).iterator(BATCH):
        record(media, [media.name])
        MediaName.objects.filter(media=media).update(uploaded_at=media.created_at)


def _find(by_path: Mapping[str, str], owner: AbstractBaseUser, result: Resolved) -> None:
    """Look up folded paths: by the whole name first, then without its ending."""
    bases = {text: path.rpartition("/")[2][-255:] for text, path in by_path.items()}
    by_name = _candidates("key", set(bases.values()), owner)
    missing = {base for base in bases.values() if base not in by_name}
    by_stem = _candidates("stem", missing | {stem_of(base) for base in missing}, owner)
    for text, path in by_path.items():
        base = bases[text]
        is_whole = base in by_name
        rows = by_name[base] if is_whole else by_stem.get(base, [])
        ids = choose(path, [(folded(row.path), str(row.media_id)) for row in rows])
        if len(ids) > 1 and is_whole:
            # The spelling decides between a.jpg and A.jpg; a name that was used again means its
            # newest file, unless folders are written that cannot tell them apart.
            spelled = unicodedata.normalize("NFC", re.sub(r"(?i)^media:", "", text.strip()).replace("\\", "/"))
            exact = [
                row
                for row in rows
                if str(row.media_id) in ids
                and unicodedata.normalize("NFC", row.path).rpartition("/")[2] == spelled.rpartition("/")[2]
            ]
            exact_ids = {str(row.media_id) for row in exact}
            if len(exact_ids) == 1 or (exact_ids and "/" not in path):
                if len(exact_ids) > 1:
                    result.repeated.append(text)
                ids = {str(max(exact, key=lambda row: (row.uploaded_at, row.pk)).media_id)}
        if len(ids) == 1:
            result.references[text] = f"media:{ids.pop()}"
        elif ids:
            result.problems[text] = _("Several of your images fit this name: %(names)s. Write media:ID instead.") % {
                "names": _names(row for row in rows if str(row.media_id) in ids)
            }
        elif others := by_stem.get(stem_of(base)):
            result.problems[text] = _("You have no uploaded image of this name, but %(names)s. Write that name.") % {
                "names": _names(others)
            }
        else:
            result.problems[text] = _("You have no uploaded image of this name. Upload it to your library first.")
            if stem_of(base) == base:
                result.unknown.add(text)


def _candidates(column: str, values: Collection[str], owner: AbstractBaseUser) -> dict[str, list[MediaName]]:
    rows: dict[str, list[MediaName]] = defaultdict(list)
    for part in bulk.batches(sorted(values), BATCH):
        for row in MediaName.objects.filter(owner_id=owner.pk, **{f"{column}__in": part}).order_by("pk"):
            rows[getattr(row, column)].append(row)
    return dict(rows)


def _names(rows: Iterable[MediaName]) -> str:
    shown = {row.media_id: row.path for row in rows}
    texts = [f"{path} (media:{media_id})" for media_id, path in shown.items()]
    return ", ".join(texts[:SHOWN]) + (" …" if len(texts) > SHOWN else "")
