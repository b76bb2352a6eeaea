"""Charset: the bytes of a page to text, as browsers decode them."""

import codecs
import contextlib
import re

WESTERN = {"ascii", "iso8859-1", "cp1252"}


def decode_html(data: bytes, charset: str = "") -> str:
    """Decode by the BOM, the HTTP header's `charset`, the page's <meta>, as UTF-8, or else as Windows-1252.

    A declared Western charset means Windows-1252, as in browsers, and is believed only if the bytes are not UTF-8.
    """
    for bom, encoding in ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"),
                          (codecs.BOM_UTF16_BE, "utf-16-be")):
        if data.startswith(bom):
            return data[len(bom):].decode(encoding, errors="replace")
    declared = re.search(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]+)", data[:4096], re.IGNORECASE)
    named = [_codec(charset), _codec(declared[1].decode("ascii")) if declared else ""]
    if named[1].startswith("utf-16"):
        named[1] = "utf-8"  # a <meta> that was found as ASCII proves it; browsers do the same
    tries = [name for name in named if name and name not in WESTERN] + ["utf-8"]
    for encoding in tries:
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode(encoding)
    for encoding in tries:
        text = data.decode(encoding, errors="replace")
        if text.count("\ufffd") * 11 < len(text) - len(text.encode("ascii", "ignore")):  # most of it was decoded
            return text
    return data.decode("windows-1252", errors="replace")


def _codec(label: str) -> str:
    """Python's codec for a label as browsers read it (encoding.spec.whatwg.org); '' for one that they do not know."""
    label = label.strip().lower()
    label = BROWSER_CODECS.get(label, label)
    try:
        name = codecs.lookup(label).name
    except (LookupError, ValueError):
        return ""
    name = BROWSER_CODECS.get(name, name)
    return name if WEB_CODEC.fullmatch(name) else ""


BROWSER_CODECS = {
    "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "shift_jis": "cp932", "x-sjis": "cp932",
    "windows-31j": "cp932", "euc_kr": "cp949", "windows-949": "cp949", "big5": "big5hkscs", "x-x-big5": "big5hkscs",
    "iso8859-9": "cp1254", "windows-874": "cp874", "dos-874": "cp874", "iso8859-11": "cp874", "tis-620": "cp874",
    "iso-8859-8-i": "iso8859-8", "unicode-1-1-utf-8": "utf-8", "x-cp1250": "cp1250", "x-cp1251": "cp1251",
    "x-cp1252": "cp1252", "x-mac-cyrillic": "mac-cyrillic", "x-euc-jp": "euc_jp", "utf-16": "utf-16-le"}
WEB_CODEC = re.compile(r"ascii|utf-8|utf-16-[lb]e|iso8859-\d+|cp(125\d|866|874|932|949)|koi8-[ru]|mac-(roman|cyrillic)"
                       r"|euc_jp|iso2022_jp|gb18030|big5hkscs")
