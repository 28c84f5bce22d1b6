"""The catalogue: what models promise, what they refuse, what they cost, and which mistakes in its files are noticed."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation

from providers.catalog import (
    DIRECTORY,
    CatalogError,
    Model,
    Parameter,
    ParameterType,
    ParamsInvalid,
    UnknownModel,
    all_models,
    default_model,
    free_form_model,
    get_model,
    load,
    price_in_words,
)
from providers.catalog.task_types import TaskType

T2I = "rhart-image-v1/text-to-image"
EDIT = "rhart-image-v1/edit"
T2V = "rhart-video-s/text-to-video"
I2V = "rhart-video-s/image-to-video"
VEO_OFFICIAL = "rhart-video-v3.1-fast-official/text-to-video"
URL = "https://example.org/a.png"


@pytest.fixture(autouse=True)
def _english():
    with translation.override("en"):
        yield


every_model = pytest.mark.parametrize("model", all_models(), ids=lambda model: model.endpoint)


def sample(model: Model) -> dict[str, Any]:
    """The least that a caller must give: every required parameter that has no default."""
    values: dict[ParameterType, Any] = {
        ParameterType.TEXT: "a red teapot",
        ParameterType.IMAGE: URL,
        ParameterType.IMAGES: [URL],
    }
    return {field.name: values[field.type] for field in model.parameters if field.is_required and field.default is None}


def field_of(model: Model, name: str) -> Parameter:
    field = model.parameter(name)
    assert field is not None
    return field


def errors_of(endpoint: str, params: Any) -> dict[str, str]:
    with pytest.raises(ParamsInvalid) as caught:
        get_model(endpoint).clean(params)
    return {error.field: error.message for error in caught.value.errors}


# --- Every model ------------------------------------------------------------------------------------------------------


@every_model
def test_the_least_that_a_caller_must_give_is_valid_and_cleaning_twice_changes_nothing(model):
    cleaned = model.clean(sample(model))
    assert {field.name for field in model.parameters if field.is_required} <= set(cleaned)
    assert model.clean(cleaned) == cleaned


@every_model
def test_a_call_with_defaults_has_a_price_unless_the_model_bills_a_length_that_has_no_default(model):
    price = model.price(sample(model))
    if price is None:
        assert model.parameter("duration").default is None
        price = model.price({**sample(model), "duration": 6})
    assert price > 0


@every_model
def test_json_schema_demands_what_cleaning_demands(model):
    schema = json.loads(json.dumps(model.json_schema()))
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["required"] == list(sample(model))
    assert set(schema["properties"]) == {field.name for field in model.parameters}
    assert schema["additionalProperties"] is False


@every_model
def test_a_field_whose_name_ends_in_urls_is_a_list_and_one_that_ends_in_url_is_not(model):
    for field in model.parameters:
        assert (field.type is ParameterType.IMAGES) == field.name.endswith("Urls")
        assert field.is_file == (field.name.endswith(("Url", "Urls")) or field.name == "image")


@every_model
def test_a_model_says_how_long_and_how_often_to_try(model):
    assert model.deadline_seconds == {"image": 1800, "video": 3600}[model.result_kind]
    assert model.max_attempts == 2
    assert (model.provider, model.currency, model.is_free_form) == ("runninghub", "CNY", False)


@every_model
def test_a_batch_of_images_fills_an_image_field_and_a_batch_of_prompts_the_prompt(model):
    takes_images = model.task_type in (TaskType.IMAGE_TO_IMAGE, TaskType.IMAGE_TO_VIDEO)
    assert model.parameter(model.batch_field).is_file == takes_images


@pytest.mark.parametrize("model", [m for m in all_models() if m.endpoint.startswith("rhart-video-s")])
def test_sora_models_warn_that_they_may_be_gone_and_name_others(model):
    assert "2026-09-24" in model.note
    assert "rhart-video-v3.1" in model.note


# --- Cleaning ---------------------------------------------------------------------------------------------------------


def test_required_parameters_with_a_default_are_added_and_optional_ones_are_not():
    assert get_model(T2V).clean({"prompt": "Waves at dusk"}) == {
        "prompt": "Waves at dusk",
        "duration": "10",
        "aspectRatio": "9:16",
    }


def test_a_given_value_beats_the_default():
    assert get_model(T2I).clean({"prompt": "x", "aspectRatio": "16:9"})["aspectRatio"] == "16:9"


def test_all_errors_are_reported_at_once():
    errors = errors_of(I2V, {"imageUrl": "C:\\a.png", "duration": 11, "storyboard": "maybe", "size": 1})
    assert set(errors) == {"imageUrl", "prompt", "duration", "storyboard", "size"}


def test_an_unknown_parameter_is_named_with_a_suggestion_and_the_allowed_ones():
    message = errors_of(T2I, {"prompt": "x", "aspect_ratio": "1:1"})["aspect_ratio"]
    assert message == 'Unknown parameter "aspect_ratio". Did you mean "aspectRatio"? Allowed: prompt, aspectRatio.'


def test_an_unknown_parameter_that_resembles_none_gets_no_suggestion():
    message = errors_of(T2I, {"prompt": "x", "zzz": 1})["zzz"]
    assert message == 'Unknown parameter "zzz". Allowed: prompt, aspectRatio.'


@pytest.mark.parametrize("model", [get_model(T2I), free_form_model("a/b", "text_to_image")], ids=["known", "free form"])
def test_the_webhook_address_is_never_a_callers_parameter(model):
    with pytest.raises(ParamsInvalid, match="webhookUrl: This parameter is set by the server"):
        model.clean({"prompt": "x", "webhookUrl": "https://example.org/hook"})


@pytest.mark.parametrize("model", [get_model(T2I), free_form_model("a/b", "text_to_image")], ids=["known", "free form"])
@pytest.mark.parametrize("params", [None, ["x"], "prompt"])
def test_parameters_must_be_an_object(model, params):
    with pytest.raises(ParamsInvalid, match="must be an object"):
        model.clean(params)


@pytest.mark.parametrize("blank", ["", "  \n", None, []])
def test_required_text_may_not_be_blank(blank):
    assert "required" in errors_of(T2I, {"prompt": blank})["prompt"]


def test_an_empty_cell_for_an_optional_parameter_means_not_given():
    assert "storyboard" not in get_model(T2V).clean({"prompt": "Waves at dusk", "storyboard": ""})


def test_an_empty_cell_for_a_required_parameter_means_its_default():
    assert get_model(T2V).clean({"prompt": "Waves at dusk", "duration": " "})["duration"] == "10"


def test_text_keeps_its_spaces_and_lines():
    assert get_model(T2I).clean({"prompt": " a\nb "})["prompt"] == " a\nb "


def test_text_length_is_counted_in_characters_not_bytes():
    assert get_model(T2V).clean({"prompt": "海" * 4000})["prompt"] == "海" * 4000


def test_text_of_the_least_length_will_do():
    assert get_model(T2V).clean({"prompt": "waves"})["prompt"] == "waves"


def test_text_that_is_too_long_or_too_short_is_told_its_length_and_the_limit():
    assert errors_of(T2V, {"prompt": "x" * 4001})["prompt"] == "Too long: 4001 characters, at most 4000 are allowed."
    assert errors_of(T2V, {"prompt": "wave"})["prompt"] == "Too short: 4 characters, at least 5 are needed."


@pytest.mark.parametrize("value", [5, True, ["x"], {"text": "x"}])
def test_text_is_not_made_of_other_things(value):
    assert errors_of(T2I, {"prompt": value}) == {"prompt": "Must be text."}


@pytest.mark.parametrize("value", ["15", 15])
def test_a_choice_that_looks_like_a_number_goes_out_as_text(value):
    assert get_model(T2V).clean({"prompt": "Waves at dusk", "duration": value})["duration"] == "15"


@pytest.mark.parametrize("value", ["11", 11, 10.0, True, ["10"], {"10": 1}])
def test_a_wrong_choice_is_told_what_is_allowed(value):
    assert errors_of(T2V, {"prompt": "Waves at dusk", "duration": value}) == {"duration": "Must be one of: 10, 15."}


def test_the_consoles_word_for_not_sent_is_not_a_choice():
    ratio = field_of(get_model("rhart-image-g-2/text-to-image"), "aspectRatio")
    assert not ratio.is_required
    assert ratio.default is None
    assert "empty" not in ratio.choices


@pytest.mark.parametrize("value, cleaned", [(True, True), (False, False), ("true", True), ("FALSE", False)])
def test_a_boolean_goes_out_as_a_real_one(value, cleaned):
    assert get_model(T2V).clean({"prompt": "Waves at dusk", "storyboard": value})["storyboard"] is cleaned


@pytest.mark.parametrize("value", ["yes", "1", 1, 0, [True]])
def test_a_boolean_is_not_guessed(value):
    assert errors_of(T2V, {"prompt": "Waves at dusk", "storyboard": value}) == {"storyboard": "Must be true or false."}


@pytest.mark.parametrize("value", [7, "7"])
def test_an_integer_goes_out_as_a_real_one(value):
    cleaned = get_model("rhart-video-g/text-to-video").clean({"prompt": "x", "duration": value})
    assert cleaned["duration"] == 7
    assert type(cleaned["duration"]) is int


@pytest.mark.parametrize("value", ["7.0", 7.0, "seven", True, "７", "9" * 5000, [7]])
def test_an_integer_is_not_guessed(value):
    errors = errors_of("rhart-video-g/text-to-video", {"prompt": "x", "duration": value})
    assert errors == {"duration": "Must be a whole number."}


@pytest.mark.parametrize("value, message", [(5, "Must be at least 6."), ("31", "Must be at most 30.")])
def test_an_integer_keeps_within_its_limits(value, message):
    assert errors_of("rhart-video-g/text-to-video", {"prompt": "x", "duration": value}) == {"duration": message}


@pytest.mark.parametrize("value", [URL, "http://example.org", "HTTPS://example.org/图.png?x=1", "media:7", "media:17"])
def test_an_image_is_an_address_or_an_uploaded_file(value):
    assert get_model(I2V).clean({"prompt": "She smiles", "imageUrl": value})["imageUrl"] == value


@pytest.mark.parametrize(
    "value",
    [
        "data:image/png;base64,AAAA",
        "/home/me/a.png",
        "C:\\a.png",
        "a.png",
        "file:///a.png",
        "ftp://example.org/a.png",
        "https://",
        "https://example.org/a b.png",
        "media:",
        "media:../1",
        "javascript:alert(1)",
        5,
        [URL],
    ],
)
def test_anything_else_for_an_image_is_refused_with_the_advice_to_upload_it(value):
    assert "Upload the file" in errors_of(I2V, {"prompt": "She smiles", "imageUrl": value})["imageUrl"]


def test_one_address_for_a_list_becomes_a_list():
    assert get_model(EDIT).clean({"prompt": "x", "imageUrls": URL})["imageUrls"] == [URL]


def test_a_list_keeps_its_order():
    urls = ["media:2", URL, "media:1"]
    assert get_model(EDIT).clean({"prompt": "x", "imageUrls": urls})["imageUrls"] == urls


def test_a_list_may_be_full_but_not_fuller():
    assert len(get_model(EDIT).clean({"prompt": "x", "imageUrls": [URL] * 5})["imageUrls"]) == 5
    message = errors_of(EDIT, {"prompt": "x", "imageUrls": [URL] * 6})["imageUrls"]
    assert message == "Too many: 6 files, at most 5 are allowed."


@pytest.mark.parametrize("value", [[URL, "a.png"], [URL, ""], [None], {"url": URL}, 5])
def test_one_bad_address_spoils_the_list(value):
    assert set(errors_of(EDIT, {"prompt": "x", "imageUrls": value})) == {"imageUrls"}


def test_cleaning_leaves_the_callers_parameters_alone():
    params = {"prompt": "x", "imageUrls": URL}
    get_model(EDIT).clean(params)
    assert params == {"prompt": "x", "imageUrls": URL}


def test_file_limits_are_known_for_the_check_of_an_upload():
    field = field_of(get_model(I2V), "imageUrl")
    assert field.formats == ("JPG", "PNG")
    assert field.max_bytes == 50 * 1024 * 1024


# --- Prices: RunningHub's published price list, 2026-04-29 ------------------------------------------------------------


@pytest.mark.parametrize(
    "endpoint, params, price",
    [
        (T2I, {}, "0.05"),
        (EDIT, {}, "0.05"),
        ("rhart-image-v1-official/edit", {}, "0.2"),
        (T2V, {}, "1.0"),
        (T2V, {"duration": "15"}, "1.0"),
        (I2V, {"duration": 15}, "1.0"),
        ("rhart-video-s/image-to-video-asyn", {}, "0.5"),
        ("rhart-video-s-official/text-to-video", {}, "1.82"),
        ("rhart-video-s-official/image-to-video", {"duration": "12"}, "5.46"),
        ("rhart-video-s-official/image-to-video-realistic", {"duration": "8"}, "6.5"),
        ("rhart-video-s-official/text-to-video-pro", {}, "25.2"),
        ("rhart-video-s-official/text-to-video-pro", {"size": "1080x1920", "duration": "20"}, "98.0"),
        ("rhart-video-s-official/image-to-video-pro", {"resolution": "1080p", "duration": 8}, "28.0"),
        ("rhart-image-n-pro/text-to-image", {"resolution": "4k"}, "0.5"),
        ("rhart-image-n-pro-official/edit", {"resolution": "2k"}, "1.0"),
        ("rhart-image-n-pro-official/text-to-image-ultra", {}, "1.12"),
        ("rhart-image-n-g31-flash/image-to-image", {"resolution": "4k"}, "0.2"),
        ("rhart-image-n-g31-flash-official/text-to-image", {"resolution": "2k"}, "0.74"),
        ("rhart-image-g-2/image-to-image", {"resolution": "4k"}, "0.1"),
        ("rhart-image-g-2-official/text-to-image", {}, "0.926"),
        ("rhart-image-g-2-official/image-to-image", {"quality": "high", "resolution": "4k"}, "4.738"),
        ("rhart-image-g-1.5-official/text-to-image", {"quality": "high", "size": "1024*1536"}, "1.26"),
        ("rhart-image-g-1.5-official/image-to-image", {"size": "1536*1024"}, "0.32"),
        ("rhart-image-x-official/edit", {}, "0.14"),
        ("rhart-video-v3.1-fast/text-to-video", {"resolution": "4k"}, "0.5"),
        ("rhart-video-v3.1-pro/start-end-to-video", {"resolution": "4k"}, "1.4"),
        ("rhart-video-v3.1-pro/image-to-video", {}, "0.5"),
        (VEO_OFFICIAL, {}, "4.7"),
        (VEO_OFFICIAL, {"generateAudio": True}, "7.04"),
        (VEO_OFFICIAL, {"generateAudio": "true", "duration": "6"}, "5.32"),
        ("rhart-video-v3.1-pro-official/image-to-video", {"generateAudio": True, "duration": 8}, "18.8"),
        ("rhart-video-v3.1-pro-official/reference-to-video", {}, "9.4"),
        ("rhart-video-v3.1-lite-official/text-to-video", {}, "3.024"),
        ("rhart-video-v3.1-lite-official/image-to-video", {"duration": "8"}, "2.52"),
        ("rhart-video-g/text-to-video", {"duration": 30}, "0.9"),
        ("rhart-video-g-official/text-to-video", {"duration": "10"}, "3.15"),
        ("rhart-video/sparkvideo-2.0/text-to-video", {}, "6.0"),
        ("rhart-video/sparkvideo-2.0/image-to-video", {"resolution": "native1080p", "duration": "15"}, "45.0"),
        ("rhart-video/sparkvideo-2.0-fast/text-to-video", {"resolution": "2k", "duration": "4"}, "5.68"),
    ],
)
def test_a_price_is_the_published_one(endpoint, params, price):
    found = get_model(endpoint).price(params)
    assert isinstance(found, Decimal)
    assert found == Decimal(price)


@pytest.mark.parametrize(
    "endpoint, params",
    [
        ("rhart-video/sparkvideo-2.0-fast/text-to-video", {"resolution": "native1080p"}),
        ("rhart-video-g/text-to-video", {}),
        ("rhart-video-g/text-to-video", {"duration": "long"}),
        (T2V, {"duration": "25"}),
        (T2V, {"duration": ["10"]}),
    ],
)
def test_a_price_without_a_row_is_unknown(endpoint, params):
    assert get_model(endpoint).price(params) is None


def test_an_empty_cell_is_priced_like_the_default():
    assert get_model(VEO_OFFICIAL).price({"duration": "", "generateAudio": None}) == Decimal("4.7")


# --- JSON Schema ------------------------------------------------------------------------------------------------------


def test_json_schema_states_every_limit():
    properties = get_model(I2V).json_schema()["properties"]
    assert properties["prompt"] == {"type": "string", "minLength": 5, "maxLength": 4000}
    assert properties["duration"] == {"type": "string", "enum": ["10", "15"], "default": "10"}
    assert properties["storyboard"] == {"type": "boolean", "default": False}
    assert properties["imageUrl"]["description"] == "JPG, PNG, ≤ 50 MB"


def test_json_schema_of_a_list_limits_its_length_and_its_items():
    schema = get_model(EDIT).json_schema()["properties"]["imageUrls"]
    assert (schema["type"], schema["minItems"], schema["maxItems"]) == ("array", 1, 5)
    assert re.search(schema["items"]["pattern"], "media:1")
    assert re.search(schema["items"]["pattern"], URL)
    assert not re.search(schema["items"]["pattern"], "data:image/png;base64,AAAA")


def test_json_schema_of_an_integer_has_its_range():
    schema = get_model("rhart-video-g/text-to-video").json_schema()["properties"]["duration"]
    assert schema == {"type": "integer", "minimum": 6, "maximum": 30}


def test_a_field_that_a_model_does_not_have_is_none():
    assert get_model(T2I).parameter("duration") is None


# --- Looking up -------------------------------------------------------------------------------------------------------


def test_an_unknown_endpoint_is_an_error_that_names_it():
    with pytest.raises(UnknownModel, match="rhart-image-v9/edit"):
        get_model("rhart-image-v9/edit")


@pytest.mark.parametrize("task_type", TaskType)
def test_models_can_be_listed_by_task_type(task_type):
    models = all_models(task_type)
    assert models
    assert {model.task_type for model in models} == {task_type}
    assert models == all_models(task_type.value)


@pytest.mark.parametrize(
    "task_type, endpoint",
    [("text_to_image", T2I), ("image_to_image", EDIT), ("text_to_video", T2V), ("image_to_video", I2V)],
)
def test_each_task_type_has_the_promised_default(task_type, endpoint, settings):
    settings.DEFAULT_MODELS = {}
    assert default_model(task_type) is get_model(endpoint)
    assert default_model(TaskType(task_type)) is get_model(endpoint)


@pytest.mark.parametrize("task_type", ["text_to_video", TaskType.TEXT_TO_VIDEO])
def test_the_settings_can_name_another_default(task_type, settings):
    settings.DEFAULT_MODELS = {"text_to_video": "rhart-video-g/text-to-video"}
    assert default_model(task_type).endpoint == "rhart-video-g/text-to-video"
    assert default_model("text_to_image").endpoint == T2I


@pytest.mark.parametrize("endpoint", ["no/such-model", T2I])
def test_a_default_in_the_settings_must_be_a_model_of_that_task_type(endpoint, settings):
    settings.DEFAULT_MODELS = {"text_to_video": endpoint}
    with pytest.raises(UnknownModel, match=endpoint):
        default_model("text_to_video")


# --- Free form --------------------------------------------------------------------------------------------------------


def test_a_free_form_model_passes_everything_on_and_knows_no_price():
    model = free_form_model("kling-v3.0-pro/text-to-video", "text_to_video")
    params = {"prompt": "", "cfg": 0.5, "52##text": {"deep": [1, None]}}
    assert model.clean(params) == params
    assert model.price(params) is None
    assert model.is_free_form
    assert model.deadline_seconds == 3600
    assert model.json_schema()["additionalProperties"] is True


@pytest.mark.parametrize(
    "task_type, batch_field",
    [
        ("text_to_image", "prompt"),
        ("image_to_image", "imageUrls"),
        ("text_to_video", "prompt"),
        ("image_to_video", "imageUrl"),
    ],
)
def test_a_free_form_model_uses_the_usual_batch_field(task_type, batch_field):
    assert free_form_model("a/b", task_type).batch_field == batch_field


@pytest.mark.parametrize("endpoint", ["single", "a/b", "a.b/c-d/e_f", "v3.1..x/y"])
def test_an_endpoint_may_have_any_number_of_parts(endpoint):
    assert free_form_model(endpoint, "text_to_image").name == endpoint


@pytest.mark.parametrize("endpoint", ["", "/a", "a/", "a//b", "a b", "a/../b", "..", "a/.", "a?b=c", "a\n", "模型/x"])
def test_an_endpoint_that_could_lead_elsewhere_is_refused(endpoint):
    with pytest.raises(UnknownModel):
        free_form_model(endpoint, "text_to_image")


def test_a_free_form_model_wants_names_that_are_text():
    params: Any = {1: "x"}
    with pytest.raises(ParamsInvalid, match="name must be text"):
        free_form_model("a/b", "text_to_image").clean(params)


# --- Reading the files ------------------------------------------------------------------------------------------------

BLOCK = """
[[model]]
endpoint = "{endpoint}"
name = "A model"
task_type = "{task_type}"
is_default = {is_default}
batch_field = "prompt"
price = {{ by = ["size"], rows = [["s", "0.1"], ["m", "0.2"]] }}
  [model.fields]
  prompt = {{ type = "text", is_required = true, max_length = 10 }}
  size = {{ type = "choice", is_required = true, default = "s", choices = "sizes" }}
