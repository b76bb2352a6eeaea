"""Extraction: how much of a page's main text do we find, and how fast, compared with Trafilatura?

    .venv/bin/pip install -r requirements-bench.txt -c constraints.txt
    .venv/bin/python -m bench.extraction --data wcxb-dev.jsonl.xz             all pages, about four minutes
    .venv/bin/python -m bench.extraction --data wcxb-dev.jsonl.xz --every 5   every fifth

The data are the development pages of WCXB, the Web Content eXtraction Benchmark (M. Foley, 2026, CC-BY-4.0): JSON lines
with url, page_type, html and main_content. The figure is word F1: words are runs of letters and digits in lower case,
compared as multisets; two empty texts give 1. Both systems run in this process on one core, page by page in turn, and
get the page as text; pages per second count the processor time of each. Prints one JSON line at the end.
"""

import argparse
import json
import logging
import lzma
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Any

from miniature_memory.extraction.config import MODES, ExtractConfig
from miniature_memory.extraction.page import extract_page

System = Callable[[str, str], str]  # (HTML, URL) -> text


def read_pages(path: Path, every: int) -> Iterator[dict[str, Any]]:
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in islice(lines, 0, None, every):
            yield json.loads(line)


def word_f1(found: str, expected: str) -> float:
    a, b = (Counter(re.findall(r"\w+", text.lower())) for text in (found, expected))
    if not a and not b:
        return 1.0
    return 2 * sum((a & b).values()) / (sum(a.values()) + sum(b.values()))


def systems(mode: str, peer: bool) -> dict[str, System]:
    config = ExtractConfig(mode=mode)
    found: dict[str, System] = {"ours": lambda html, url: extract_page(html, url, config=config).text}
    if peer:
        import trafilatura

        logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
        found["trafilatura"] = lambda html, url: trafilatura.extract(html, url=url) or ""
    return found


def measure(pages: Iterator[dict[str, Any]], found: dict[str, System]) -> dict[str, Any]:
    scores: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in found}
    seconds = dict.fromkeys(found, 0.0)
    for n, page in enumerate(pages, 1):
        for name, system in found.items():
            started = time.process_time()
            text = system(page["html"], page["url"])
            seconds[name] += time.process_time() - started
            scores[name][page["page_type"]].append(word_f1(text, page["main_content"]))
        if n % 100 == 0:
            so_far = (f"{name} {mean(s for of_type in scores[name].values() for s in of_type):.3f} at "
                      f"{n / seconds[name]:.0f} pages/s" for name in found)
            print(f"{n} pages: {', '.join(so_far)}", file=sys.stderr)
    result: dict[str, Any] = {}
    for name in found:
        everything = [score for of_type in scores[name].values() for score in of_type]
        result[name] = {"word_f1": round(mean(everything), 4),
                        "pages_per_sec": round(len(everything) / seconds[name], 1),
                        "by_type": {kind: round(mean(of_type), 3) for kind, of_type in sorted(scores[name].items())}}
        result["pages"] = len(everything)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FILE")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every Nth page")
    parser.add_argument("--mode", default="blocks", choices=MODES, help="extract.mode")
    parser.add_argument("--no-peer", action="store_true", help="measure ours only")
    args = parser.parse_args()
    result = measure(read_pages(args.data, args.every), systems(args.mode, not args.no_peer))
    if not args.no_peer:
        ours, peer = result["ours"], result["trafilatura"]
        result["speed_ratio"] = round(ours["pages_per_sec"] / peer["pages_per_sec"], 2)
        for kind in ours["by_type"]:
            print(f"{kind:<14} ours {ours['by_type'][kind]:.3f}   trafilatura {peer['by_type'][kind]:.3f}",
                  file=sys.stderr)
    print(json.dumps({"bench": "extraction", "every": args.every, **result}))


if __name__ == "__main__":
    main()
