"""Sealed texts can be read only with a key of the environment."""

from __future__ import annotations

import pytest

from providers import encryption

FIRST, SECOND = "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=", "MjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjI="


def test_sealed_text_is_unreadable_and_can_be_unsealed(settings):
    settings.ENCRYPTION_KEYS = [FIRST]
    sealed = encryption.seal("a secret")
    assert encryption.unseal(sealed) == "a secret"
    assert "secret" not in sealed
    assert encryption.seal("a secret") != sealed


def test_key_rotation_keeps_secrets_readable(settings):
    settings.ENCRYPTION_KEYS = [FIRST]
    sealed = encryption.seal("a secret")
    settings.ENCRYPTION_KEYS = [SECOND, FIRST]
    assert encryption.unseal(sealed) == "a secret"
    resealed = encryption.reseal(sealed)
    settings.ENCRYPTION_KEYS = [SECOND]
    assert encryption.unseal(resealed) == "a secret"
    with pytest.raises(encryption.Unreadable):
        encryption.unseal(sealed)


@pytest.mark.parametrize("keys", [[], ["no key"], [SECOND]])
def test_without_the_right_key_nothing_can_be_read(settings, keys):
    settings.ENCRYPTION_KEYS = [FIRST]
    sealed = encryption.seal("a secret")
    settings.ENCRYPTION_KEYS = keys
    with pytest.raises(encryption.Unreadable):
        encryption.unseal(sealed)


@pytest.mark.parametrize("keys", [[], ["no key"]])
def test_without_a_key_nothing_is_sealed(settings, keys):
    settings.ENCRYPTION_KEYS = keys
    assert not encryption.is_possible()
    with pytest.raises(encryption.NoKey):
        encryption.seal("a secret")


@pytest.mark.parametrize("text", ["", "short", FIRST[:-2], "键" * 44])
def test_invalid_key_is_detected(text):
    assert encryption.is_key(FIRST)
    assert encryption.is_key(encryption.new_key())
    assert not encryption.is_key(text)
