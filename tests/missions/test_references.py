"""References to files: uploaded once per account and content, or passed on as they are."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone
from PIL import Image

from media.models import MediaFile
from media.services import store_upload
from missions import references
from missions.models import Attempt, Output
from providers.adapters.errors import Rejected, Unavailable
from providers.models import ProviderAccount, ProviderModel, ProviderUpload
from tests.factories import add_account, bring_to, claim, make_media, make_mission, pass_time, picture

pytestmark = pytest.mark.django_db

EDIT = ("rhart-image-v1/edit", "image_to_image")
ANIMATE = ("rhart-video-s/image-to-video", "image_to_video")


@pytest.fixture
def resolve(owner: User, account: ProviderAccount) -> Any:
    """Resolve parameters as those of an attempt that the owner's mission makes."""
    (attempt_id,) = claim(make_mission(owner), account)

    def resolve(model: tuple[str, str], params: dict[str, Any], at: ProviderAccount = account) -> dict[str, Any]:
        attempt = Attempt.objects.select_related("item__mission", "account").get(pk=attempt_id)
        attempt.account = at
        mission = attempt.item.mission
        mission.model, mission.task_type = model
        mission.params, attempt.item.params = {}, params
        return references.resolve(attempt)[0]

    return resolve


@pytest.fixture
def result(owner: User, account: ProviderAccount) -> Output:
    """Return a stored picture of one of the owner's missions."""
    bring_to("succeeded", claim(make_mission(owner), account)[0])
    name = storages["results"].save("missions/1/result.png", ContentFile(picture(colour="green")))
    output = Output.objects.get()
    output.status, output.file, output.content_type, output.sha256 = "stored", name, "image/png", "ab" * 32
    output.save()
    return output


def encoded(kind: str, *, mode: str = "RGB", size: tuple[int, int] = (400, 300), **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, 2000 if mode == "I;16" else "teal").save(buffer, kind, **options)
    return buffer.getvalue()


def reference_to(output: Output) -> str:
    return f"output:{output.item_id}/{output.index}"


def test_references_become_urls_and_addresses_stay(owner, simulator, resolve, result):
    reference = f"media:{make_media(owner).pk}"
    address = "https://a.example/b.png"
    params = {"prompt": "media:5 is text here", "imageUrls": [reference, address, reference_to(result)]}
    urls = resolve(EDIT, params)["imageUrls"]
    assert urls[0].startswith(simulator.url)
    assert urls[1] == address
    assert urls[2].startswith(simulator.url)
    assert urls[2] != urls[0]
    assert params["imageUrls"][0] == reference
    assert resolve(ANIMATE, {"imageUrl": reference}) == {"imageUrl": urls[0]}


def test_content_is_uploaded_once_per_account(owner, stranger, simulator, resolve, encryption_key):
    other = add_account("other", "another-key", simulator.url)
    same = [make_media(owner, name="a.png"), make_media(stranger, name="b.png")]
    for media in same * 2:
        resolve(ANIMATE, {"imageUrl": f"media:{media.pk}"})
    assert simulator.stats()["uploads"] == 1
    different = make_media(owner, content=picture(colour="blue"))
    resolve(ANIMATE, {"imageUrl": f"media:{different.pk}"})
    resolve(ANIMATE, {"imageUrl": f"media:{same[0].pk}"}, other)
    assert simulator.stats()["uploads"] == 3
    assert ProviderUpload.objects.count() == 3


def test_an_upload_that_expires_soon_is_replaced(owner, simulator, resolve):
    params = {"imageUrl": f"media:{make_media(owner).pk}"}
    for hours, uploads in ((0, 1), (20, 1), (2, 2)):
        pass_time(hours * 3600)
        resolve(ANIMATE, params)
        assert simulator.stats()["uploads"] == uploads
    assert ProviderUpload.objects.get().expires_at > timezone.now() + timedelta(hours=23)


def received_picture(url: str) -> Image.Image:
    """Return the picture that the simulator received."""
    content = requests.get(url, timeout=60).content
    assert b"Camera of Mei" not in content
    return Image.open(io.BytesIO(content))


