"""Find the encoding of a text file and decode it.

A byte order mark decides, then UTF-8, then UTF-16 by its zero bytes. Everything else is a guess
among the encodings that spreadsheets and editors of East Asia and Western Europe save without
saying so. Each candidate decodes the file, and the share of characters that people really write in
that language is its score: Big5 read as GB18030 gives characters, but hardly any common ones. A
text that is plausible in none is refused. Libraries that guess from bytes alone
(charset-normalizer) take short Chinese texts for Korean or Big5, so they are of no use here.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass
from itertools import pairwise

MARKS = (
    (codecs.BOM_UTF8, "utf-8", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
NAMES = {
    "gb18030": "GB18030",
    "big5hkscs": "Big5",
    "cp932": "Shift-JIS",
    "euc_jp": "EUC-JP",
    "cp949": "EUC-KR",
    "cp1252": "Windows-1252",
}
SAMPLED_CHARACTERS = 5000
PLAUSIBLE = 0.75  # the least score of a guess
PLAUSIBLE_WESTERN = 0.9  # of Windows-1252, which gives letters for almost any bytes
LEAD = 0.1  # by which another encoding must beat GB18030, the usual one here

# The commonest characters of each script, about half of any text.
_SIMPLIFIED = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去"
    "法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点"
    "正业外将两高间由问很最重并物手应向头文体美相见利二等新己果加西斯月话合回特代内信表化老给世位次度门先海通教儿原东声立及比员解水名"
    "真走入几口条平系气题活更别打女变四神总何电数安少报才反受目再感建务做接必场件计管期市直山金指克统区至形空决治展马科五基眼书非则听"
    "白界达光放强像难权思王象完设式色路记南品住告类求据北边死张交万取拉格望传师观清今切让识带争运红绿蓝黑灰黄紫橙粉猫狗狐狸雪花树夜雨"
    "云城霓虹彩油画风景背照片海图插男孩影细节编号提示词比例穿站坐飞鸟鱼草木林森江河湖岛春夏秋冬阳星球车房屋窗桌杯茶饭衣裙帽"
)
_TRADITIONAL = frozenset(
    "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作里用道行所然家種事成方多經麼去"
    "法學如都同現當沒動面起看定天分還進好小部其些主樣理心她本前開但因只從想實日軍者意無力它與長把機十民第公此已工使情明性知全三又關點"
    "正業外將兩高間由問很最重並物手應向頭文體美相見利二等新己果加西斯月話合回特代內信表化老給世位次度門先海通教兒原東聲立及比員解水名"
    "真走入幾口條平系氣題活更別打女變四神總何電數安少報才反受目再感建務做接必場件計管期市直山金指克統區至形空決治展馬科五基眼書非則聽"
    "白界達光放強像難權思王象完設式色路記南品住告類求據北邊死張交萬取拉格望傳師觀清今切讓識帶爭運紅綠藍黑灰黃紫橙粉貓狗狐狸雪花樹夜雨"
    "雲城霓虹彩油畫風景背照片海圖插男孩影細節編號提示詞比例穿站坐飛鳥魚草木林森江河湖島春夏秋冬陽星球車房屋窗桌杯茶飯衣裙帽裡隻"
)
_HANGUL = frozenset(
    "이다의는에을가고하은로를한지도서사기나리인어자라시해수정대보전일있스그아부게제만들주장비구상동오조성것모선유었우원무으여신마치과경위"
    "계년공소세국연와화중안관물생각문방영분색림빛밤꽃눈바람양트드크미레러타히되않았면며까더내애큰작은붉푸른흰검노란초록속위옆앞뒤집길산강"
)
# UTF-8 that was read as Windows-1252 or Latin-1: "fÃ¼r" for "für", "â€™" for "’". A first byte, as
# many further ones as it announces, and one of them that stands in no word nor behind one.
_SECOND = r"\x80-\x9f¡-ª¬-º¼-¿€ƒ†‡ˆ‰Š‹ŒŽ˜™š›œžŸ\xad"
_QUOTES = r"\xa0«»‚„…‘’“”•–—"
_GARBLED = re.compile(rf"\ufffd|[Â-ß][{_SECOND}]|[à-ï](?:[{_SECOND}][{_SECOND}{_QUOTES}]|[{_QUOTES}][{_SECOND}])|ðŸ")
_FOREIGN = re.compile(r"[^\x00-\x7f]{4,}")


class EncodingUnknown(ValueError):
    """The bytes are not text in any encoding that is known here.

    ``line`` is the line of the first damaged character of a UTF-8 file, else 0.
    """

    def __init__(self, line: int = 0) -> None:
        super().__init__("The encoding was not recognised.")
        self.line = line


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text, the name of its encoding, and True if the encoding is a guess worth a look."""

    text: str
    encoding: str
    is_guess: bool = False


