"""Filters: do the default quality rules keep good documents and reject bad ones?

    .venv/bin/python -m bench.filters --data wcxb-dev.jsonl.xz     about two minutes

The data are the development pages of WCXB (see extraction.py). filters.json names 200 good documents, each the
main_content of a page, and 200 bad ones, each the text of one element outside of it: a menu, a footer, a list of links
or keywords, a cookie notice, a form, an error. It has page, kind and a hash of the words, no text. They were drawn by
seed within kinds and read before any rule was applied; what was mislabeled or neither good nor bad (teasers in whole
sentences, biographies of authors) was taken out. The thresholds were tuned on the half whose hashes begin with an even
digit. The other half is not unseen: its reasons showed that rules on short lines reject long pages of documentation,
and the last values were chosen with it in view. WCXB has no verse and no drama: the scenes of the demo site stand for
drama, as they are written and as extract finds them on their pages; verse has tests. All main contents are judged, too,
and so is what extract makes of each page: where it found the right text (word F1 above 0.9, more than 300 words), fewer
than 2 % may be rejected. Those that are, are printed with their reasons: lists of products, titles and names.

Each decision is clean's own, after boilerplate is removed, for a document that validate takes for English. Wrong
decisions are printed to standard error. Ends with one JSON line.
"""

import argparse
import hashlib
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bench.extraction import read_pages, word_f1
from miniature_memory.cleaning.cleaner import clean_text, config_checks
from miniature_memory.cleaning.config import PRESETS, CleanConfig
from miniature_memory.core.paths import PROJECT
from miniature_memory.demo_site.pages import scene_text
from miniature_memory.demo_site.site import Site
from miniature_memory.extraction.block_text import text_of
from miniature_memory.extraction.blocks import segment
from miniature_memory.extraction.page import extract_page
from miniature_memory.extraction.parsing import parse
from miniature_memory.validation.config import ValidateConfig
from miniature_memory.validation.documents import language_of, rejection_of

MIN_F1, MIN_FOUND_WORDS = 0.9, 300  # of an extracted text that is judged as a right one
MOST_EXTRACTED_REJECTED = 0.02
GOALS = {"good_kept": 0.95, "bad_rejected": 0.95, "scenes_kept": 0.98, "extracted_scenes_kept": 0.98}
MIN_WORDS = 50  # shorter scenes and main contents are not judged: min_words rejects them


class Pick(NamedTuple):
    page: str
    kind: str
    hash: str

    @property
    def half(self) -> str:
        return "held_out" if int(self.hash[0], 16) % 2 else "tuned_on"


class Decision(NamedTuple):
    side: str  # good, bad, scenes, extracted_scenes, all, extracted
    group: str  # kind of document
    name: str
    half: str
    reason: str  # why it is rejected; "" for what is kept


Judge = Callable[[str, str], str]  # (text, language) -> why it is rejected, or ""


def words_hash(text: str) -> str:
    """Of the words alone, so that a change in layout loses no pick."""
    words = re.findall(r"\w+", text.lower())
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:16]


def read_picks(path: Path) -> dict[str, list[Pick]]:
    return {side: [Pick(*pick) for pick in picks] for side, picks in json.loads(path.read_text()).items()}


def element_texts(html: str) -> Iterator[str]:
    """The text of each element of a page that begins a block; what is in <noscript> as without scripts."""
    root = parse(html)
    for top in () if root is None else (root, *root.iter("noscript")):
        page = segment(top)
        for first, last in set(zip(page.first, page.last, strict=True)):
            yield text_of(page.blocks[first:last])


def judge_pages(pages: Iterable[dict[str, Any]], picks: dict[str, list[Pick]], judge: Judge) -> Iterator[Decision]:
    """Decisions on the picks, and on all main contents. Raises LookupError for a pick that is not in the data."""
    wanted: dict[tuple[str, str], dict[str, Pick]] = defaultdict(dict)
    for side, of_side in picks.items():
        for pick in of_side:
            wanted[side, pick.page][pick.hash] = pick
    for page in pages:
        main, number = page["main_content"], page["id"]
        outside = element_texts(page["html"]) if ("bad", number) in wanted else ()
        for side, texts in (("good", [main]), ("bad", outside)):
            left: dict[str, Pick] = wanted.get((side, number), {})
            for text in texts:
                if (key := words_hash(text)) in left:
                    pick = left.pop(key)
                    yield Decision(side, pick.kind, f"{number} {pick.hash}", pick.half, judge(text, "en"))
        if len(main.split()) >= MIN_WORDS:
            yield Decision("all", page["page_type"], number, "", judge(main, language_of(main)[0]))
        yield from judge_extracted(page, judge)
    if lost := [pick for left in wanted.values() for pick in left.values()]:
        raise LookupError(f"not in the data: {', '.join(f'{pick.page} {pick.hash}' for pick in lost)}")


