"""RunningHub's side of the wire: addresses and answers as the API reference shows them."""

from __future__ import annotations

import json
from typing import Any

import responses

from providers.adapters.base import ProviderSettings, SubmitRequest
from providers.adapters.runninghub.adapter import RunningHub

KEY = "0123456789abcdef0123456789abcdef"
HOST = "https://www.runninghub.example"
TASK = "2013508786110730241"
ENDPOINT = "rhart-image-v1/text-to-image"
REQUEST = SubmitRequest(ENDPOINT, {"prompt": "A red teapot", "aspectRatio": "3:4"})

SUBMIT = f"{HOST}/openapi/v2/{ENDPOINT}"
QUERY = f"{HOST}/openapi/v2/query"
UPLOAD = f"{HOST}/openapi/v2/media/upload/binary"
CANCEL = f"{HOST}/task/openapi/cancel"
QUEUE = f"{HOST}/openapi/v2/queue/status"
ACCOUNT = f"{HOST}/uc/openapi/accountStatus"
PRICE = f"{HOST}/openapi/v2/price-preview/{ENDPOINT}"

NO_USAGE = {"consumeMoney": None, "consumeCoins": None, "taskCostTime": None, "thirdPartyConsumeMoney": None}


def runninghub(host: str = HOST, key: str = KEY) -> RunningHub:
    return RunningHub(ProviderSettings(base_url=host, api_key=key))


def submitted(**changes: Any) -> dict[str, Any]:
    """Section 3.4."""
    return {
        "taskId": TASK,
        "status": "RUNNING",
        "errorCode": "",
        "errorMessage": "",
        "results": None,
        "clientId": "f828b9af25161bc066ef152db7b29ccc",
        "promptTips": '{"result": true, "error": null, "outputs_to_execute": ["1"], "node_errors": {}}',
        **changes,
    }


def queried(**changes: Any) -> dict[str, Any]:
    """Section 4, a success."""
    return {
        "taskId": TASK,
        "status": "SUCCESS",
        "errorCode": "",
        "errorMessage": "",
        "failedReason": {},
        "usage": {"consumeMoney": None, "consumeCoins": None, "taskCostTime": "0", "thirdPartyConsumeMoney": "0.05"},
        "results": [{"url": "https://files.example/x.png", "nodeId": "2", "outputType": "png", "text": None}],
        "clientId": "",
        "promptTips": "",
        "parentTaskId": None,
        "taskUsageList": [
            {"taskId": int(TASK), "taskStatus": "SUCCESS", "usage": {"thirdPartyConsumeMoney": "0.05"}},
        ],
        **changes,
    }


def refusal(code: str, message: str = "No | 不行") -> dict[str, Any]:
    """Section 2: how the task endpoints refuse, with HTTP 200."""
    return {"taskId": "", "status": "", "errorCode": code, "errorMessage": message, "results": None}


def old_refusal(code: str, message: str = "NO") -> dict[str, Any]:
    """Section 1: the older envelope, whose codes are numbers."""
    return {"code": int(code), "msg": message, "errorMessages": None, "data": None}


def sent_json(call: int = 0) -> Any:
    body = responses.calls[call].request.body
    assert body is not None
    return json.loads(body)
