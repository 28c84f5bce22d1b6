"""Links that show the results of a mission without an account, and what people pick there."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterable

from django.conf import settings
from django.core import signing
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from missions.models import Mission, MissionItem

_signer = signing.Signer(salt="sharing.link", sep=".")


def new_nonce() -> str:
    return secrets.token_urlsafe(6)


class ShareLinkQuerySet(models.QuerySet["ShareLink"]):
    def open(self) -> ShareLinkQuerySet:
        """Return the links that work now."""
        return self.filter(
            withdrawn_at=None,
            expires_at__gt=timezone.now(),
            creator__is_active=True,
            mission__delete_requested_at=None,
        )


class ShareLink(models.Model):
    """A link to the results of a mission, for people without an account.

    The secret part of its address is signed with SECRET_KEY and not stored: a copy of the database
    alone opens no link. The references have no constraints in the database, because programs of the
    release before delete missions and people without knowing this table.
    """

    mission = models.ForeignKey(Mission, on_delete=models.CASCADE, db_constraint=False, related_name="share_links")
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_constraint=False, related_name="share_links"
    )
    nonce = models.CharField(max_length=16, default=new_nonce, editable=False)
    title = models.CharField(max_length=200)
    message = models.TextField(blank=True, help_text=_("Shown above the results."))
    ranges = models.JSONField(
        null=True,
        editable=False,
        help_text=_("The shared rows, as pairs of the first and the last number. Empty: all results."),
    )
    shows_prompts = models.BooleanField(default=False)
    allows_download = models.BooleanField(default=True)
    allows_picks = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    opened_count = models.PositiveIntegerField(default=0)
    last_opened_at = models.DateTimeField(null=True, blank=True)

    objects = ShareLinkQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("share link")
        verbose_name_plural = _("share links")

    def __str__(self) -> str:
        return self.title

    @property
    def rows(self) -> list[int] | None:
        """The numbers of the shared rows, ascending; None: all results, also later ones."""
        if self.ranges is None:
            return None
        return [number for first, last in self.ranges for number in range(first, last + 1)]

    @rows.setter
    def rows(self, numbers: Iterable[int] | None) -> None:
        if numbers is None:
            self.ranges = None
            return
        runs = itertools.groupby(enumerate(sorted(set(numbers))), lambda pair: pair[1] - pair[0])
        parts = [[number for _place, number in run] for _difference, run in runs]
        self.ranges = [[part[0], part[-1]] for part in parts]

    def has_row(self, number: int) -> bool:
        return self.ranges is None or any(first <= number <= last for first, last in self.ranges)

    @property
    def token(self) -> str:
        """The secret part of the link's address."""
        return _signer.sign(f"{self.pk}-{self.nonce}")

    @property
    def is_open(self) -> bool:
        """True while the link works: ``ShareLinkQuerySet.open`` for one row."""
        return (
            self.withdrawn_at is None
            and self.expires_at > timezone.now()
            and self.creator.is_active
            and self.mission.delete_requested_at is None
        )

    @classmethod
    def id_and_nonce(cls, token: str) -> tuple[int, str] | None:
        """Return the ID and the nonce that a token was made of; None if it was not made here."""
        try:
            pk, _dash, nonce = _signer.unsign(token).partition("-")
            return int(pk), nonce
        except (signing.BadSignature, ValueError):
            return None


class Pick(models.Model):
    """A result that somebody starred on the page of a link."""

    link = models.ForeignKey(ShareLink, on_delete=models.CASCADE, related_name="picks")
    item = models.ForeignKey(MissionItem, on_delete=models.CASCADE, db_constraint=False, related_name="picks")
    # The item had no star before: the star goes when the last pick goes.
    adds_star = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["pk"]
        verbose_name = _("pick")
        verbose_name_plural = _("picks")
        constraints = [models.UniqueConstraint(fields=["link", "item"], name="pick_once_per_link")]

    def __str__(self) -> str:
        return f"{self.link_id}: item {self.item_id}"