def judge_extracted(page: dict[str, Any], judge: Judge) -> Iterator[Decision]:
    """The decision of validate and clean on what extract makes of a page, if that is its text."""
    text = extract_page(page["html"], page["url"]).text
    if len(re.findall(r"\w+", text)) <= MIN_FOUND_WORDS or word_f1(text, page["main_content"]) <= MIN_F1:
        return
    invalid = rejection_of(text, ValidateConfig(languages=["*"]))
    reason = invalid.reason if invalid else judge(text, language_of(text)[0])
    yield Decision("extracted", page["page_type"], f"{page['id']} {page['url'][:100]}", "", reason)


def judge_scenes(judge: Judge) -> Iterator[Decision]:
    site = Site()
    for scene in site.scenes:
        page = site.answer(scene.path)[0].body
        for side, text in (("scenes", scene_text(scene)), ("extracted_scenes", extract_page(page, scene.url).text)):
            if len(text.split()) >= MIN_WORDS:
                yield Decision(side, scene.category, scene.path, "", judge(text, "en"))


def print_side(side: str, decisions: list[Decision]) -> None:
    """Print what was kept and rejected by kind, and why."""
    kept, n = Counter(one.group for one in decisions if not one.reason), Counter(one.group for one in decisions)
    print(f"{side}: {len(decisions)}, kept {kept.total()}")
    for group in sorted(n):
        reasons = Counter(one.reason for one in decisions if one.group == group and one.reason).most_common()
        print(f"    {group:<15} {n[group]:>4}, kept {kept[group]:>4}   {', '.join(f'{why} {k}' for why, k in reasons)}")


def share_kept(decisions: list[Decision]) -> float:
    return sum(not one.reason for one in decisions) / max(1, len(decisions))


def summary(by_side: dict[str, list[Decision]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for side, halves in (("good", by_side["good"]), ("bad", by_side["bad"])):
        for half in ("", "tuned_on", "held_out"):
            kept = share_kept([one for one in halves if half in ("", one.half)])
            name = f"{side}_{'kept' if side == 'good' else 'rejected'}{'_' * bool(half)}{half}"
            result[name] = kept if side == "good" else 1 - kept
    result["scenes_kept"] = share_kept(by_side["scenes"])
    result["extracted_scenes_kept"] = share_kept(by_side["extracted_scenes"])
    result["extracted_rejected"] = 1 - share_kept(by_side["extracted"])
    result["met"] = all(result[name] >= goal for name, goal in GOALS.items()) and (
        result["extracted_rejected"] < MOST_EXTRACTED_REJECTED)
    by_type = defaultdict(list)
    for one in by_side["all"]:
        by_type[one.group].append(one)
    result["all_rejected"] = 1 - share_kept(by_side["all"])
    result["all_rejected_by_type"] = {kind: round(1 - share_kept(of_type), 3)
                                     for kind, of_type in sorted(by_type.items())}
    result["all_rejected_by_reason"] = dict(Counter(one.reason for one in by_side["all"] if one.reason).most_common())
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in result.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FILE")
    parser.add_argument("--picks", type=Path, default=PROJECT / "bench" / "filters.json", metavar="FILE")
    parser.add_argument("--preset", default="prose", choices=PRESETS)
    args = parser.parse_args()
    checks = config_checks(CleanConfig(preset=args.preset))

    def judge(text: str, language: str) -> str:
        rejection = clean_text(text, language, checks, None).rejection
        return rejection.reason if rejection else ""

    by_side: dict[str, list[Decision]] = defaultdict(list)
    for one in judge_pages(read_pages(args.data, 1), read_picks(args.picks), judge):
        by_side[one.side].append(one)
    for one in judge_scenes(judge):
        by_side[one.side].append(one)
    for side, decisions in by_side.items():
        print_side(side, decisions)
        for one in decisions:
            if side != "all" and bool(one.reason) == (side != "bad"):
                print(f"wrong: {side} {one.group} {one.name} {one.half} {one.reason or 'kept'}", file=sys.stderr)
    print(json.dumps({"bench": "filters", **summary(by_side)}))


if __name__ == "__main__":
    main()
