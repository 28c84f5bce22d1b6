"""The catalogue: cleaning, prices, JSON Schema, look-ups, and mistakes in its files."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation

from providers.catalog import (
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
    offered_task_types,
)
from providers.catalog.labels import choice_label
from providers.catalog.loading import DIRECTORY, Catalogue, catalogue, load
from providers.catalog.task_types import TaskType

T2I = "rhart-image-v1/text-to-image"
EDIT = "rhart-image-v1/edit"
T2V = "rhart-video-s/text-to-video"
I2V = "rhart-video-s/image-to-video"
GROK = "rhart-video-g/text-to-video"
LITE, LITE_IMAGE = "rhart-video-v3.1-lite/text-to-video", "rhart-video-v3.1-lite/image-to-video"
VEO_OFFICIAL = "rhart-video-v3.1-fast-official/text-to-video"
URL = "https://example.org/a.png"


@pytest.fixture(autouse=True)
def _english():
    with translation.override("en"):
        yield


def sample(model: Model) -> dict[str, Any]:
    """Return the smallest valid parameters: every required parameter without a default."""
    values: dict[ParameterType, Any] = {
        ParameterType.TEXT: "a red teapot",
        ParameterType.IMAGE: URL,
        ParameterType.IMAGES: [URL],
        ParameterType.VIDEO: URL,
        ParameterType.AUDIO: URL,
    }
    return {item.name: values[item.type] for item in model.parameters if item.is_required and item.default is None}


def errors_of(model: Model | str, params: Any) -> dict[str, str]:
    model = get_model(model) if isinstance(model, str) else model
    with pytest.raises(ParamsInvalid) as caught:
        model.clean(params)
    return {error.field: error.message for error in caught.value.errors}


# --- Every model ----------------------------------------------------------------------------------


def test_least_params_are_valid_and_cleaning_is_idempotent():
    for model in all_models():
        cleaned = model.clean(sample(model))
        assert {item.name for item in model.parameters if item.is_required} <= set(cleaned), model.endpoint
        assert model.clean(cleaned) == cleaned, model.endpoint


def test_every_priced_model_has_a_price_for_its_defaults():
    for model in all_models():
        if model.price_rule is None:
            continue
        price = model.price(sample(model))
        if price is None:  # billed by a length that has no default
            price = model.price(sample(model) | {"duration": 6})
        assert price is not None, model.endpoint


def test_json_schema_requires_what_cleaning_requires():
    for model in all_models():
        schema = json.loads(json.dumps(model.params_schema))
        assert schema["$schema"].endswith("2020-12/schema")
        assert schema["required"] == list(sample(model)), model.endpoint
        assert set(schema["properties"]) == set(model.parameters_by_name), model.endpoint
        assert schema["additionalProperties"] is False


def test_runninghub_models_follow_the_rules_of_their_provider():
    for model in all_models(provider="runninghub"):
        assert model.deadline_seconds == {"image": 1800, "video": 3600}[model.result_kind]
        assert (model.max_attempts, model.currency, model.is_free_form) == (2, "CNY", False)
        takes_images = model.task_type in (TaskType.IMAGE_TO_IMAGE, TaskType.IMAGE_TO_VIDEO)
        assert model.parameters_by_name[model.batch_field].is_file == takes_images, model.endpoint
        for item in model.parameters:
            assert (item.type is ParameterType.IMAGES) == item.name.endswith("Urls")
            assert item.is_file == (item.name.endswith(("Url", "Urls")) or item.name == "image")


def test_ended_models_are_last_and_lead_to_living_ones():
    for task_type in ("text_to_video", "image_to_video"):
        models = all_models(task_type)
        ended = [model for model in models if model.successor]
        assert models[-len(ended) :] == ended
        assert {model.endpoint.split("/")[0] for model in ended} == {"rhart-video-s", "rhart-video-s-official"}
        assert not default_model(task_type).successor
        for model in ended:
            assert "2026-09-24" in model.note
            successor = get_model(model.successor)
            assert (successor.task_type, successor.successor) == (task_type, "")


def test_names_and_notes_are_translated():
    families = {model.name.split(", ")[0] for model in all_models()}
    with translation.override("zh-hans"):
        for model in all_models():
            assert model.note_text != model.note.strip() or not model.note, model.endpoint
            english = set(model.name.split(", ")) & set(model.label.split("，")) - families
            assert not english, model.endpoint
            assert str(model.task_type.label) not in model.short_label.split("，")
        assert choice_label("medium") == "中"
        assert get_model(T2I).price_text == "每次 ¥0.05"
        assert get_model("rhart-image-n-pro/edit").price_text.endswith("取决于分辨率")


# --- Cleaning -------------------------------------------------------------------------------------


def test_defaults_of_required_parameters_are_added():
    assert get_model(T2V).clean({"prompt": "Waves at dusk"}) == {
        "prompt": "Waves at dusk",
        "duration": "10",
        "aspectRatio": "9:16",
    }
    assert get_model(T2I).clean({"prompt": "x", "aspectRatio": "16:9"})["aspectRatio"] == "16:9"


def test_all_errors_are_reported_at_once():
    errors = errors_of(I2V, {"imageUrl": "C:\\a.png", "duration": 11, "storyboard": "maybe", "size": 1})
    assert set(errors) == {"imageUrl", "prompt", "duration", "storyboard", "size"}


def test_unknown_parameter_gets_a_suggestion():
    assert errors_of(T2I, {"prompt": "x", "aspect_ratio": "1:1", "zzz": ""}) == {
        "aspect_ratio": 'Unknown parameter "aspect_ratio". Did you mean "aspectRatio"? Allowed: prompt, aspectRatio.',
        "zzz": 'Unknown parameter "zzz". Allowed: prompt, aspectRatio.',
    }


def test_reserved_names_and_other_shapes_are_refused():
    wrong: Any
    for model in (get_model(T2I), free_form_model("a/b", "text_to_image")):
        errors = errors_of(model, {"prompt": "x", "webhookUrl": "https://example.org/hook"})
        assert errors == {"webhookUrl": "This parameter is set by the server."}
        for wrong in (None, ["x"], "prompt"):
            assert "must be an object" in errors_of(model, wrong)[""]
        wrong = {1: "x", "prompt": "x"}
        assert errors_of(model, wrong) == {"1": "A parameter's name must be text."}


def test_absent_values():
    blank: Any
    for blank in ("", "  \n", None, []):
        assert "Required" in errors_of(T2I, {"prompt": blank})["prompt"]
        cleaned = get_model(T2V).clean({"prompt": "Waves at dusk", "storyboard": blank, "duration": blank})
        assert "storyboard" not in cleaned
        assert cleaned["duration"] == "10"


DEMO = Model.model_validate(
    {
        "provider": "demo",
        "endpoint": "demo",
        "name": "Demo",
        "task_type": "text",
        "batch_field": "text",
        "deadline_seconds": 60,
        "max_attempts": 1,
        "parameters": {
            "text": {"type": "text", "min_length": 5, "max_length": 10},
            "choice": {"type": "choice", "choices": ["10", "15"]},
            "integer": {"type": "integer", "minimum": 6, "maximum": 30},
            "float": {"type": "float", "minimum": 0.5, "maximum": 2},
            "boolean": {"type": "boolean"},
            "image": {"type": "image"},
            "images": {"type": "images", "max_count": 2},
            "video": {"type": "video"},
            "audio": {"type": "audio"},
            "object": {"type": "object"},
            "list": {"type": "list", "max_count": 2},
        },
    }
)
FILES = [URL, "http://example.org", "HTTPS://example.org/图.png?x=1", "media:7", "output:12/3"]


@pytest.mark.parametrize(
    "name, values",
    [
        ("text", [(" a\nb ", " a\nb "), ("海" * 10, "海" * 10), ("waves", "waves")]),
        ("choice", [("15", "15"), (15, "15")]),
        ("integer", [(7, 7), ("7", 7)]),
        ("float", [(1, 1.0), (1.5, 1.5), ("1.25", 1.25), ("2", 2.0)]),
        ("boolean", [(True, True), (False, False), ("true", True), ("FALSE", False)]),
        *[(name, [(value, value) for value in FILES]) for name in ("image", "video", "audio")],
        ("images", [(URL, [URL]), (["media:2", URL], ["media:2", URL]), (("media:2",), ["media:2"])]),
        ("object", [({"a": [1]}, {"a": [1]}), ('{"a": null}', {"a": None})]),
        ("list", [([1, "a"], [1, "a"]), ("[1]", [1])]),
    ],
)
def test_valid_values(name, values):
    for value, expected in values:
        cleaned = DEMO.clean({name: value})[name]
        assert (cleaned, type(cleaned)) == (expected, type(expected)), value


NO_FILES: list[Any] = [
    "data:image/png;base64,AAAA",
    "/home/me/a.png",
    "C:\\a.png",
    "a.png",
    "file:///a.png",
    "ftp://example.org/a.png",
    "https://",
    "https://example.org/a b.png",
    "https://example.org/a\n",
    "media:",
    "media:../1",
    "output:1",
    "javascript:alert(1)",
    5,
    [URL],
]
FILE_MESSAGE = "Must be an http(s) address, media:ID of an uploaded file, or output:ITEM/N of an earlier result."
UNSENDABLE = "Contains a character that cannot be sent. Type the text again."


@pytest.mark.parametrize(
    "name, values, message",
    [
        ("text", [5, True, ["x"], {"text": "x"}], "Must be text."),
        ("text", ["x" * 11], "Too long: 11 characters, at most 10 are allowed."),
        ("text", ["wave"], "Too short: 4 characters, at least 5 are needed."),
        ("text", ["waves\0", "waves\ud800"], UNSENDABLE),
        ("choice", ["11", 11, 10.0, True, ["10"], {"10": 1}], "Must be one of: 10, 15."),
        ("integer", ["7.0", 7.0, "seven", True, "７", "9" * 5000, [7]], "Must be a whole number."),
        ("integer", [5, "5"], "Must be at least 6."),
        ("integer", ["31"], "Must be at most 30."),
        ("float", ["one", True, "nan", "1e5", [1.0]], "Must be a number."),
        ("float", [0.4], "Must be at least 0.5."),
        ("float", ["3"], "Must be at most 2."),
        ("boolean", ["yes", "1", 1, 0, [True]], "Must be true or false."),
        ("image", NO_FILES, FILE_MESSAGE),
        ("video", NO_FILES, FILE_MESSAGE),
        ("audio", NO_FILES, FILE_MESSAGE),
        ("image", ["https://a.example/\0.png", "https://a.example/\ud800.png"], UNSENDABLE),
        ("images", [[URL, "a.png"], [URL, ""], [None]], FILE_MESSAGE),
        ("images", [{"url": URL}, 5], "Must be a list of addresses."),
        ("images", [[URL] * 3], "Too many: 3 files, at most 2 are allowed."),
        ("images", [[URL, "https://a.example/\0.png"]], UNSENDABLE),
        ("object", ["[1]", "{", 5, [1]], "Must be a JSON object."),
        ("object", [{"a": float("nan")}, {"a": "\0"}, {"a": "\ud800"}], UNSENDABLE),
        ("list", ["{}", "[", 5, {}], "Must be a JSON list."),
        ("list", ["[1,2,3]"], "Too many: 3 entries, at most 2 are allowed."),
    ],
)
def test_invalid_values(name, values, message):
    for value in values:
        assert errors_of(DEMO, {name: value}) == {name: message}, value


def test_cleaning_does_not_change_its_input():
    params = {"prompt": "x", "imageUrls": URL}
    get_model(EDIT).clean(params)
    assert params == {"prompt": "x", "imageUrls": URL}


def test_partial_params_need_nothing_and_get_no_defaults():
    for model in all_models():
        assert model.clean_partial({}) == {}
        for name, value in model.clean(sample(model)).items():
            assert model.clean_partial({name: value}) == {name: value}
    with pytest.raises(ParamsInvalid) as caught:
        get_model(T2I).clean_partial({"aspectRatio": "7:1", "size": 1})
    assert {error.field for error in caught.value.errors} == {"aspectRatio", "size"}
    with pytest.raises(ParamsInvalid):
        get_model(T2I).clean_partial([])  # type: ignore[arg-type]


def test_rows_may_supply_missing_shared_params():
    model = get_model(I2V)
    assert model.check_shared({"prompt": "She smiles"}, row_names={"imageUrl"}) == []
    errors = model.check_shared({"duration": 11, "size": 1}, row_names={"imageUrl", "size"})
    assert {error.field for error in errors} == {"prompt", "duration", "size"}


# --- Prices: RunningHub's published price list, 2026-04-29 ----------------------------------------

PRICES: list[tuple[str, dict[str, Any], str]] = [
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
]


def test_prices_are_the_published_ones():
    for endpoint, params, expected in PRICES:
        price = get_model(endpoint).price(params)
        assert isinstance(price, Decimal)
        assert price == Decimal(expected), (endpoint, params)
    assert get_model(VEO_OFFICIAL).price({"duration": "", "generateAudio": None}) == Decimal("4.7")


def test_a_price_without_a_row_is_unknown():
    for endpoint, params in (
        ("rhart-video/sparkvideo-2.0-fast/text-to-video", {"resolution": "native1080p"}),
        (GROK, {}),
        (GROK, {"duration": "long"}),
        (T2V, {"duration": "25"}),
        (T2V, {"duration": ["10"]}),
    ):
        assert get_model(endpoint).price(params) is None, (endpoint, params)


def test_price_text():
    assert get_model(T2I).price_text == "¥0.05 each"
    assert get_model("rhart-image-n-pro/edit").price_text == "¥0.40 to ¥0.50 each, by resolution"
    assert free_form_model("some/model", "text_to_image").price_text == "The price is unknown."


# --- JSON Schema ----------------------------------------------------------------------------------


def test_json_schema_states_every_limit():
    properties = DEMO.params_schema["properties"]
    assert properties["text"] == {"type": "string", "minLength": 5, "maxLength": 10}
    assert properties["choice"] == {"type": "string", "enum": ["10", "15"]}
    assert properties["integer"] == {"type": "integer", "minimum": 6, "maximum": 30}
    assert properties["float"] == {"type": "number", "minimum": 0.5, "maximum": 2}
    assert properties["boolean"] == {"type": "boolean"}
    assert properties["object"] == {"type": "object", "additionalProperties": True}
    assert (properties["list"]["type"], properties["list"]["maxItems"]) == ("array", 2)
    images = properties["images"]
    assert (images["type"], images["minItems"], images["maxItems"]) == ("array", 1, 2)
    for value in FILES:
        assert re.search(images["items"]["pattern"], value)
    assert not re.search(images["items"]["pattern"], "data:image/png;base64,AAAA")


def test_json_schema_shows_defaults_and_file_limits():
    properties = get_model(I2V).params_schema["properties"]
    assert properties["duration"] == {"type": "string", "enum": ["10", "15"], "default": "10"}
    assert properties["storyboard"] == {"type": "boolean", "default": False}
    assert properties["imageUrl"]["description"] == "JPG, PNG, ≤ 50 MB"
    image = get_model(I2V).parameters_by_name["imageUrl"]
    assert (image.formats, image.max_bytes) == (("JPG", "PNG"), 50 * 1024 * 1024)


# --- Looking up -----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_get_model_by_endpoint_and_provider():
    model = get_model(T2I)
    assert model is get_model(T2I, "runninghub") is get_model(f"runninghub:{T2I}")
    assert model.parameter("duration") is None
    for name, provider in (("rhart-image-v9/edit", ""), (T2I, "nobody"), (f"nobody:{T2I}", "")):
        with pytest.raises(UnknownModel, match="is not in the catalogue"):
            get_model(name, provider)


def test_models_are_listed_by_task_type():
    for task_type in offered_task_types():
        models = all_models(task_type)
        assert {model.task_type for model in models} == {task_type}
        assert models == all_models(task_type.value)


def test_default_models(settings):
    settings.DEFAULT_MODELS = {}
    defaults = {"text_to_image": T2I, "image_to_image": EDIT, "text_to_video": LITE, "image_to_video": LITE_IMAGE}
    for task_type, endpoint in defaults.items():
        assert default_model(task_type) is default_model(TaskType(task_type)) is get_model(endpoint)
    for name in (GROK, f"runninghub:{GROK}"):
        settings.DEFAULT_MODELS = {"text_to_video": name}
        assert default_model("text_to_video").endpoint == default_model(TaskType.TEXT_TO_VIDEO).endpoint == GROK
        assert default_model("text_to_image").endpoint == T2I
    for name in ("no/such-model", T2I, f"nobody:{GROK}"):
        settings.DEFAULT_MODELS = {"text_to_video": name}
        with pytest.raises(UnknownModel, match=name):
            default_model("text_to_video")


# --- Free form ------------------------------------------------------------------------------------


def test_free_form_model_passes_everything_and_knows_no_price():
    model = free_form_model("kling-v3.0-pro/text-to-video", "text_to_video")
    params = {"prompt": "", "cfg": 0.5, "52##text": {"deep": [1, None]}}
    assert model.clean(params) == params
    assert model.price(params) is None
    assert (model.provider, model.deadline_seconds, model.is_free_form) == ("runninghub", 3600, True)
    assert model.params_schema["additionalProperties"] is True
    fields = {"text_to_image": "prompt", "image_to_image": "imageUrls", "image_to_video": "imageUrl"}
    for task_type, batch_field in fields.items():
        assert free_form_model("a/b", task_type).batch_field == batch_field


def test_free_form_model_of_another_provider_is_neutral():
    model = free_form_model("acme:a/b", "image_to_image")
    assert (model.provider, model.endpoint, model.currency, model.reserved) == ("acme", "a/b", "", ())
    assert model.batch_field == "prompt"


def test_endpoints_that_could_lead_elsewhere_are_refused():
    for endpoint in ("single", "a/b", "a.b/c-d/e_f", "v3.1..x/y"):
        assert free_form_model(endpoint, "text_to_image").name == endpoint
    for endpoint in ("", "/a", "a/", "a//b", "a b", "a/../b", "..", "a/.", "a?b=c", "a\n", "模型/x"):
        with pytest.raises(UnknownModel):
            free_form_model(endpoint, "text_to_image")


# --- Reading the files ----------------------------------------------------------------------------

PRICE = 'price = { by = ["size"], rows = [["s", "0.1"], ["m", "0.2"]] }'
BLOCK = """
[[model]]
endpoint = "acme/{task_type}"
name = "A model"
task_type = "{task_type}"
is_default = true
batch_field = "prompt"
price = {{ by = ["size"], rows = [["s", "0.1"], ["m", "0.2"]] }}
  [model.parameters]
  prompt = {{ type = "text", is_required = true, max_length = 10 }}
  size = {{ type = "choice", is_required = true, default = "s", choices = "sizes" }}
