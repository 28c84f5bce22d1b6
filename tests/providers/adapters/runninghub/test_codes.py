"""The table of codes, compared with a second copy written from the API reference."""

from __future__ import annotations

import pytest
import responses
from django.utils import translation

from core.db.reasons import translate
from providers.adapters.base import RemoteState, RemoteStatus
from providers.adapters.errors import (
    AccountBlocked,
    NoSlot,
    ProviderError,
    Rejected,
    Remedy,
    TaskFailed,
    TryAgainLater,
    Unavailable,
    Unconfirmed,
)
from providers.adapters.runninghub import codes
from tests.providers.adapters.runninghub import answers

# Sections 5.1 and 5.2, row by row, with their letters. "A1" is A with "one retry, then P".
REFERENCE = {
    "1000": "A",
    "1001": "P",
    "1002": "K",
    "1003": "B",
    "1005": "A",
    "1006": "A",
    "1007": "P",
    "1008": "P",
    "1009": "P",
    "1010": "B",
    "1011": "B",
    "1012": "A",
    "1013": "A1",
    "1014": "K",
    "1015": "A1",
    "1101": "P",
    "1501": "P",
    "1504": "A",
    "1505": "P",
    "1516": "A",
    "1517": "A",
    "1519": "A",
    "1520": "S",
    "1601": "K",
    "1620": "K",
    "1": "P",
    "301": "P",
    "380": "P",
    "401": "K",
    "403": "K",
    "412": "K",
    "414": "K",
    "415": "S",
    "416": "K",
    "421": "S",
    "429": "B",
    "433": "P",
    "435": "P",
    "436": "K",
    "500": "A",
    "605": "K",
    "801": "K",
    "802": "K",
    "803": "P",
    "806": "K",
    "808": "B",
    "809": "P",
    "810": "P",
    "811": "K",
    "812": "K",
    "814": "S",
    "901": "P",
}
# Rows that mean different things to a submit and to a query; test_adapter covers them.
ABOUT_A_TASK = {"1004", "423", "807", "804", "805", "813"}

ON_SUBMIT = {
    "K": AccountBlocked,
    "P": Rejected,
    "B": TryAgainLater,
    "S": NoSlot,
    "A": Unconfirmed,
    "A1": Unconfirmed,
}
ON_READ = {
    "K": AccountBlocked,
    "P": Rejected,
    "B": Unavailable,
    "S": Unavailable,
    "A": Unavailable,
    "A1": Unavailable,
}
REMEDIES = {
    "K": Remedy.NONE,
    "P": Remedy.NONE,
    "B": Remedy.TRY_LATER,
    "S": Remedy.TRY_LATER,
    "A": Remedy.TRY_LATER,
    "A1": Remedy.ONE_MORE_TRY,
}
# Base waits of the reference, in seconds. 429 has none there and waits like 1003.
WAITS = {"1003": 10, "1010": 30, "1011": 30, "421": 20, "1520": 20, "415": 30, "429": 10}

# The line "HTTP level" under the tables.
HTTP_LEVEL = {
    401: "K",
    403: "K",
    429: "B",
    400: "P",
    404: "P",
    405: "P",
    413: "P",
    422: "P",
    408: "A",
    500: "A",
    502: "A",
    503: "A",
    504: "A",
}


def submit_error(body: object = None, *, status: int = 200, text: str = "", **headers: str) -> ProviderError:
    content = {"body": text} if body is None else {"json": body}
    with responses.RequestsMock() as mock:
        mock.post(answers.SUBMIT, status=status, headers=headers, **content)
        with pytest.raises(ProviderError) as caught:
            answers.runninghub().submit(answers.REQUEST)
    return caught.value


def query_answer(body: object = None, *, status: int = 200, text: str = "") -> RemoteState | ProviderError:
    content = {"body": text} if body is None else {"json": body}
    with responses.RequestsMock() as mock:
        mock.post(answers.QUERY, status=status, **content)
        return answers.runninghub().query([answers.TASK])[answers.TASK]


