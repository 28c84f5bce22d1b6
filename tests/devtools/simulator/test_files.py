"""Results are real files of the shape that was asked for."""

import io

import av
import pytest
from PIL import Image

from devtools.simulators.runninghub.process import SimulatorProcess
from tests.devtools.simulator.caller import EDIT, VIDEO, Caller


def link_of(answer: dict[str, list[dict[str, str]]]) -> str:
    return answer["results"][0]["url"]


@pytest.mark.parametrize(
    ("ratio", "size"),
    [("1:1", (768, 768)), ("16:9", (768, 432)), ("3:4", (576, 768)), ("auto", (768, 768)), ("1024x1536", (512, 768))],
)
def test_a_picture_is_a_png_of_the_asked_shape(caller: Caller, ratio: str, size: tuple[int, int]) -> None:
    answer = caller.get(link_of(caller.finish(aspectRatio=ratio)))
    assert answer.headers["content-type"] == "image/png"
    assert int(answer.headers["content-length"]) == len(answer.content)
    with Image.open(io.BytesIO(answer.content)) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("PNG", size)


@pytest.mark.parametrize(
    "prompt", ["红色茶壶，放在亚麻布上", "🫖" * 50, "\ud800 lone", "\x00\x07\u202e", "", "word " * 3000]
)
def test_any_prompt_can_be_drawn(caller: Caller, simulator: SimulatorProcess, prompt: str) -> None:
    simulator.set(strict=False)
    with Image.open(io.BytesIO(caller.get(link_of(caller.finish(prompt))).content)) as picture:
        picture.load()
    assert len(simulator.submits()) == len(simulator.paid()["prompts"]) == 1


def test_pictures_differ_only_between_tasks(caller: Caller) -> None:
    links = [link_of(caller.finish()) for _ in range(2)]
    first, again, other = (caller.get(link).content for link in (links[0], links[0], links[1]))
    assert first == again != other


def test_input_images_show_on_the_picture(caller: Caller) -> None:
    urls = ["http://127.0.0.1/a.png"] * 3
    content = caller.get(link_of(caller.finish("edit", EDIT, imageUrls=urls))).content
    with Image.open(io.BytesIO(content)) as picture:
        whites = [picture.getpixel((48 * place + 48 + place * 48 + 6, 60)) for place in range(3)]
    assert set(whites) == {(255, 255, 255)}


@pytest.mark.parametrize(("ratio", "size"), [("16:9", (512, 288)), ("9:16", (288, 512)), ("1:1", (512, 512))])
def test_a_clip_is_small_h264_of_the_asked_shape_and_moves(caller: Caller, ratio: str, size: tuple[int, int]) -> None:
    answer = caller.get(link_of(caller.finish("waves", VIDEO, aspectRatio=ratio)))
    assert answer.headers["content-type"] == "video/mp4"
    assert len(answer.content) < 100_000
    assert answer.content.find(b"moov") < answer.content.find(b"mdat")
    with av.open(io.BytesIO(answer.content), "r") as clip:
        stream = clip.streams.video[0]
        frames = [bytes(frame.reformat(format="rgb24").planes[0]) for frame in clip.decode(stream)]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == size
        assert clip.duration == pytest.approx(1_000_000, rel=0.1)
    assert frames[0] != frames[-1]


def test_a_clip_can_be_longer(caller: Caller, simulator: SimulatorProcess) -> None:
    simulator.set(clip_seconds=2)
    content = caller.get(link_of(caller.finish("waves", VIDEO))).content
    with av.open(io.BytesIO(content), "r") as clip:
        assert clip.duration == pytest.approx(2_000_000, rel=0.1)


@pytest.mark.parametrize(
    ("asked", "part"),
    [("bytes=0-9", slice(0, 10)), ("bytes=10-", slice(10, None)), ("bytes=-5", slice(-5, None))],
)
def test_range_is_served(caller: Caller, asked: str, part: slice) -> None:
    link = link_of(caller.finish())
    whole = caller.get(link).content
    answer = caller.get(link, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, whole[part])
    assert answer.headers["content-range"].endswith(f"/{len(whole)}")


def test_a_part_behind_the_end_is_416(caller: Caller) -> None:
    assert caller.get(link_of(caller.finish()), headers={"Range": "bytes=9999999-"}).status_code == 416


def test_there_is_no_file_before_its_task_succeeded(caller: Caller) -> None:
    task_id = caller.submit("[[sim:never]]")["taskId"]
    assert caller.get(f"/files/results/{task_id}/0.png").status_code == 404
    assert caller.get("/files/etc/passwd").status_code == 404


def test_a_text_endpoint_answers_with_text(caller: Caller) -> None:
    [result] = caller.finish(endpoint="rhart-video-s/sora-upload-character")["results"]
    assert (result["outputType"], result["url"]) == ("txt", None)
    assert "simulated text" in result["text"]