def decode(content: bytes) -> Decoded:
    """Return the text of a file. Raises EncodingUnknown."""
    for mark, codec, name in MARKS:
        if content.startswith(mark):
            try:
                return _text(content.decode(codec), name)
            except UnicodeDecodeError:
                raise EncodingUnknown from None
    try:
        return _text(content.decode(), "UTF-8")
    except (UnicodeDecodeError, EncodingUnknown):
        pass
    if b"\0" in content:
        return _utf_16(content)
    scores = {codec: score for codec in NAMES if (score := _score(content, codec)) >= PLAUSIBLE}
    if "gb18030" in scores:
        scores["gb18030"] += LEAD
    if damaged := _damaged_line(content):
        raise EncodingUnknown(damaged)
    if not scores:
        raise EncodingUnknown
    codec = max(scores, key=lambda name: scores[name])
    return Decoded(_text(content.decode(codec), codec).text, NAMES[codec], is_guess=codec != "gb18030")


def is_garbled(text: str) -> bool:
    """Return True if a text looks as if it was decoded wrongly before it was saved.

    That is UTF-8 read as Windows-1252 ("fÃ¼r") or as GBK ("鐙愮嫺"), and characters that a program
    has replaced (U+FFFD).
    """
    if text.isascii():
        return False
    start = text[:SAMPLED_CHARACTERS]
    if _GARBLED.search(start):
        return True
    for run in _FOREIGN.findall(start):
        content = run.encode("gbk", "ignore")
        restored = [character for character in content.decode("utf-8", "ignore") if character > "\u2e80"]
        if len(restored) > 1 and 3 * len(restored) >= PLAUSIBLE * len(content):  # bytes of each in UTF-8
            return True
    return False


def _text(text: str, name: str) -> Decoded:
    """Return a decoded text without byte order marks at its start. Raises EncodingUnknown."""
    if "\0" in text:
        raise EncodingUnknown
    return Decoded(text.lstrip("\ufeff").rstrip("\x1a"), name)


def _utf_16(content: bytes) -> Decoded:
    """Return the text of UTF-16 without a mark: its line ends and ASCII hold zero bytes."""
    readings: list[tuple[int, str, str]] = []
    for codec, name in (("utf-16-le", "UTF-16 LE"), ("utf-16-be", "UTF-16 BE")):
        try:
            text = content.decode(codec)
        except UnicodeDecodeError:
            continue
        odd = sum(1 for character in text if unicodedata.category(character) in ("Cn", "Co", "Cc"))
        odd -= sum(map(text.count, "\r\n\t"))
        rare = sum(1 for character in text if "\u0800" <= character < "\u2000" or "\ua000" <= character < "\uff00")
        has_ascii = any("\t" <= character <= "~" for character in text)
        if has_ascii and odd <= len(text) // 50:
            readings.append((odd + rare, text, name))
    if not readings:
        raise EncodingUnknown
    _odd, text, name = min(readings)
    return _text(text, name)


