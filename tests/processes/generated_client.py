"""The steps of docs/api.md with a client that openapi-python-client has generated.

A program for ``test_generated_client``: its arguments are the server's address, a token and an
image.
"""

from __future__ import annotations

import io
import json
import sys
import uuid
import zipfile
from pathlib import Path
from typing import Any

from running_hub_batch_client import AuthenticatedClient
from running_hub_batch_client import models as m
from running_hub_batch_client.api.account import show_me
from running_hub_batch_client.api.catalogue import list_models, list_task_types
from running_hub_batch_client.api.events import follow_mission
from running_hub_batch_client.api.items import list_items, show_item
from running_hub_batch_client.api.media import upload_media
from running_hub_batch_client.api.missions import (
    change_mission,
    delete_mission,
    list_missions,
    retry_mission,
    show_mission,
    submit_file,
    submit_mission,
)
from running_hub_batch_client.api.results import (
    download_output,
    download_results,
    download_results_csv,
    download_results_jsonl,
    download_thumbnail,
)
from running_hub_batch_client.types import File

EVENTS = {"state": m.StateEvent, "item": m.ItemEvent, "mission": m.MissionEvent, "end": m.EndEvent}


def main(url: str, token: str, image: str) -> None:
    with AuthenticatedClient(base_url=url, token=token, timeout=90) as client:
        assert show_me.sync(client=client).data.limits.slots.limit > 0
        assert list_task_types.sync(client=client).data.items
        assert list_models.sync(client=client, task_type=m.TaskType.IMAGE_TO_IMAGE).data.items
        picture = File(io.BytesIO(Path(image).read_bytes()), "teapot.png", "image/png")
        uploaded = upload_media.sync(client=client, body=m.UploadMediaMultiPartBodyParams(file=[picture]))

        rows: list[dict[str, Any]] = [
            {"imageUrls": [uploaded.data.reference], "prompt": "in blue and white porcelain", "custom_id": "blue"},
            {"imageUrls": [uploaded.data.reference], "prompt": "青花瓷", "aspectRatio": "3:4"},
        ]
        config = m.MissionInConfig.from_dict({"aspectRatio": "1:1", "batch_input": rows})
        body = m.MissionIn(name="Teapots", task_type=m.TaskType.IMAGE_TO_IMAGE, config=config)
        check = submit_mission.sync(client=client, body=body, validate_only=True).data
        assert (check.valid, check.total_count, check.estimate.amount) == (True, 2, "0.10")
        key = str(uuid.uuid4())
        first, again = (
            submit_mission.sync_detailed(client=client, body=body, idempotency_key=key) for _time in range(2)
        )
        mission_id = first.parsed.data.api_mission_id
        assert again.parsed.data.api_mission_id == mission_id
        assert again.headers["Idempotent-Replayed"] == "true"
        for columns in ({}, {"columns": json.dumps({"text": "prompt"})}):
            table = File(io.BytesIO(b"sku,text,aspectRatio\nA7,a red fox in snow,1:1\n"), "rows.csv", "text/csv")
            form = m.SubmitFileMultiPartBodyParams(
                file=table, mission=json.dumps({"name": "Animals", "task_type": "text_to_image"}), **columns
            )
            assert submit_file.sync(client=client, body=form, validate_only=True).data.valid

        stream = follow_mission.sync_detailed(client=client, mission_id=mission_id).content.decode()
        kinds = []
        for message in stream.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in message.splitlines() if line and not line.startswith(":"))
            if "data" in fields:
                EVENTS[fields["event"]].from_dict(json.loads(fields["data"]))
                kinds.append(fields["event"])
        assert (kinds[0], kinds[-1]) == ("state", "end")

        shown = show_mission.sync_detailed(client=client, mission_id=mission_id)
        assert (shown.parsed.data.status, shown.parsed.data.is_collectable) == (m.MissionStatus.COMPLETED, True)
        unchanged = show_mission.sync_detailed(
            client=client, mission_id=mission_id, if_none_match=shown.headers["ETag"]
        )
        assert unchanged.status_code == 304
        completed = [m.ListMissionsMissionStatus.COMPLETED]
        page = list_missions.sync(client=client, status=completed, page_size=5).data
        assert page.items[0].api_mission_id == mission_id
        failed = [m.ListItemsItemStatus.FAILED]
        assert not list_items.sync(client=client, mission_id=mission_id, status=failed, limit=100).data.items
        assert show_item.sync(client=client, mission_id=mission_id, index=1).data.custom_id == "blue"
        changed = change_mission.sync(client=client, mission_id=mission_id, body=m.MissionChangeIn(priority=3))
        assert changed.data.priority == 3
        for retry in (m.RetryIn(), m.RetryIn(indexes=[1, 2])):
            assert retry_mission.sync(client=client, mission_id=mission_id, body=retry).data.retry_count == 0

        whole = download_results.sync(client=client, mission_id=mission_id).payload.read()
        assert len(zipfile.ZipFile(io.BytesIO(whole)).namelist()) == 3
        rest = download_results.sync_detailed(client=client, mission_id=mission_id, range_="bytes=100-")
        assert (rest.status_code, rest.parsed.payload.read()) == (206, whole[100:])
        lines = download_results_jsonl.sync(client=client, mission_id=mission_id).payload.read()
        assert len(lines.splitlines()) == 2
        assert download_results_csv.sync(client=client, mission_id=mission_id).payload.read()
        result = {"client": client, "mission_id": mission_id, "index": 1, "number": 1}
        assert download_output.sync(**result).payload.read().startswith(b"\x89PNG")
        assert download_thumbnail.sync(**result).payload.read().startswith(b"\xff\xd8")
        assert show_mission.sync(client=client, mission_id=10**9).error == m.ErrorError.NOT_FOUND
        assert delete_mission.sync(client=client, mission_id=mission_id).data.is_removed


if __name__ == "__main__":
    main(*sys.argv[1:])
