"""Charset: the bytes of a page or text to characters, as browsers decode them (encoding.spec.whatwg.org).

Where a label and the bytes contradict each other, the bytes are believed, which browsers do not do.
"""

import codecs
import re

from miniature_memory.responses.detector import MUCH_LESS_LIKELY, detect, sample_of, score

MOST_TAGS = 20_000  # guess: a <meta> behind more tags than this is not looked for
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
         (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))  # UTF-32's begins with UTF-16's


def decode_html(data: bytes, charset: str = "") -> str:
    """The text of a page; never raises. `charset` is the label in the HTTP header, "" for none."""
    return decode_page(data, charset)[0]


def decode_page(data: bytes, charset: str = "") -> tuple[str, str]:
    """(the text of a page, Python's name of its encoding).

    1. A BOM decides, or every second byte being zero.
    2. Bytes that are UTF-8 are UTF-8, whatever a label says: text in another encoding is so by no accident.
    3. UTF-8 with a few bad bytes, each of which costs a character.
    4. The first label that the bytes bear out: the HTTP header's, <meta>, the XML declaration.
    5. The likeliest encoding by its letters (detector.py).
    """
    return _without_labels(data) or _by_labels(data, [codec for codec in (
        codec_of(charset), _meta_codec(data), _xml_codec(data)) if codec])


def decode_text(data: bytes, charset: str = "") -> str:
    """The text of what is no page and has no labels within, in the same way; never raises."""
    label = codec_of(charset)
    return (_without_labels(data) or _by_labels(data, [label] if label else []))[0]


def _without_labels(data: bytes) -> tuple[str, str] | None:
    for bom, codec in _BOMS:
        if data.startswith(bom):
            return data[len(bom):].decode(codec, errors="replace"), codec
    zeros = [data[start:4000:2].count(0) for start in (0, 1)]
    if max(zeros) > 20 * min(zeros) and max(zeros) * 20 > min(len(data), 4000) // 2:
        codec = "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
        return data.decode(codec, errors="replace"), codec
    if b"\x1b$" in data and data.isascii():
        return None  # ISO-2022-JP, which is written in ASCII's bytes
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return None


def _by_labels(data: bytes, labels: list[str]) -> tuple[str, str]:
    if data.isascii():
        return data.decode("iso2022_jp", errors="replace"), "iso2022_jp"
    text = data.decode("utf-8", errors="replace")
    bad, good = _bad_and_good(text)
    bad -= data.count(b"\xef\xbf\xbd")
    if good >= (bad if not labels or "utf-8" in labels else 2 * bad):  # in other encodings, next to nothing is good
        return text, "utf-8"
    sample = sample_of(data)
    detected, likely = detect(sample)
    for codec in labels:
        text = _decode(data, codec)
        bad, good = _bad_and_good(text)
        if codec != "utf-8" and good >= 3 * bad and likely - score(sample, codec) < MUCH_LESS_LIKELY:
            return text, codec
    return _decode(data, detected), detected


def _bad_and_good(text: str) -> tuple[int, int]:
    """Number of characters beyond ASCII that could not be decoded, and that could."""
    bad = text.count("\ufffd")
    return bad, len(text) - len(text.encode("ascii", "ignore")) - bad


_WINDOWS_1252 = {code: bytes([code]).decode("cp1252", "ignore") or chr(code) for code in range(128, 160)}


def _decode(data: bytes, codec: str) -> str:
    if codec == "cp1252":  # Python's leaves five bytes undefined, which are control characters in browsers
        return data.decode("latin-1").translate(_WINDOWS_1252)
    return data.decode(codec, errors="replace")


# --- labels --------------------------------------------------------------------------------------


def codec_of(label: str) -> str:
    """Python's codec for a label as browsers know it; "" for one that they do not know."""
    return LABELS.get(label.strip("\t\n\f\r '\"").lower(), "")


def _meta_codec(data: bytes) -> str:
    """The encoding that a <meta> declares: the WHATWG's prescan, but of the whole page, and not within scripts."""
    at = 0
    for _ in range(MOST_TAGS):
        begin = _BEGIN.search(data, at)
        if begin is None:
            return ""
        kind, at = begin[0].lower(), begin.end()
        if kind in _TO_THE_END_OF:
            end = data.find(_TO_THE_END_OF[kind], at - 2)
            if end < 0:
                return ""
            at = end
            continue
        attributes, at = _attributes(data, at)
        if kind == b"<meta" and (found := _declared_by(attributes)):
            return found
        if kind in _RAW_TEXT:
            closed = _RAW_TEXT[kind].search(data, at)
            at = closed.start() if closed else len(data)
    return ""


