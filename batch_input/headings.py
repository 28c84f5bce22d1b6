"""Words that people write above the columns of prompts, to find the sheet and the row of names.

This only tells names from contents. ``columns`` decides which parameter a column fills.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from functools import lru_cache

LONGEST_NAME = 24

DIGITS = "0123456789０１２３４５６７８９"
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_USUAL = """
    prompt prompts text description caption negative negativeprompt image images imageurl imageurls picture photo file
    filename url firstframeurl lastframeurl videourl audiourl aspectratio ratio aspect duration seconds length
    resolution size width height seed style quality model customid id name number no sku title
    提示词 提示語 提示詞 描述 文案 文本 内容 內容 画面 反向提示词 负面提示词 图片 圖片 图像 参考图 原图 首帧 尾帧 链接 比例
    宽高比 画幅 尺寸 时长 秒数 清晰度 分辨率 种子 风格 编号 編號 序号 名称 标题
"""
_SURE = "prompt prompts negativeprompt aspectratio imageurl imageurls customid 提示词 提示詞"
_USUAL_WORDS = frozenset(_USUAL.split())
_SURE_WORDS = frozenset(_SURE.split())


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
