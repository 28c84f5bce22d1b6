"""Encryption of secrets in the database.

The keys are in the environment (``ENCRYPTION_KEYS``), so a copy of the database discloses nothing.
The first key encrypts and each of them decrypts, so that a key can be replaced
(docs/decisions/0008-several-accounts.md).
"""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class NoKey(Exception):
    """ENCRYPTION_KEYS holds no key, so nothing can be encrypted."""


class Unreadable(Exception):
    """Encrypted with a key that is not, or no longer, in ENCRYPTION_KEYS."""


def new_key() -> str:
    return Fernet.generate_key().decode()


def is_key(text: str) -> bool:
    """Return True for 32 random bytes in URL-safe base64."""
    try:
        Fernet(text)
    except ValueError:
        return False
    return True


def is_possible() -> bool:
    return bool(_keys())


def seal(secret: str) -> str:
    """Encrypt a secret. Raises NoKey."""
    if not is_possible():
        raise NoKey
    return MultiFernet(_keys()).encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """Decrypt a secret. Raises Unreadable."""
    if not is_possible():
        raise Unreadable
    try:
        return MultiFernet(_keys()).decrypt(sealed).decode()
    except InvalidToken:
        raise Unreadable from None


def reseal(sealed: str) -> str:
    """Encrypt a secret with the first key. Raises Unreadable."""
    return seal(unseal(sealed))


def _keys() -> list[Fernet]:
    return [Fernet(key) for key in settings.ENCRYPTION_KEYS if is_key(key)]
