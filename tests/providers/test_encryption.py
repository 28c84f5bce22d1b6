"""What is sealed can be read by whoever has a key of the environment, and by nobody else."""

from __future__ import annotations

import pytest

from providers import encryption

FIRST, SECOND = "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=", "MjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjI="


def test_what_is_sealed_comes_back_and_does_not_show(settings):
    settings.ENCRYPTION_KEYS = [FIRST]
    sealed = encryption.seal("a secret")
    assert encryption.unseal(sealed) == "a secret"
    assert "secret" not in sealed
    assert encryption.seal("a secret") != sealed


def test_a_key_is_replaced_without_a_moment_in_which_nothing_can_be_read(settings):
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
def test_what_is_no_key_is_told_from_one(text):
    assert encryption.is_key(FIRST)
    assert encryption.is_key(encryption.new_key())
    assert not encryption.is_key(text)