"""
FILE = 'provider = "acme"\n\n[choices]\nsizes = ["s", "m"]\n' + "".join(
    BLOCK.format(endpoint=f"acme/{task_type}", task_type=task_type, is_default="true") for task_type in TaskType.values
)


def write(tmp_path: Path, text: str, name: str = "acme.toml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_is_read_into_models_in_its_own_order(tmp_path):
    models = load([write(tmp_path, FILE)])
    assert list(models) == [f"acme/{task_type}" for task_type in TaskType.values]
    model = models["acme/text_to_video"]
    assert (model.provider, model.name, model.task_type) == ("acme", "A model", TaskType.TEXT_TO_VIDEO)
    assert field_of(model, "size").choices == ("s", "m")
    assert model.price({"size": "m"}) == Decimal("0.2")


def test_the_block_in_the_documentation_is_a_valid_one(tmp_path):
    guide = (DIRECTORY.parents[1] / "docs" / "models.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    model = load([write(tmp_path, FILE + block)])["acme/text-to-video"]
    assert model.price({"duration": "8"}) == Decimal("2.52")


def test_a_model_may_have_its_own_deadline_and_number_of_attempts_and_no_price(tmp_path):
    text = FILE.replace(
        'price = { by = ["size"], rows = [["s", "0.1"], ["m", "0.2"]] }', "deadline_seconds = 60\nmax_attempts = 1"
    )
    model = load([write(tmp_path, text)])["acme/text_to_image"]
    assert (model.deadline_seconds, model.max_attempts) == (60, 1)
    assert model.price({}) is None


PRICE = 'price = { by = ["size"], rows = [["s", "0.1"], ["m", "0.2"]] }'


@pytest.mark.parametrize(
    "old, new, problem",
    [
        ('name = "A model"', 'title = "A model"', "unknown key 'title'"),
        ('name = "A model"', "", "needs name"),
        ('name = "A model"', "name = 5", "name must be a str"),
        ('task_type = "text_to_image"', 'task_type = "text_to_song"', "'text_to_song' is not a TaskType"),
        ('batch_field = "prompt"', 'batch_field = "text"', "batch_field 'text' is not one of its fields"),
        ("max_length = 10", "max_len = 10", "unknown key 'max_len'"),
        ("max_length = 10", 'max_length = "10"', "max_length must be a int"),
        ("max_length = 10", "max_length = true", "max_length must be a int"),
        ("max_length = 10", 'choices = ["a"]', "unknown key 'choices'"),
        ('type = "text"', 'type = "string"', "'string' is not a ParameterType"),
        ('type = "text", ', "", "None is not a ParameterType"),
        ('prompt = { type = "text", is_required = true, max_length = 10 }', "prompt = 5", "prompt must be a table"),
        ('default = "s"', 'default = "xl"', "default 'xl' is not allowed"),
        ('default = "s"', 'default = ""', "default '' is not allowed"),
        ('choices = "sizes"', 'choices = ["1", "2"]', "default 's' is not allowed"),
        ('default = "s", choices = "sizes"', 'default = 1, choices = ["1"]', "should be written '1'"),
        ('choices = "sizes"', 'choices = "colours"', "no list of choices is named 'colours'"),
        ('choices = "sizes"', 'choices = ["s", 2]', "must be different, non-empty strings"),
        ('choices = "sizes"', 'choices = ["s", "s"]', "must be different, non-empty strings"),
        ('choices = "sizes"', "choices = []", "needs choices"),
        (PRICE, "price = { }", "either amount, or by and rows"),
        (PRICE, 'price = { by = ["size"], amount = "1" }', "either amount, or by and rows"),
        (PRICE, 'price = { amount = "1", each = "call" }', "unknown key 'each'"),
        (PRICE, "price = { amount = 0.1 }", "amount must be a str"),
        (PRICE, 'price = { amount = "free" }', "'free' is not a number"),
        (PRICE, 'price = { amount = "-1" }', "'-1' is not an amount"),
        (PRICE, 'price = { amount = "NaN" }', "'NaN' is not an amount"),
        (PRICE, 'price = { amount = "1", unit = "minute" }', "'minute' must be call or second"),
        (PRICE, 'price = { amount = "1", unit = "second" }', "needs a field named duration"),
        ('by = ["size"]', 'by = ["weight"]', "goes by 'weight'"),
        ('["m", "0.2"]', '["l", "0.2"]', "a row for size = 'l'"),
        ('["m", "0.2"]', '["s", "0.2"]', "two rows for s"),
        ('["m", "0.2"]', '["0.2"]', "a value for each of size, then the amount"),
        ('["m", "0.2"]', '["m", 0.2]', "must be strings"),
    ],
)
def test_a_mistake_in_a_model_is_noticed_with_the_file_and_the_endpoint(old, new, problem, tmp_path):
    assert old in FILE
    path = write(tmp_path, FILE.replace(old, new, 1))
    with pytest.raises(CatalogError) as caught:
        load([path])
    assert str(caught.value).startswith("acme.toml: acme/text_to_image: ")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    "old, new, problem",
    [
        ('provider = "acme"', "", "acme.toml: the file needs provider"),
        ('provider = "acme"', 'provider = "acme"\ncolour = "red"', "acme.toml: the file has an unknown key 'colour'"),
        ('provider = "acme"', "provider = ", "acme.toml: Invalid value"),
    ],
)
def test_a_mistake_in_a_file_is_noticed_with_its_name(old, new, problem, tmp_path):
    with pytest.raises(CatalogError, match=problem):
        load([write(tmp_path, FILE.replace(old, new, 1))])


def test_an_endpoint_is_listed_once_in_the_whole_catalogue(tmp_path):
    again = BLOCK.format(endpoint="acme/text_to_image", task_type="text_to_image", is_default="false")
    second = write(tmp_path, f'provider = "acme"\n[choices]\nsizes = ["s", "m"]\n{again}', name="second.toml")
    with pytest.raises(CatalogError, match=r"second\.toml: acme/text_to_image: this endpoint is listed twice"):
        load([write(tmp_path, FILE), second])


def test_a_task_type_without_a_default_is_noticed(tmp_path):
    text = FILE.replace("is_default = true", "is_default = false", 1)
    with pytest.raises(CatalogError, match="text_to_image needs exactly one model with is_default, found: none"):
        load([write(tmp_path, text)])


def test_a_task_type_with_two_defaults_is_noticed_and_both_are_named(tmp_path):
    text = FILE + BLOCK.format(endpoint="acme/other", task_type="image_to_video", is_default="true")
    with pytest.raises(CatalogError, match=r"image_to_video needs exactly one .*: acme/image_to_video, acme/other"):
        load([write(tmp_path, text)])


def test_the_shipped_files_are_all_loaded():
    paths = sorted(DIRECTORY.glob("*.toml"))
    assert list(load(paths)) == [model.endpoint for model in all_models()]
    assert sum(path.read_text(encoding="utf-8").count("\n[[model]]") for path in paths) == len(all_models()) >= 60


# --- Part of the parameters, and prices in words -----------------------------------------------------------------------


@every_model
def test_of_part_of_the_parameters_nothing_is_required_and_none_is_added(model):
    assert model.clean_partial({}) == {}
    for name, value in model.clean(sample(model)).items():
        assert model.clean_partial({name: value}) == {name: value}


def test_what_is_given_is_checked_all_the_same():
    with pytest.raises(ParamsInvalid) as caught:
        get_model(T2I).clean_partial({"aspectRatio": "7:1", "size": 1})
    assert {error.field for error in caught.value.errors} == {"aspectRatio", "size"}
    with pytest.raises(ParamsInvalid):
        get_model(T2I).clean_partial([])  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["https://a.example/\0.png", "https://a.example/\ud800.png"])
def test_an_address_that_cannot_be_sent_is_refused(address):
    assert "cannot be sent" in errors_of(I2V, {"imageUrl": address})["imageUrl"]
    assert "cannot be sent" in errors_of(EDIT, {"imageUrls": [URL, address], "prompt": "x"})["imageUrls"]


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        (T2I, "0.05 CNY per call"),
        ("rhart-image-n-pro/edit", "0.4 to 0.5 CNY per call, by resolution"),
        ("rhart-image-g-2-official/text-to-image", "0.29 to 4.738 CNY per call, by quality, resolution"),
    ],
)
def test_a_price_is_said_in_words(endpoint, words):
    assert price_in_words(get_model(endpoint)) == words


def test_a_price_that_is_not_known_is_said_to_be():
    assert price_in_words(free_form_model("some/model", "text_to_image")) == "The price is not known."
