"""Reference files: handed over once per account and content, and again before the link ends."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from missions import references
from providers import catalog
from providers.adapters.errors import Rejected, Unavailable
from providers.models import ProviderUpload
from tests.factories import add_account, make_media, pass_time, picture

pytestmark = pytest.mark.django_db

EDIT = catalog.get_model("rhart-image-v1/edit")
ANIMATE = catalog.get_model("rhart-video-s/image-to-video")


def test_an_uploaded_file_becomes_a_link_and_other_addresses_stay(owner, simulator, account):
    media = make_media(owner)
    params = {"prompt": "media:5 is only a text here", "imageUrls": [f"media:{media.pk}", "https://a.example/b.png"]}
    resolved = references.resolve(EDIT, params, account=account)
    assert resolved["imageUrls"][0].startswith(simulator.url)
    assert resolved["imageUrls"][1:] == ["https://a.example/b.png"]
    assert resolved["prompt"] == params["prompt"]
    assert params["imageUrls"][0] == f"media:{media.pk}"
    single = references.resolve(ANIMATE, {"imageUrl": f"media:{media.pk}"}, account=account)
    assert single["imageUrl"] == resolved["imageUrls"][0]


def test_the_same_content_is_handed_over_once_per_account(owner, stranger, simulator, account, encryption_key):
    other = add_account("other", "another-key", simulator.url)
    same = [make_media(owner, name="a.png"), make_media(stranger, name="b.png")]
    for media in same * 2:
        references.resolve(ANIMATE, {"imageUrl": f"media:{media.pk}"}, account=account)
    assert simulator.stats()["uploads"] == 1
    different = make_media(owner, content=picture(colour="blue"))
    references.resolve(ANIMATE, {"imageUrl": f"media:{different.pk}"}, account=account)
    references.resolve(ANIMATE, {"imageUrl": f"media:{same[0].pk}"}, account=other)
    assert simulator.stats()["uploads"] == 3
    assert ProviderUpload.objects.count() == 3


def test_a_link_that_will_end_soon_is_replaced(owner, simulator, account):
    params = {"imageUrl": f"media:{make_media(owner).pk}"}
    references.resolve(ANIMATE, params, account=account)
    pass_time(20 * 3600)
    references.resolve(ANIMATE, params, account=account)
    assert simulator.stats()["uploads"] == 1
    pass_time(2 * 3600)
    references.resolve(ANIMATE, params, account=account)
    assert simulator.stats()["uploads"] == 2
    upload = ProviderUpload.objects.get()
    assert upload.expires_at > timezone.now() + timedelta(hours=23)


def test_a_file_that_is_gone_from_the_list_is_a_refusal_that_says_what_to_do(simulator, account):
    with pytest.raises(Rejected, match="upload it again") as caught:
        references.resolve(ANIMATE, {"imageUrl": "media:999"}, account=account)
    assert caught.value.code == "reference_missing"


def test_a_file_that_is_gone_from_the_disk_is_such_a_refusal_too(owner, simulator, account):
    media = make_media(owner)
    media.file.storage.delete(media.file.name)
    with pytest.raises(Rejected, match="upload it again"):
        references.resolve(ANIMATE, {"imageUrl": f"media:{media.pk}"}, account=account)


def test_an_upload_without_an_answer_stores_nothing(owner, simulator, account):
    simulator.set(upload_drop=1)
    with pytest.raises(Unavailable):
        references.resolve(ANIMATE, {"imageUrl": f"media:{make_media(owner).pk}"}, account=account)
    assert not ProviderUpload.objects.exists()
