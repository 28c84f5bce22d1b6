"""The upload area of all pages, as the server renders it."""

from __future__ import annotations

import re

import pytest

from tests.factories import bring_to_all, make_media, make_mission


def areas(page) -> dict[str, str]:
    """Return the attributes of a page's upload areas, by id."""
    return dict(re.findall(r'<div class="uploader[^"]*" id="([^"]+)"([^>]+)>', page.content.decode()))


@pytest.mark.parametrize(
    "address, expected",
    [
        ("/media", {"uploader"}),
        ("/missions/new?task_type=image_to_image", {"image-uploader"}),
        ("/missions/new?task_type=image_to_video&model=rhart-video-s/image-to-video", {"image-uploader"}),
        ("/missions/new?task_type=text_to_image", set()),
        ("/templates/new?type=image_to_image", {"id_param-imageUrls-upload"}),
    ],
)
def test_pages_have_the_one_uploader(web, address, expected):
    page = web.get(address)
    assert set(areas(page)) == expected
    assert expected == set() or "media/uploader.css" in page.content.decode()


def test_field_of_a_failed_item_takes_uploads(web, owner, account):
    media = make_media(owner)
    rows = [{"prompt": f"in ink {number}", "imageUrls": [media.reference]} for number in range(7)]
    mission = make_mission(owner, rows, task_type="image_to_image")
    bring_to_all(mission, account)
    failed = mission.items.filter(status="failed")[0]
    attributes = areas(web.get(f"/missions/{mission.pk}/items/{failed.index}"))["id_param-imageUrls-upload"]
    assert 'data-fills="id_param-imageUrls"' in attributes


def test_uploader_speaks_both_languages(web):
    for language, words in (("en", "%(done)s of %(all)s uploaded"), ("zh-hans", "已上传 %(done)s / %(all)s")):
        attributes = areas(web.get("/media", headers={"Accept-Language": language}))["uploader"]
        assert f'data-counts="{words}"' in attributes
        assert not re.search(r'data-[\w-]+=""', attributes)