_TO_THE_END_OF = {b"<!--": b"-->", b"<!": b">", b"<?": b">", b"</": b">"}
_RAW_TEXT = {b"<" + tag: re.compile(b"</" + tag, re.IGNORECASE)
             for tag in (b"script", b"style", b"title", b"textarea", b"xmp", b"noscript")}
_BEGIN = re.compile(rb"<(?:!--|[!?]|/(?![a-zA-Z])|/?[a-zA-Z][^\s/>]*)")
_ATTRIBUTE = re.compile(rb"[\s/]*+([^\s/>][^\s/>=]*+)\s*+(?:=\s*+(\"[^\"]*+\"?|'[^']*+'?|[^\s>]*+))?")


def _attributes(data: bytes, at: int) -> tuple[dict[bytes, bytes], int]:
    """(the attributes of the tag whose name ends at `at`, where the tag ends). The first of a name counts."""
    found: dict[bytes, bytes] = {}
    while attribute := _ATTRIBUTE.match(data, at):
        found.setdefault(attribute[1].lower(), (attribute[2] or b"").strip(b"\"'"))
        at = attribute.end()
    return found, at


def _declared_by(attributes: dict[bytes, bytes]) -> str:
    label = attributes.get(b"charset")
    if label is None and attributes.get(b"http-equiv", b"").lower() == b"content-type":
        found = re.search(rb"charset\s*+=\s*+(?:\"([^\"]*)\"|'([^']*)'|([^\s;\"']*))", attributes.get(b"content", b""), re.I)
        label = found[found.lastindex or 0] if found else None
    return _declared(label or b"")


def _xml_codec(data: bytes) -> str:
    found = re.match(rb"\s*+<\?xml\s[^>]{0,500}?encoding\s*+=\s*+[\"']([^\"'>]*)", data[:2000])
    return _declared(found[1]) if found else ""


def _declared(label: bytes) -> str:
    """The codec of a label within a page: that it was found as ASCII proves that the page is not in UTF-16."""
    codec = codec_of(label.decode("ascii", "replace"))
    return "utf-8" if codec.startswith("utf-16") else codec


def _labels() -> dict[str, str]:
    """Label to Python's codec, after the WHATWG's table of names and labels (encoding.spec.whatwg.org, 4.2)."""
    out = {label: codec for codec, labels in _NAMES.items() for label in labels.split()}
    for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16):
        for label in (f"iso-8859-{part}", f"iso8859-{part}", f"iso8859{part}", f"iso_8859-{part}"):
            out.setdefault(label, f"iso8859-{part}")
    for page in range(1250, 1259):
        for prefix in ("windows-", "cp", "x-cp"):
            out.setdefault(f"{prefix}{page}", f"cp{page}")
    return out


_NAMES = {
    "utf-8": "utf-8 utf8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8",
    "utf-16-le": "utf-16 utf-16le csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff", "utf-16-be": "utf-16be unicodefffe",
    "cp1252": "ansi_x3.4-1968 ascii cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 iso_8859-1 "
              "iso_8859-1:1987 l1 latin1 us-ascii x-user-defined",
    "iso8859-2": "csisolatin2 iso-ir-101 iso_8859-2:1987 l2 latin2",
    "iso8859-3": "csisolatin3 iso-ir-109 iso_8859-3:1988 l3 latin3",
    "iso8859-4": "csisolatin4 iso-ir-110 iso_8859-4:1988 l4 latin4",
    "iso8859-5": "csisolatincyrillic cyrillic iso-ir-144 iso_8859-5:1988",
    "iso8859-6": "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6-e iso-8859-6-i iso-ir-127 "
                 "iso_8859-6:1987",
    "iso8859-7": "csisolatingreek ecma-118 elot_928 greek greek8 iso-ir-126 iso_8859-7:1987 sun_eu_greek",
    "iso8859-8": "csiso88598e csiso88598i csisolatinhebrew hebrew iso-8859-8-e iso-8859-8-i iso-ir-138 iso_8859-8:1988 "
                 "logical visual",
    "iso8859-10": "csisolatin6 iso-ir-157 l6 latin6", "iso8859-15": "csisolatin9 l9",
    "cp1254": "csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5",
    "cp866": "866 cp866 csibm866 ibm866", "cp874": "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874",
    "koi8-r": "cskoi8r koi koi8 koi8-r koi8_r", "koi8-u": "koi8-ru koi8-u",
    "mac-roman": "csmacintosh mac macintosh x-mac-roman", "mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "gb18030": "chinese csgb2312 csiso58gb231280 gb18030 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk",
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5", "euc_jp": "cseucpkdfmtjapanese euc-jp x-euc-jp",
    "iso2022_jp": "csiso2022jp iso-2022-jp",
    "cp932": "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis",
    "cp949": "cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 windows-949"}
LABELS = _labels()
