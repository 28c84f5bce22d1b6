"""Files that parameters name, checked against their owner and the model."""

from __future__ import annotations

import pytest

from providers import catalog, references
from tests.factories import make_media

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
def test_files_must_be_own_and_fit_the_model(owner, stranger):
    mine, theirs = make_media(owner), make_media(stranger)
    mine.content_type = "image/webp"
    mine.save()
    params = {"imageUrls": [mine.reference, theirs.reference]}
    messages = [error.message for error in references.params_file_errors(owner.pk, EDIT, params)]
    assert "takes JPG, PNG" in messages[0]
    assert "upload it first" in messages[1]
