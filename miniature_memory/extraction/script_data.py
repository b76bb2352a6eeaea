"""Script data: text from JSON-LD and hydration JSON, for pages that show next to nothing without scripts."""

import json
import re

from lxml import etree

from miniature_memory.extraction.block_text import Block
from miniature_memory.extraction.blocks import MAX_BLOCKS, MAX_TEXT_CHARS, segment
from miniature_memory.extraction.metadata import FIELDS
from miniature_memory.extraction.parsing import parse

TEXT_KEYS = {"articlebody", "text", "cooked", "content", "body", "description", "html", "markdown", "post_body"}
LAST_RESORT = {"description"}
MAX_VALUES = 200_000  # guess; of one JSON text
MOST_TEXTS = 500  # guess; of one page
_TAG = re.compile(r"<[^<>]*>")
_WORD = re.compile(r"[^\W\d_]+")


def script_blocks(root: etree._Element) -> list[Block]:
    """Blocks made of the texts that the page keeps for its scripts, each text once."""
    found: dict[str, str] = {}  # text to key; a dict drops repeats and keeps the order
    for source in _sources(root):
        try:
            strings = _strings_of(json.loads(source))
        except (ValueError, RecursionError):
            continue
        for key, value in strings:
            if key in TEXT_KEYS and value.count(" ") >= 7 and _is_prose(value):
                found.setdefault(value, key)
    better = [value for value, key in found.items() if key not in LAST_RESORT]
    out: list[Block] = []
    for value in _each_once((better or list(found)[:3])[:MOST_TEXTS]):
        inner = parse(value if "<" in value else "<p>" + value.replace("\n\n", "<p>"))
        if inner is not None:
            out += [block for block in segment(inner).blocks if len(out) < MAX_BLOCKS]
    return out


def _is_prose(value: str) -> bool:
    """Whether most of it is words: not the sizes of a picture, a date, an address, a style."""
    text = _TAG.sub(" ", value[:5000])
    return 4 * sum(map(len, _WORD.findall(text))) > 3 * len("".join(text.split())) - 3 * text.count("&")


def _each_once(values: list[str]) -> list[str]:
    """The texts without those that another one contains, as plain text, as HTML, or as its beginning."""
    words = ["".join(_WORD.findall(_TAG.sub(" ", value).lower())) for value in values]
    kept: list[int] = []
    joined = ""
    for n in sorted(range(len(values)), key=lambda n: -len(words[n])):
        if words[n] and words[n] not in joined:
            kept.append(n)
            joined += words[n] + "\n"
    return [values[n] for n in sorted(kept)]


def _sources(root: etree._Element) -> list[str]:
    """The JSON texts: JSON-LD, hydration JSON and preloaded data."""
    sources = [script.text for script in root.iter("script")
               if "json" in (script.get("type") or "") or script.get("id") == "__NEXT_DATA__"]
    sources += [element.get("data-preloaded") for element in root.iter("div")]
    return [source for source in sources if source and len(source) < MAX_TEXT_CHARS]


def _strings_of(data: object) -> list[tuple[str, str]]:
    """(key, string) of every string in parsed JSON outside FIELDS, in order; bounded, without recursion."""
    out: list[tuple[str, str]] = []
    stack: list[tuple[str, object]] = [("", data)]
    seen = 0
    while stack and seen < MAX_VALUES:
        key, value = stack.pop()
        seen += 1
        if isinstance(value, str):
            if value[:1] in "{[" and len(value) > 200:
                try:  # JSON within JSON, as Discourse preloads its topics
                    stack.append((key, json.loads(value)))
                except (ValueError, RecursionError):
                    pass
            else:
                out.append((key, value))
        elif isinstance(value, dict):
            stack.extend((str(name).lower(), item) for name, item in reversed(value.items())
                         if not (isinstance(item, dict | list) and str(name).lower() in FIELDS))
        elif isinstance(value, list):
            stack.extend((key, item) for item in reversed(value))
    return out
