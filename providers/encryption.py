"""Secrets in the database, sealed with keys of the environment (``ENCRYPTION_KEYS``): a copy of the database opens nothing.

The first key seals and each of them opens, so that a key can be replaced: docs/decisions/0008-several-accounts.md.
"""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class NoKey(Exception):
    """ENCRYPTION_KEYS holds no key, so nothing can be sealed."""


class Unreadable(Exception):
    """Sealed with a key that is not, or no longer, in ENCRYPTION_KEYS."""


def new_key() -> str:
    return Fernet.generate_key().decode()


def is_key(text: str) -> bool:
    """Whether it is one: 32 random bytes in URL-safe base64."""
    try:
        Fernet(text)
    except ValueError:
        return False
    return True


def is_possible() -> bool:
    return bool(_keys())


def seal(secret: str) -> str:
    """Raises NoKey."""
    if not is_possible():
        raise NoKey
    return MultiFernet(_keys()).encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """Raises Unreadable."""
    if not is_possible():
        raise Unreadable
    try:
        return MultiFernet(_keys()).decrypt(sealed).decode()
    except InvalidToken:
        raise Unreadable from None


def reseal(sealed: str) -> str:
    """The same secret under the first key.  Raises Unreadable."""
    return seal(unseal(sealed))


def _keys() -> list[Fernet]:
    return [Fernet(key) for key in settings.ENCRYPTION_KEYS if is_key(key)]
