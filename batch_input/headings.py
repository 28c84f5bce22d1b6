"""Words that people write above the columns of prompts, to find the sheet and the row of names.

This only distinguishes names from contents. ``columns`` decides which parameter a column fills.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from functools import lru_cache

LONGEST_NAME = 24

CUSTOM_ID = "custom_id"
DIGITS = "0123456789０１２３４５６７８９"

# Words that people use for a column, by the purpose of the field or by its name, the clearest
# first. The words of LOCATIONS name an image only if the cells do.
SYNONYMS = {
    "prompt": (
        "prompts", "prompttext", "textprompt", "提示語", "提示詞", "提示语", "提示", "咒语", "关键词", "text",
        "description", "caption", "content", "question", "query", "input", "描述", "画面描述", "画面", "文案", "文本",
        "内容", "內容", "问题",
    ),
    "image": (
        "images", "imageurl", "imageurls", "imagefile", "imagepath", "picture", "pictures", "photo", "photos", "img",
        "图片", "圖片", "图像", "照片", "参考图", "参考图片", "原图", "垫图", "图片链接", "图片地址", "图片路径",
        "图片文件名",
    ),
    "negativePrompt": ("negative", "反向提示词", "负面提示词", "负向提示词"),
    "aspectRatio": ("ratio", "aspect", "ar", "比例", "宽高比", "画幅", "长宽比", "尺寸"),
    "duration": ("seconds", "length", "时长", "秒数"),
    "resolution": ("清晰度", "分辨率"),
    "seed": ("种子", "随机种子"),
    CUSTOM_ID: ("id", "sku", "编号", "編號", "序号", "序號", "number", "no", "name", "名称"),
}  # fmt: skip
LOCATIONS = (
    "url", "urls", "link", "file", "filename", "filepath", "path", "链接", "网址", "地址", "文件", "文件名", "路径",
)  # fmt: skip
# Names of other columns that such tables have.
_OTHERS = """
    提示词 firstframeurl lastframeurl videourl audiourl size width height style quality model title 首帧 尾帧 风格 标题
"""
_SURE = "prompt prompts negativeprompt aspectratio imageurl imageurls customid 提示词 提示詞"
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def compact(name: str) -> str:
    """Return a name in lower case without spaces, underscores and hyphens."""
    return re.sub(r"[\s_\-]", "", name).lower()


def split_words(name: str) -> list[str]:
    """Return the words of a name such as "image_url" or "imageUrl"."""
    return re.findall(r"[^\W_]+", _HUMP.sub(" ", name))


def known_headings(cells: Sequence[object]) -> int:
    """Return how many cells are usual column names."""
    return sum(1 for cell in cells if _plain(cell) in _USUAL_WORDS or _is_sure(str(cell)))


def is_header(cells: Sequence[object]) -> bool:
    """Return True if the cells are names of columns: a sure one, or two usual ones."""
    return any(_is_sure(str(cell)) for cell in cells) or known_headings(cells) > 1


def is_name(cell: str) -> bool:
    """Return True if a line is the name of a column of prompts and nothing else."""
    return _plain(cell) in _SURE_WORDS


_SURE_WORDS = frozenset(_SURE.split())
_USUAL_WORDS = frozenset(
    {compact(word) for purpose, words in SYNONYMS.items() for word in (purpose, *words)}
    | {*LOCATIONS, *_OTHERS.split()}
)


@lru_cache(maxsize=4096)
def _is_sure(cell: str) -> bool:
    """Return True for a name such as prompt, one like it, or one that begins with it."""
    if len(cell) > LONGEST_NAME:
        return False
    plain = _plain(cell)
    words = split_words(cell)
    starts_with_name = bool(words) and len(words) <= 2 and words[0].lower() in _SURE_WORDS and cell[-1] not in ".,!?"
    return plain in _SURE_WORDS or starts_with_name or bool(difflib.get_close_matches(plain, _SURE_WORDS, 1, 0.85))


def _plain(cell: object) -> str:
    return compact(str(cell)[: LONGEST_NAME * 2]).rstrip(DIGITS)