def test_pictures_are_converted_when_they_are_sent(owner, simulator, resolve):
    exif = Image.Exif()
    exif[0x010F] = "Camera of Mei"
    images = {
        "heic": (encoded("HEIF", exif=exif), ".jpg", (400, 300)),
        "place": (encoded("JPEG", exif=exif), ".jpg", (400, 300)),
        "frames": (encoded("GIF", save_all=True, append_images=[Image.new("L", (400, 300))]), ".png", (400, 300)),
        "webp": (encoded("WEBP"), ".jpg", (400, 300)),
        "huge": (encoded("BMP", size=(2400, 1600)), ".png", (2400, 1600)),  # 11 MB
    }
    for name, (content, ending, size) in images.items():
        media = store_upload(owner=owner, file=io.BytesIO(content), name=name).media
        (url,) = resolve(EDIT, {"prompt": "x", "imageUrls": [media.reference]})["imageUrls"]
        assert url.endswith(ending), name
        assert received_picture(url).size == size, name
        with media.file.open("rb") as original:
            assert original.read() == content, name
    webp = MediaFile.objects.get(name="webp.webp")
    webp_edit = ("rhart-image-x-official/edit", "image_to_image")
    assert resolve(webp_edit, {"prompt": "x", "image": webp.reference})["image"].endswith(".webp")


def test_pictures_of_an_older_release_are_converted(owner, simulator, resolve):
    media = make_media(owner, content=encoded("PNG", mode="I;16"))
    assert media.rendition is None
    (url,) = resolve(EDIT, {"prompt": "x", "imageUrls": [media.reference]})["imageUrls"]
    assert received_picture(url).mode == "L"
    media.refresh_from_db()
    assert media.rendition is not None
    assert media.rendition["changes"] == ["colours"]
    media.file.storage.delete(media.rendition_path)
    ProviderUpload.objects.all().delete()
    assert resolve(EDIT, {"prompt": "x", "imageUrls": [media.reference]})["imageUrls"] == [url]


def test_pictures_are_reduced_to_the_limits_of_a_model(owner, simulator, resolve, result):
    media = store_upload(owner=owner, file=io.BytesIO(encoded("PNG")), name="a.png").media
    storages["results"].delete(result.file)
    Output.objects.filter(pk=result.pk).update(
        file=storages["results"].save("missions/1/result.webp", ContentFile(encoded("WEBP"))), content_type="image/webp"
    )
    parameters = {"imageUrl": {"type": "image", "formats": ["JPG"], "max_bytes": 20_000, "max_side": 200}}
    definition = {"task_type": "image_to_image", "batch_field": "imageUrl", "parameters": parameters}
    model = {"provider": "runninghub", "endpoint": "small/edit", "name": "Small", "definition": definition}
    ProviderModel.objects.create(owner=owner, **model)
    for reference in (media.reference, reference_to(result)):
        url = resolve(("small/edit", "image_to_image"), {"imageUrl": reference})["imageUrl"]
        assert (received_picture(url).format, received_picture(url).size) == ("JPEG", (200, 150))


def test_a_missing_file_is_rejected_with_advice(owner, stranger, simulator, resolve, result):
    lost = make_media(owner)
    lost.file.storage.delete(lost.file.name)
    bring_to("succeeded", claim(make_mission(stranger), ProviderAccount.objects.get(name="environment"))[0])
    foreign = Output.objects.exclude(pk=result.pk).get()
    Output.objects.filter(pk=foreign.pk).update(status="stored", file=result.file)
    cases = {
        "media:999": "upload it again",
        f"media:{lost.pk}": "upload it again",
        "output:999/1": "Choose another file",
        f"output:{result.item_id}/2": "Choose another file",
        reference_to(foreign): "Choose another file",
    }
    for reference, advice in cases.items():
        with pytest.raises(Rejected, match=advice) as error:
            resolve(ANIMATE, {"imageUrl": reference})
        assert error.value.code == "reference_missing"


def test_an_upload_without_an_answer_stores_nothing(owner, simulator, resolve):
    simulator.set(upload_drop=1)
    with pytest.raises(Unavailable):
        resolve(ANIMATE, {"imageUrl": f"media:{make_media(owner).pk}"})
    assert not ProviderUpload.objects.exists()