"""
HEADER = 'provider = "acme"\ncurrency = "USD"\nmax_attempts = 3\n\n[deadlines]\nvideo = 60\n\n'
CHOICES = '[choices]\nsizes = ["s", "m"]\n'
FILE = HEADER + CHOICES + "".join(BLOCK.format(task_type=task_type) for task_type in TaskType.values)


def read(tmp_path: Path, text: str, name: str = "acme.toml", **others: str) -> Catalogue:
    for file, content in {name: text, **{f"{stem}.toml": text for stem, text in others.items()}}.items():
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return load(tmp_path)


def test_a_file_is_read_in_its_own_order(tmp_path):
    models = read(tmp_path, FILE).models
    assert list(models) == [("acme", f"acme/{task_type}") for task_type in TaskType.values]
    video = models["acme", "acme/text_to_video"]
    assert (video.name, video.task_type, video.currency) == ("A model", TaskType.TEXT_TO_VIDEO, "USD")
    assert (video.deadline_seconds, video.max_attempts) == (60, 3)
    assert models["acme", "acme/text_to_image"].deadline_seconds == 3600
    assert video.parameters_by_name["size"].choices == ("s", "m")
    assert video.price({"size": "m"}) == Decimal("0.2")


def test_a_folder_is_one_provider(tmp_path):
    block = BLOCK.format(task_type="text_to_image")
    loaded = read(tmp_path, HEADER, name="acme/provider.toml", **{"acme/image": CHOICES + block})
    [model] = loaded.models.values()
    assert (model.provider, model.currency, model.max_attempts) == ("acme", "USD", 3)


def test_a_model_may_have_its_own_limits_and_no_price(tmp_path):
    text = FILE.replace(PRICE, 'deadline_seconds = 90\nmax_attempts = 1\ncurrency = "EUR"')
    model = read(tmp_path, text).models["acme", "acme/text_to_video"]
    assert (model.deadline_seconds, model.max_attempts, model.currency) == (90, 1, "EUR")
    assert model.price({}) is None


def test_the_block_in_the_documentation_is_valid(tmp_path):
    guide = (DIRECTORY.parents[1] / "docs" / "models.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    model = read(tmp_path, FILE + block).models["acme", "acme/text-to-video"]
    assert model.price({"duration": "8"}) == Decimal("2.52")


@pytest.mark.parametrize(
    "old, new, problem",
    [
        ('name = "A model"', 'title = "A model"', "title: Extra inputs are not permitted"),
        ('name = "A model"', "", "name: Field required"),
        ("name = ", 'successor = "acme/gone"\nname = ', "successor 'acme/gone' is no text_to_image model"),
        ('name = "A model"', "name = 5", "name: Input should be a valid string"),
        ('task_type = "text_to_image"', 'task_type = "text_to_song"', "task_type: Input should be 'text_to_image'"),
        ('batch_field = "prompt"', 'batch_field = "text"', "batch_field 'text' is not one of its parameters"),
        ("max_length = 10", "max_len = 10", "parameters.prompt.max_len: Extra inputs are not permitted"),
        ("max_length = 10", 'max_length = "10"', "parameters.prompt.max_length: Input should be a valid integer"),
        ("max_length = 10", "max_length = true", "parameters.prompt.max_length: Input should be a valid integer"),
        ("max_length = 10", 'choices = ["a"]', "choices does not apply to type text"),
        ('type = "text"', 'type = "string"', "parameters.prompt.type: Input should be 'text'"),
        ('type = "text", ', "", "parameters.prompt.type: Field required"),
        ('prompt = { type = "text", is_required = true, max_length = 10 }', "prompt = 5", "parameters.prompt: Input"),
        ('default = "s"', 'default = "xl"', "default 'xl' is not allowed"),
        ('default = "s"', 'default = ""', "default '' is not allowed"),
        ('choices = "sizes"', 'choices = ["1", "2"]', "default 's' is not allowed"),
        ('default = "s", choices = "sizes"', 'default = 1, choices = ["1"]', "should be written '1'"),
        ('choices = "sizes"', 'choices = "colours"', "no list of choices is named 'colours'"),
        ('choices = "sizes"', 'choices = ["s", 2]', "parameters.size.choices.1: Input should be a valid string"),
        ('choices = "sizes"', 'choices = ["s", "s"]', "choices must be different strings"),
        ('choices = "sizes"', "choices = []", "a choice needs choices"),
        (PRICE, "price = { }", "either amount, or by and rows"),
        (PRICE, 'price = { by = ["size"], amount = "1" }', "either amount, or by and rows"),
        (PRICE, 'price = { amount = "1", each = "call" }', "price.each: Extra inputs are not permitted"),
        (PRICE, "price = { amount = 0.1 }", "price.amount: Input should be a valid string"),
        (PRICE, 'price = { amount = "free" }', "'free' is not a number"),
        (PRICE, 'price = { amount = "-1" }', "'-1' is not an amount"),
        (PRICE, 'price = { amount = "NaN" }', "'NaN' is not an amount"),
        (PRICE, 'price = { amount = "1", unit = "minute" }', "price.unit: Input should be 'call' or 'second'"),
        (PRICE, 'price = { amount = "1", unit = "second" }', "needs a parameter named duration"),
        ('by = ["size"]', 'by = ["weight"]', "goes by 'weight'"),
        ('["m", "0.2"]', '["l", "0.2"]', "a row for size = 'l'"),
        ('["m", "0.2"]', '["s", "0.2"]', "two rows have the same values"),
        ('["m", "0.2"]', '["0.2"]', "a value for each of size, then the amount"),
        ('["m", "0.2"]', '["m", 0.2]', "price.rows.1.1: Input should be a valid string"),
    ],
)
def test_a_mistake_in_a_model_names_file_endpoint_and_place(old, new, problem, tmp_path):
    assert old in FILE
    with pytest.raises(CatalogError) as caught:
        read(tmp_path, FILE.replace(old, new, 1))
    assert str(caught.value).startswith("acme.toml: acme/text_to_image: ")
    assert problem in str(caught.value)


def test_a_mistake_in_a_file_names_the_file(tmp_path):
    block = BLOCK.format(task_type="text_to_image")
    for text, problem in (
        (FILE.replace('provider = "acme"', ""), "acme.toml: provider: Field required"),
        (f'colour = "red"\n{FILE}', "acme.toml: colour: Extra inputs are not permitted"),
        (FILE.replace('provider = "acme"', "provider = "), "acme.toml: Invalid value"),
        (FILE + block, "acme.toml: acme/text_to_image: this endpoint is listed twice"),
        (FILE + block.replace("acme/", "other/"), "text_to_image has more than one model with is_default"),
    ):
        with pytest.raises(CatalogError, match=problem):
            read(tmp_path, text)


def test_two_providers_may_have_the_same_endpoint(tmp_path, monkeypatch):
    block = BLOCK.format(task_type="text_to_image")
    other = FILE.replace('"acme"', '"zeta"').replace("is_default = true", "")
    loaded = read(tmp_path, HEADER + CHOICES + block, zeta=other)
    monkeypatch.setattr("providers.catalog.lookup.catalogue", lambda: loaded)
    assert get_model("acme/text_to_image", "zeta").provider == "zeta"
    assert get_model("acme:acme/text_to_image").provider == "acme"
    assert get_model("acme/text_to_video").provider == "zeta"
    with pytest.raises(
        UnknownModel, match=r"several providers\. Choose one of: acme:acme/text_to_image, zeta:acme/text"
    ):
        get_model("acme/text_to_image")


def test_the_shipped_files_are_all_loaded():
    texts = [path.read_text(encoding="utf-8") for path in DIRECTORY.rglob("*.toml")]
    assert sum(text.count("\n[[model]]") for text in texts) == len(catalogue().models) >= 60
    assert isinstance(next(iter(all_models())).parameters[0], Parameter)
