"""Files that parameters name, checked against their owner and the model."""

from __future__ import annotations

from typing import Any

import pytest

from media.images import Limits
from media.models import MediaFile
from providers import catalog, references
from providers.models import ProviderModel
from tests.factories import make_media

MB = 1024 * 1024
EDIT = catalog.get_model("rhart-image-v1/edit")
FREE = catalog.free_form_model("some/model", "image_to_image")


def test_media_ids_of_catalogue_and_free_form_models():
    params = {"prompt": "media:5", "imageUrls": ["media:1", "https://a.example/b.png", "output:3/1"]}
    assert references.media_ids(EDIT, params) == [("imageUrls", 1)]
    assert references.output_keys(EDIT, params) == [("imageUrls", (3, 1))]
    params = {"imageUrl": "media:1", "imageUrls": ["media:2", "media:3"], "maskUrl": "", "prompt": "media:4"}
    assert references.media_ids(FREE, params) == [("imageUrl", 1), ("imageUrls", 2), ("imageUrls", 3)]
    assert FREE.file_names({"prompt": "x", "imageUrls": [1], "url": "x"}) == []


@pytest.mark.django_db
def test_files_must_be_own_and_images_wanted(owner, stranger):
    mine, theirs = make_media(owner), make_media(stranger)
    MediaFile.objects.filter(pk=mine.pk).update(content_type="image/heic")
    params = {"imageUrls": [mine.reference, theirs.reference]}
    messages = [error.message for error in references.params_file_errors(owner.pk, EDIT, params)]
    assert len(messages) == 1
    assert "upload it first" in messages[0]
    parameters = {"videoUrl": {"type": "video", "formats": ["MP4"]}}
    definition = {"task_type": "image_to_video", "batch_field": "videoUrl", "parameters": parameters}
    ProviderModel.objects.create(owner=owner, provider="runninghub", endpoint="a/film", name="A", definition=definition)
    film = catalog.get_model("a/film", owner_id=owner.pk)
    (error,) = references.params_file_errors(owner.pk, film, {"videoUrl": mine.reference})
    assert error.message == "cat.png is HEIC; this model takes MP4."


def test_limits_of_an_image_are_those_of_model_and_provider():
    cases: list[tuple[dict[str, Any], tuple[set[str], int, int | None]]] = [
        ({"formats": ("JPG", "JPEG", "PNG", "WEBP"), "max_bytes": 30 * MB}, ({"JPG", "PNG", "WEBP"}, 30 * MB, None)),
        ({"formats": ("JPG", "PNG"), "max_bytes": 50 * MB}, ({"JPG", "PNG"}, 30 * MB, None)),  # RunningHub's uploads
        ({"formats": ("PNG",), "max_side": 2048}, ({"PNG"}, 10 * MB, 2048)),
        ({}, ({"JPG", "PNG", "WEBP"}, 10 * MB, None)),
    ]
    for limits, (formats, max_bytes, max_side) in cases:
        parameter = catalog.Parameter(name="imageUrl", type=catalog.ParameterType.IMAGE, **limits)
        assert references.image_limits(EDIT, parameter) == Limits(frozenset(formats), max_bytes, max_side)
    assert references.image_limits(FREE, None) == Limits(frozenset({"JPG", "PNG", "WEBP"}), 10 * MB)
