"""RunningHub's envelopes and field types: strings, numbers and nulls as the service sends them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from devtools.simulators.runninghub.tasks import FAILED, GONE, QUEUED, RUNNING, SUCCESS, Task

MESSAGES = {
    "1000": "Unknown error | 未知错误",
    "1001": "Invalid URL | 无效的请求地址",
    "1002": "API key is invalid | API Key 无效",
    "1003": "Rate limit exceeded, please try again later | 请求过于频繁，请稍后再试",
    "1004": "Task not found or expired | 任务不存在或已过期",
    "1005": "Internal server error | 服务器内部错误",
    "1006": "Task execution timed out | 任务执行超时",
    "1007": "Invalid parameter | 参数错误",
    "1008": "File is too big | 文件过大",
    "1009": "HTTP method not supported | 不支持的请求方法",
    "1010": "Service is not available | 服务不可用",
    "1011": "System is busy, please try again later | 系统繁忙，请稍后再试",
    "1012": "Upstream service answered abnormally | 上游服务异常",
    "1013": "File processing failed | 文件处理失败",
    "1014": "Access Denied: Standard Model API is restricted to Enterprise-Shared API Keys only."
    "|访问被拒绝：标准模型 API 仅限企业级-共享 API Key 使用。",
    "1015": "Generation failed | 生成失败",
    "1501": "Content security audit did not pass | 内容安全审查未通过",
    "1504": "Model timed out | 模型超时",
    "1505": "Real people are not allowed in the input | 输入内容不允许包含真人",
    "1516": "Result file is abnormal | 结果文件异常",
    "1520": "Concurrency limit reached | 并发数已达上限",
    "1601": "param apiKey is required",
    "1620": "Promotional balance cannot be used by the API | 赠送余额不可用于 API",
    "401": "ApiKey verification failed: API Key不存在",
    "412": "TOKEN_INVALID",
    "415": "TASK_INSTANCE_MAXED",
    "416": "Wallet balance is insufficient to create the task | 钱包余额不足",
    "421": "TASK_QUEUE_MAXED",
    "802": "APIKEY_UNAUTHORIZED",
    "807": "APIKEY_TASK_NOT_FOUND",
    "809": "FILE_SIZE_EXCEEDED",
}
PROMPT_TIPS = json.dumps({"result": True, "error": None, "outputs_to_execute": ["1"], "node_errors": {}})
NO_USAGE = dict.fromkeys(("consumeMoney", "consumeCoins", "taskCostTime", "thirdPartyConsumeMoney"))
EXTENSIONS = {"image": "png", "video": "mp4", "text": "txt"}

Json = dict[str, Any]


def message(code: str) -> str:
    return MESSAGES.get(code, f"Simulated error {code} | 模拟错误 {code}") if code else ""


def refusal(code: str, detail: str = "", task_id: str = "") -> Json:
    """Return the flat answer of the task endpoints without a task."""
    text = f"{message(code)}: {detail}" if detail else message(code)
    return {"taskId": task_id, "status": "", "errorCode": code, "errorMessage": text, "results": None}


def not_found(task_id: str) -> Json:
    return {**refusal("1004", task_id=task_id), "usage": None}


def v2(data: Any, code: str = "0", text: str = "") -> Json:
    return {"code": int(code), "message": text or ("success" if code == "0" else message(code)), "data": data}


def legacy(data: Any, code: str = "0") -> Json:
    text = "success" if code == "0" else message(code)
    return {"code": int(code), "msg": text, "errorMessages": None, "data": data}


def price_refusal(code: str) -> Json:
    return {"errorCode": code, "errorMessage": message(code)}


def price_preview(price: str, currency: str) -> Json:
    return {
        "errorCode": "",
        "errorMessage": "",
        "estimatedPrice": price,
        "currency": currency,
        "priceText": f"{price} {currency}/次",
        "priceTextEn": f"{price} {currency} per call",
        "freeLimit": False,
        "freeLimitCount": 0,
        "remainingFreeLimitCount": 0,
        "isFreeThisCall": False,
    }


def submitted(task: Task, now: float, *, ends_in_answer: bool) -> Json:
    """Return the answer to a submit. Without ``ends_in_answer`` no task has ended in it."""
    if ends_in_answer and task.status(now) in (SUCCESS, FAILED):
        return queried(task, now)
    return {
        "taskId": task.id,
        "status": QUEUED if task.status(now) == QUEUED else RUNNING,
        "errorCode": "",
        "errorMessage": "",
        "results": None,
        "clientId": hashlib.md5(task.id.encode(), usedforsecurity=False).hexdigest(),
        "promptTips": PROMPT_TIPS,
    }


def queried(task: Task, now: float) -> Json:
    """Return the answer to a query about a task."""
    status = task.status(now)
    if status == GONE:
        return not_found(task.id)
    code = task.code if status == FAILED else ""
    answer: Json = {
        "taskId": task.id,
        "status": status,
        "errorCode": code,
        "errorMessage": message(code),
        "failedReason": {},
        "usage": dict(NO_USAGE),
        "results": None,
        "clientId": "",
        "promptTips": "",
        "parentTaskId": None,
        "taskUsageList": [],
    }
    if status != SUCCESS:
        return answer
    charge = {"thirdPartyConsumeMoney": task.price}
    usage = {"taskId": int(task.id), "parentTaskId": None, "taskStatus": SUCCESS, "usage": charge}
    extension, results = EXTENSIONS[task.kind], []
    for index in range(task.files):
        url = None if task.kind == "text" else f"{task.base}/files/results/{task.id}/{index}.{extension}"
        text = f"simulated text of task {task.id}" if task.kind == "text" else None
        results.append({"url": url, "nodeId": "2", "outputType": extension, "text": text})
    return answer | {
        "usage": {**NO_USAGE, "taskCostTime": "0", **charge},
        "results": results,
        "taskUsageList": [usage],
    }


def webhook(task: Task, now: float) -> Json:
    return {"event": "TASK_END", "taskId": task.id, "eventData": queried(task, now)}
