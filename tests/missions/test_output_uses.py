"""Results as input of other missions: checked at creation, and stored while needed."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone

from missions import lifecycle, services
from missions.models import Mission, Output, OutputUse
from missions.services.validate import MissionInvalid
from providers.models import ProviderAccount
from tests.factories import bring_to, claim, make_mission, picture

pytestmark = pytest.mark.django_db


def store_result(owner: User, account: ProviderAccount, **fields: object) -> Output:
    """Create a mission with one stored result, and return that result."""
    mission = make_mission(owner)
    bring_to("succeeded", claim(mission, account)[0])
    output = Output.objects.get(item__mission=mission)
    name = storages["results"].save(f"missions/{mission.pk}/1.png", ContentFile(picture()))
    values = {"status": "stored", "file": name, "content_type": "image/png", "size_bytes": 100} | fields
    Output.objects.filter(pk=output.pk).update(**values)
    return Output.objects.get(pk=output.pk)


def animate(owner: User, reference: str) -> Mission:
    rows = [{"prompt": "It turns.", "imageUrls": [reference]}]
    return make_mission(owner, rows, task_type="image_to_video")


def reference_to(output: Output) -> str:
    return f"output:{output.item_id}/{output.index}"


def test_a_result_must_be_own_stored_and_fit(owner, stranger, account):
    deleted = store_result(owner, account)
    lifecycle.request_deletion(deleted.item.mission_id, actor="user:1")
    cases = {
        "output:999/1": "no result",
        reference_to(store_result(stranger, account)): "no result",
        reference_to(deleted): "no result",
        reference_to(store_result(owner, account, status="removed", file="")): "no stored file",
        reference_to(store_result(owner, account, content_type="video/mp4")): "takes",
    }
    for reference, message in cases.items():
        with pytest.raises(MissionInvalid) as error:
            animate(owner, reference)
        [problem] = error.value.errors
        assert problem.field == "batch_input.0.imageUrls"
        assert message in str(problem.message), reference


def test_used_result_is_stored_until_the_mission_ends(owner, account):
    output = store_result(owner, account)
    mission = animate(owner, reference_to(output))
    assert OutputUse.objects.get().output == output
    rows = Output.objects.all()
    assert lifecycle.remove_outputs(rows, message="Old.", now=timezone.now()) == []
    source = output.item.mission_id
    services.delete_mission(mission_id=source, actor="user:1")
    assert Mission.objects.filter(pk=source).exists()
    services.cancel_mission(mission_id=mission.pk, actor="user:1")
    assert lifecycle.remove_outputs(rows, message="Old.", now=timezone.now()) == [output.file]
    assert services.purge_mission(source)
    assert not OutputUse.objects.exists()


def test_a_retry_may_name_another_result(owner, account):
    first, second = store_result(owner, account), store_result(owner, account)
    mission = animate(owner, reference_to(first))
    bring_to("failed", claim(mission, account)[0])
    services.retry_item(item=mission.items.get(), actor="user:1", params={"imageUrls": [reference_to(second)]})
    assert set(OutputUse.objects.values_list("output", flat=True)) == {first.pk, second.pk}
    assert mission.items.get().params["imageUrls"] == [reference_to(second)]