def task_error(code: str, message: str = "No | 不行", **changes: object) -> TaskFailed:
    answer = query_answer(
        answers.queried(status="FAILED", errorCode=code, errorMessage=message, results=None, **changes)
    )
    assert isinstance(answer, RemoteState)
    assert answer.status is RemoteStatus.FAILED
    assert answer.error is not None
    return answer.error


def test_the_table_has_the_rows_of_the_reference_and_no_other():
    assert set(codes.CODES) == set(REFERENCE) | ABOUT_A_TASK


@pytest.mark.parametrize(("code", "letter"), REFERENCE.items())
def test_refused_submit_follows_the_reference(code: str, letter: str):
    for body, status in ((answers.refusal(code), 200), (answers.refusal(code), 503), (answers.old_refusal(code), 200)):
        error = submit_error(body, status=status)
        assert (type(error), error.code) == (ON_SUBMIT[letter], code), (body, status)


@pytest.mark.parametrize(("code", "letter"), REFERENCE.items())
def test_query_without_a_status_follows_the_reference(code: str, letter: str):
    answer = query_answer(answers.refusal(code))
    assert type(answer) is ON_READ[letter]


@pytest.mark.parametrize(("code", "letter"), REFERENCE.items())
def test_the_end_of_a_task_says_whether_a_new_attempt_may_help(code: str, letter: str):
    error = task_error(code)
    assert error.remedy is REMEDIES[letter]
    assert error.code == code


@pytest.mark.parametrize("code", sorted(ABOUT_A_TASK - {"423", "807"}))
def test_task_code_in_a_submit_answer_leaves_doubt(code: str):
    assert type(submit_error(answers.refusal(code))) is Unconfirmed


@pytest.mark.parametrize("code", REFERENCE)
def test_the_wait_is_the_base_of_the_reference(code: str):
    assert submit_error(answers.refusal(code)).wait_seconds == WAITS.get(code)


@pytest.mark.parametrize(("status", "letter"), HTTP_LEVEL.items())
def test_without_a_known_code_the_http_status_decides(status: int, letter: str):
    error = submit_error(status=status, text="<html>no</html>")
    assert (type(error), error.code) == (ON_SUBMIT[letter], f"http_{status}")
    error = submit_error(answers.refusal("9999"), status=status)
    assert (type(error), error.code) == (ON_SUBMIT[letter], "9999")
    assert type(query_answer(status=status, text="<html>no</html>")) is ON_READ[letter]


@pytest.mark.parametrize("status", [301, 307, 308])
def test_moved_address_blocks_the_account(status: int):
    assert type(submit_error(status=status, Location="https://elsewhere.example/")) is AccountBlocked


@pytest.mark.parametrize("status", [302, 303])
def test_a_see_other_leaves_doubt(status: int):
    assert type(submit_error(status=status, Location="https://elsewhere.example/")) is Unconfirmed


def test_a_rate_limit_waits_as_long_as_the_server_asks():
    error = submit_error(status=429, **{"Retry-After": "7"})
    assert type(error) is TryAgainLater
    assert error.wait_seconds == 7


def test_a_rate_limit_by_code_waits_as_long_as_the_server_asks():
    assert submit_error(answers.refusal("1003"), status=429, **{"Retry-After": "45"}).wait_seconds == 45


def test_a_rate_limit_without_a_wish_waits_for_the_base():
    assert submit_error(status=429).wait_seconds == 10


@pytest.mark.parametrize(
    "text", ["", "<html></html>", "null", "[]", '"ok"', "{", '{"taskId": "20135', "[" * 100_000, "\ufffd"]
)
def test_a_200_that_is_no_json_object_leaves_doubt(text: str):
    error = submit_error(text=text)
    assert type(error) is Unconfirmed
    assert codes.MAY_EXIST() in error.message


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"taskId": "", "status": "", "errorCode": "", "errorMessage": ""},
        {"taskId": None, "errorCode": None},
        {"taskId": "null", "errorCode": "0"},
        {"taskId": 0},
        {"code": 0, "msg": "success", "data": None},
        {"code": 200, "message": "success", "data": {}},
        {"taskId": "", "status": "RUNNING"},
        {"taskId": {}, "errorCode": []},
        {"taskId": "", "errorCode": "", "errorMessage": "余额不足"},
    ],
)
def test_a_200_with_neither_task_nor_code_leaves_doubt(body: dict[str, object]):
    assert type(submit_error(body)) is Unconfirmed


