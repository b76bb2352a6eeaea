"""Topic fit: does clean.min_topic_fit keep the documents of a topic, and reject others?

    .venv/bin/python -m bench.topic_fit --data wcxb-dev.jsonl.xz     some seconds

The data are the development pages of WCXB (see extraction.py). topic_labels.json names pages of 21 topics, by their
numbers: those on the topic, some that are near to it (hiking for running, sleep for meditation, Go for Rust) and 25 of
any other kind, drawn by seed. They were read, title and beginning, before any rule was applied; what is neither on the
topic nor off it (a kettle for coffee, VPNs for cybersecurity) has no label. Eleven topics, drawn by seed, are the half
on which the rule was tuned; the figures of the other ten were printed four times on the way, but decided nothing.

Each topic is a root of its own: its title, the queries that a new topic begins with, and its documents in an order
drawn by seed, --orders times. WCXB has no articles of Wikipedia on these topics, which a new topic's seeds.txt names:
--articles of the documents on the topic, drawn by seed, stand for them, come first and are not counted. `alone` is
without them: then the topic is learned from the other documents alone, and the first ones are not judged.

Prints the documents that are judged wrongly in the first order. Ends with one JSON line.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bench.extraction import read_pages
from miniature_memory.cleaning.topic import FEWEST_PAGES, Topic
from miniature_memory.core.languages import language_of
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.topic_fit import terms_of
from miniature_memory.providers.new_topic import MIN_TOPIC_FIT

GOALS = {"on_kept": 0.95, "others_rejected": 0.80}
KINDS = ("on", "near", "random")


class Judged(NamedTuple):
    topic: str
    kind: str
    page: str
    fit: float | None

    def is_kept(self, threshold: float) -> bool:
        return self.fit is None or self.fit >= threshold


def judge_topic(title: str, labels: dict[str, str], pages: dict[str, Any], seed: int, n_articles: int,
                ) -> Iterator[Judged]:
    """The fit of each document of one topic, as clean finds it."""
    rng = random.Random(f"{title} {seed}")
    articles = rng.sample(labels["on"].split(), n_articles)
    rest = [(page, kind) for kind in KINDS for page in labels[kind].split() if page not in articles]
    rng.shuffle(rest)
    topic = Topic(title, [query.format(title) for query in language_of("en").queries])
    for page, kind in [*((page, "") for page in articles), *rest]:
        terms = terms_of(pages[page]["main_content"], pages[page]["title"] or "")
        fit = topic.fit(terms, "en")
        if kind:
            yield Judged(title, kind, page, fit)
        if fit is None or fit >= MIN_TOPIC_FIT:
            topic.learn(page, terms, "en", "" if kind else "seeds: ", fit)


def shares_of(found: list[Judged], threshold: float) -> dict[str, Any]:
    kept = {kind: [one.is_kept(threshold) for one in found if one.kind == kind] for kind in KINDS}
    share = {kind: sum(of_kind) / len(of_kind) for kind, of_kind in kept.items()}
    others = kept["near"] + kept["random"]
    return {"documents": len(found), "on_kept": round(share["on"], 4),
            "others_rejected": round(1 - sum(others) / len(others), 4), "near_rejected": round(1 - share["near"], 4),
            "random_rejected": round(1 - share["random"], 4),
            "not_judged": round(sum(one.fit is None for one in found) / len(found), 4)}


def print_topics(half: str, found: list[Judged], threshold: float, pages: dict[str, Any]) -> None:
    for title in dict.fromkeys(one.topic for one in found):
        of_topic = shares_of([one for one in found if one.topic == title], threshold)
        print(f"{half:<9} {title:<42} kept {of_topic['on_kept']:.2f}   rejected {of_topic['others_rejected']:.2f} "
              f"(near {of_topic['near_rejected']:.2f})", file=sys.stderr)
    for one in found:
        if one.is_kept(threshold) != (one.kind == "on"):
            print(f"wrong: {half} {one.topic}, {one.kind} {one.page} {one.fit} {pages[one.page]['title']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FILE")
    parser.add_argument("--labels", type=Path, default=PROJECT / "bench" / "topic_labels.json", metavar="FILE")
    parser.add_argument("--half", nargs="+", default=["tuned_on", "held_out"], metavar="NAME")
    parser.add_argument("--orders", type=int, default=5)
    parser.add_argument("--articles", type=int, default=FEWEST_PAGES)
    parser.add_argument("--threshold", type=float, default=MIN_TOPIC_FIT)
    args = parser.parse_args()
    labels = json.loads(args.labels.read_text())
    wanted = {page for of_topic in labels.values() for kind in KINDS for page in of_topic[kind].split()}
    pages = {page["id"]: page for page in read_pages(args.data, 1) if page["id"] in wanted}
    result: dict[str, Any] = {"bench": "topic_fit", "threshold": args.threshold, "topics": len(labels)}
    started = time.process_time()
    for name, n_articles in (("", args.articles), ("alone_", 0)):
        for half in args.half:
            orders = [[one for title, of_topic in labels.items() if of_topic["half"] == half
                       for one in judge_topic(title, of_topic, pages, seed, n_articles)]
                      for seed in range(args.orders)]
            if not name:
                print_topics(half, orders[0], args.threshold, pages)
            result[name + half] = shares_of([one for order in orders for one in order], args.threshold)
    result["met"] = all(result[half][name] >= goal for half in args.half for name, goal in GOALS.items())
    print(f"{time.process_time() - started:.1f} s", file=sys.stderr)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