def _damaged_line(content: bytes) -> int:
    """Return the line of the first damaged character of a text that is UTF-8 otherwise, else 0."""
    text = content.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    sound = sum(1 for character in text if character > "\x7f") - damaged
    return text[: text.index("\ufffd")].count("\n") + 1 if sound > 3 * damaged else 0


def _score(content: bytes, codec: str) -> float:
    """Return the plausibility of an encoding: 0 is impossible, 1 common, above 1 very common."""
    try:
        text = content.decode(codec)
    except UnicodeDecodeError:
        return 0
    if any(unicodedata.category(character) in ("Cc", "Cn") for character in set(text) - set("\r\n\t\x1a\f\v")):
        return 0
    foreign = [character for character in text if character > "\x7f"][:SAMPLED_CHARACTERS]
    if codec == "cp1252":
        return _western_score(text, foreign)
    points = 0.0
    kana = 0
    for character in foreign:
        encoded = character.encode(codec)
        lead, trail = encoded[0], encoded[-1]
        if "぀" <= character <= "ヿ":
            kana += 1
        match codec:
            case "gb18030" if len(encoded) == 4:
                points += 0.9 if character > "\uffff" else 0  # an emoji
            case "gb18030" if trail >= 0xA1:
                points += max(_weight(lead, 0xB0, 0xD7), 0.5) + 0.3 * (character in _SIMPLIFIED)
            case "big5hkscs":
                points += _weight(lead, 0xA4, 0xC6) + 0.3 * (character in _TRADITIONAL)
            case "cp932" if len(encoded) == 2:
                points += _weight(lead, 0x88, 0x97, punctuation=(0x81, 0x83)) + 0.3 * ("぀" <= character <= "ヿ")
            case "euc_jp" if len(encoded) == 2 and lead >= 0xA1:
                points += _weight(lead, 0xB0, 0xCF, punctuation=(0xA1, 0xA5)) + 0.3 * ("぀" <= character <= "ヿ")
            case "cp949" if "가" <= character <= "힣":
                points += (1 if trail >= 0xA1 and lead >= 0xB0 else 0.3) + 0.3 * (character in _HANGUL)
            case "cp949" if lead in (0xA1, 0xA2, 0xA3) and trail >= 0xA1:
                points += 0.8
    score = points / len(foreign) if foreign else 0
    has_many_kana = kana > len(foreign) / 5
    if codec in ("cp932", "euc_jp"):  # hardly a Japanese sentence has no kana
        return score if has_many_kana else score * 0.85
    return score * 0.5 if has_many_kana else score


def _weight(lead: int, first: int, last: int, punctuation: tuple[int, int] = (0xA1, 0xA3)) -> float:
    """Return the weight of a character by its first byte: level 1 is common, level 2 is not."""
    if first <= lead <= last:
        return 1
    if punctuation[0] <= lead <= punctuation[1]:
        return 0.9
    return 0.3


def _western_score(text: str, foreign: list[str]) -> float:
    """Return the plausibility of Windows-1252: accented letters inside words of ASCII letters."""
    if len(foreign) > 0.4 * sum(1 for character in text if character.isalpha()):
        return 0
    fits = run = 0
    for before, character in pairwise(f" {text}"):
        run = run + 1 if character > "\x7f" and character.isalpha() else 0
        if run > 2:  # Cyrillic, Greek or Hebrew of another code page
            return 0
        if character <= "\x7f":
            continue
        if character in "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüÿŒœŸ":
            is_inside = before.isalpha() and before.islower()
            fits += not (is_inside and character.isupper()) and (before <= "\x7f" or before in "éèêëàâäöüßæœ")
        else:
            fits += character in "‘’‚“”„–—…€•°«»¿¡©®™£§´\xa0"
    score = fits / len(foreign) if foreign else 0
    return score if score >= PLAUSIBLE_WESTERN else 0