def test_a_code_that_is_new_to_us_leaves_doubt():
    assert type(submit_error(answers.refusal("9999", "Something | 某事"))) is Unconfirmed


@pytest.mark.parametrize("text", ["账户余额不足", "Your balance is too low", "Insufficient funds", "请充值"])
def test_an_unknown_code_that_speaks_of_money_blocks_the_account(text: str):
    assert type(submit_error(answers.refusal("9999", text))) is AccountBlocked


@pytest.mark.parametrize("text", ["内容审核未通过", "NSFW content", "Policy violation", "content safety audit", "违规"])
def test_unknown_code_about_moderation_rejects_the_request(text: str):
    assert type(submit_error(answers.refusal("9999", text))) is Rejected
    assert task_error("9999", text).remedy is Remedy.NONE


def test_message_decides_on_a_bad_request():
    assert type(submit_error({"message": "余额不足"}, status=400)) is AccountBlocked


@pytest.mark.parametrize(("code", "letter"), [("1005", "A"), ("1007", "P"), ("1003", "B")])
def test_message_changes_nothing_about_a_known_code(code: str, letter: str):
    assert type(submit_error(answers.refusal(code, "insufficient balance, illegal content"))) is ON_SUBMIT[letter]


def test_words_of_a_server_in_trouble_settle_nothing():
    assert type(submit_error(answers.refusal("9999", "insufficient resources"), status=500)) is Unconfirmed


def test_a_load_balancer_is_not_a_balance():
    assert type(submit_error(answers.refusal("9999", "load balancer has no target"))) is Unconfirmed


@pytest.mark.parametrize("code", ["", "9999"])
def test_failure_of_unknown_cause_is_retried_once(code: str):
    assert task_error(code, "").remedy is Remedy.ONE_MORE_TRY


def test_message_starts_with_our_text_and_quotes_the_vendor():
    error = submit_error(answers.refusal("1501", "Content security audit did not pass | 内容安全审查未通过"))
    assert error.message.startswith("Blocked by content moderation")
    assert "RunningHub says: Content security audit did not pass" in error.message
    with translation.override("zh-hans"):
        assert translate(error.message).endswith("RunningHub：内容安全审查未通过")
    assert "1501" not in error.message
    assert str(error).endswith("(1501)")


def test_a_long_quote_is_cut():
    assert len(submit_error(answers.refusal("1007", "x" * 5000)).message) < 500


@pytest.mark.parametrize(("code", "sentence"), [("1501", "Blocked by content moderation"), ("1505", "real person")])
@pytest.mark.parametrize("usage", [None, answers.NO_USAGE, {}])
def test_a_moderated_task_says_so_and_that_it_was_not_charged(code: str, sentence: str, usage: object):
    error = task_error(code, usage=usage, taskUsageList=None)
    assert sentence in error.message
    assert "no charge" in error.message


@pytest.mark.parametrize("usage", [{"thirdPartyConsumeMoney": "0.05"}, {"consumeCoins": "30"}])
def test_a_charged_failure_is_not_called_free(usage: object):
    assert "no charge" not in task_error("1015", usage=usage).message


def test_a_failure_without_any_bill_is_not_called_free():
    body = {"taskId": answers.TASK, "status": "FAILED", "errorCode": "1015"}
    answer = query_answer(body)
    assert isinstance(answer, RemoteState)
    assert answer.error is not None
    assert "no charge" not in answer.error.message


@pytest.mark.parametrize("row", [*codes.CODES.values(), *codes.HTTP_STATUSES.values()])
def test_each_meaning_is_a_sentence(row: codes.Row):
    assert row.meaning.endswith(".")
    assert row.meaning[0].isupper()


@pytest.mark.parametrize("row", [row for row in codes.CODES.values() if row.kind is codes.ACCOUNT])
def test_each_account_problem_says_what_to_do(row: codes.Row):
    assert row.meaning.count(".") >= 2
