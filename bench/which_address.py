"""Which address: how much on-topic text does a crawl have after 30 % of the visits to a simulated web?

    .venv/bin/python -m bench.which_address --data wcxb-dev.jsonl.xz              the held-out seeds, some minutes
    .venv/bin/python -m bench.which_address --data wcxb-dev.jsonl.xz --seeds development

A web of 300 hosts of 5 to 200 pages. Each page has the text, title and length of a page of WCXB's development split
(github.com/Murrough-Foley/web-content-extraction-benchmark); which are on topic, the words of their text decide. The
share on topic is skewed: most hosts have next to nothing, a few are about nothing else. Links stay on their host and
lead mostly to pages of the same kind. Search finds one to three pages of each host, with title and snippet, a hundred
a night; three hosts in ten have a sitemap. The crawl runs the project's own code night after night, on a catalog on
disk, a day apart by the clock: Discovery.add, due_urls, the recorder, next_visit, the rows of extract and clean. Only
requests, parsing and training are not simulated. Clean keeps 95 % of the good on-topic pages and 20 % of the others.

The orders: `found` is due_urls without any evidence; `breadth` takes the addresses fewest links away from what search
found first; `greedy` knows what each address gives, but not where it leads; `estimate` is due_urls with the evidence of
the nights before; `oracle` is the sum of the best pages of the whole web, known from the start, which no order can
pass. `way` is how far `estimate` comes from `found` to `oracle`, the stricter of the two that know.
`hosts` are those with a page visited after ten nights. The last line is JSON, with the median of the seeds.
"""

import argparse
import hashlib
import html
import json
import lzma
import random
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock
from urllib.parse import urlsplit

from miniature_memory.cleaning.cleaner import clean_text, config_checks
from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.core.stage import StageStats
from miniature_memory.crawl import frontier, page_signals
from miniature_memory.crawl.blocklists import Blocklist
from miniature_memory.crawl.config import ScrapeConfig
from miniature_memory.crawl.recorder import Recorder
from miniature_memory.crawl.visits import Network, Page, Visit
from miniature_memory.crawl.warc import Exchange
from miniature_memory.crawl.web import Fetched
from miniature_memory.crawl.yields import Topic
from miniature_memory.providers.config import SearchConfig
from miniature_memory.providers.discovery import Discovery
from miniature_memory.providers.provider import Found
from miniature_memory.responses.signals import read_signals
from miniature_memory.storage import clean_documents, documents, urls, yields
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.record_reader import Place

HOSTS, SMALLEST, LARGEST = 300, 5, 200  # pages of a host, uniform in their logarithm
ON_TOPIC = (0.25, 1.0)  # of a host's pages: Beta, mean 0.2
FAILING = (0.15, 2.0)  # of a host's pages: Beta, mean 0.07
ALIKE = 0.75  # of the links lead to a page of the same kind, as far as the host has any
LINKS = 4  # of a page, and one more from which it is found
TELLING = 0.7  # of the anchors are the title of the page that they lead to
SLUGS = 0.6  # of the hosts spell the title in the address
SITEMAPS = 0.3  # of the hosts
SEARCH_ON_TOPIC = 0.6  # of the pages that search finds, as far as the host has any
RESULTS_A_NIGHT = 100
PER_NIGHT, PER_HOST = 300, 50  # visits: scrape.max_pages, scrape.max_pages_per_host
VISITS_FRAC, HOST_NIGHTS = 0.3, 10
KEPT = {True: 0.95, False: 0.2}  # by clean, on topic or not
CHANGED = 0.15  # of the pages that are visited again: as near duplicates, they give nothing
DAY_SEC, FIRST_NIGHT = 86400.0, 1_800_000_000.0
FEWEST_WORDS, FEWEST_HITS, DENSITY = 100, 6, 0.012  # of a page on topic


class Subject(NamedTuple):
    queries: tuple[str, ...]  # what the crawler is told: a topic, and titles of Wikipedia's articles
    words: frozenset[str]  # by which a text is on topic


def subject(queries: str, words: str) -> Subject:
    return Subject(tuple(queries.split("; ")), frozenset(words.split()))


DEVELOPMENT = {
    1: subject("home cooking; Baking; Recipe; Kitchen",
               "recipe recipes cook cooking oven flour butter bake baking ingredients sauce garlic dough tablespoon"),
    2: subject("programming; Source code; JavaScript; Software documentation",
               "api javascript python function code server install command github library browser parameter docker"),
    3: subject("personal finance; Mortgage; Income tax; Retirement planning",
               "credit loan mortgage tax taxes invest investment retirement savings insurance bank debt interest"),
    4: subject("video games; Video game console; Steam; Multiplayer game",
               "game games player players gameplay steam playstation xbox nintendo multiplayer"),
    5: subject("photography; Camera; Camera lens; Photographer",
               "camera cameras lens lenses photo photos photography aperture shutter photographer"),
}
HELD_OUT = {
    101: subject("gardening; Garden; Houseplant; Compost",
                 "garden plant plants soil seeds flowers compost tomato pruning gardening leaves"),
    102: subject("fitness; Physical exercise; Gym; Strength training",
                 "workout exercise muscle training fitness strength gym running"),
    103: subject("travel; Hotel; Tourism; Air travel",
                 "travel hotel hotels flight flights tourist destination trip beach island visit airport itinerary"),
    104: subject("hiking; Backpacking; Trail; Camping",
                 "hiking hike hikers trail trails backpacking camping tent backpack boots summit wilderness"),
    105: subject("climate change; Solar power; Renewable energy; Carbon footprint",
                 "climate carbon emissions energy solar renewable warming fossil electricity"),
    106: subject("health care; Patient; Therapy; Disease",
                 "patients patient symptoms treatment disease doctor clinical therapy medical cancer medication"),
    107: subject("cars; Electric car; Car rental; Engine",
                 "car cars vehicle vehicles engine driving tires motor drive electric"),
}


# --- the web -------------------------------------------------------------------------------------


class Text(NamedTuple):
    title: str
    text: str
    words: tuple[str, ...]  # in lower case
    n_tokens: int  # words and signs
    good: bool  # whether clean's rules let it pass


@dataclass(eq=False)
class Address:
    """A page of the simulated web."""

    url: str
    text: Text
    on_topic: bool
    fails: bool
    kept: bool  # by clean, if it is fetched
    links: dict[str, str] = field(default_factory=dict)  # URL -> anchor

    @property
    def worth(self) -> int:
        """Kept on-topic tokens."""
        return self.text.n_tokens * (self.on_topic and self.kept and not self.fails)


@dataclass
class World:
    pages: dict[str, Address] = field(default_factory=dict)
    results: list[Found] = field(default_factory=list)  # of search, a hundred a night
    sitemaps: dict[str, list[str]] = field(default_factory=dict)  # host -> all its pages

    def best(self, n: int) -> int:
        return sum(sorted((page.worth for page in self.pages.values()), reverse=True)[:n])


def read_texts(path: Path) -> list[Text]:
    texts, checks = [], config_checks(CleanConfig())
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            text, title = row["main_content"] or "", row["title"] or ""
            good = not clean_text(text, "en", checks, None).rejection
            texts.append(Text(title, text, tuple(re.findall(r"[a-z]+", text.lower())),
                              len(re.findall(r"\w+|[^\w\s]", text)), good))
    return texts


def is_on_topic(text: Text, words: frozenset[str]) -> bool:
    hits = [word for word in text.words if word in words]
    return (len(text.words) >= FEWEST_WORDS and len(hits) >= max(FEWEST_HITS, DENSITY * len(text.words))
            and len(set(hits)) >= 3)


def make_world(seed: int, topic: Subject, texts: list[Text]) -> World:
    rng = random.Random(seed)
    kinds: dict[bool, list[Text]] = {True: [], False: []}
    for text in texts:
        kinds[is_on_topic(text, topic.words)].append(text)
    world = World()
    for number in range(HOSTS):
        host = f"host-{number}.example"
        pages = make_host(rng, host, kinds)
        world.pages |= {page.url: page for page in pages}
        if rng.random() < SITEMAPS:
            world.sitemaps[host] = [page.url for page in pages]
        liked = [page for page in pages if page.on_topic] or pages
        found = {rng.choice(liked if rng.random() < SEARCH_ON_TOPIC else pages).url for _ in range(rng.randint(1, 3))}
        world.results += [Found(url, f"{text.title} {text.text[:160]}") for url, text in
                          ((url, world.pages[url].text) for url in sorted(found))]
    rng.shuffle(world.results)
    return world


def make_host(rng: random.Random, host: str, kinds: dict[bool, list[Text]]) -> list[Address]:
    size = round(SMALLEST * (LARGEST / SMALLEST) ** rng.random())
    share, failing, slugs = rng.betavariate(*ON_TOPIC), rng.betavariate(*FAILING), rng.random() < SLUGS
    pages: list[Address] = []
    for number in range(size):
        on_topic = rng.random() < share
        text = rng.choice(kinds[on_topic])
        slug = re.sub("[^a-z0-9]+", "-", text.title.lower()).strip("-")[:60].strip("-")
        path = f"{slug}-{number}" if slugs else f"p/{1000 + 7 * number}"
        pages.append(Address(f"https://{host}/{path}", text, on_topic, rng.random() < failing,
                             text.good and rng.random() < KEPT[on_topic]))
    for number, page in enumerate(pages):
        if number:  # every page can be found
            link(rng, like(rng, pages[:number], page.on_topic, rng.choice(pages[:number])), page)
        for _ in range(LINKS):
            link(rng, page, like(rng, pages, page.on_topic, rng.choice(pages)))
    return pages


def like(rng: random.Random, pages: list[Address], on_topic: bool, other: Address) -> Address:
    """A page of the same kind, mostly; else `other`."""
    alike = [page for page in pages if page.on_topic == on_topic]
    return rng.choice(alike) if alike and rng.random() < ALIKE else other


def link(rng: random.Random, page: Address, target: Address) -> None:
    if page is not target:
        anchor = target.text.title if rng.random() < TELLING else rng.choice(["Read more", "Next", "here", "12", ""])
        page.links.setdefault(target.url, anchor)


# --- the crawl -----------------------------------------------------------------------------------


class Crawl:
    """The nights of one order. `counts`: what it has."""

    def __init__(self, order: str, world: World, topic: Subject, root: Path, rng: random.Random) -> None:
        self.order, self.world, self.rng = order, world, rng
        self.now = FIRST_NIGHT
        self.visits = self.tokens = self.nights = 0
        self.gained: set[str] = set()
        self.hosts: set[str] = set()
        self.hosts_after: dict[int, int] = {}  # nights -> hosts
        self.choosing_sec: list[float] = []
        (root / "config").mkdir(parents=True)
        (root / "config/queries.txt").write_text("\n".join(topic.queries))
        self.catalog, self.topic = Catalog(root), Topic.load(root, "en")
        self.config = ScrapeConfig(max_pages=PER_NIGHT, max_pages_per_host=PER_HOST, follow_links=True,
                                   max_link_depth=100)

    def run(self, most_visits: int) -> None:
        """Night after night, to the end of these visits and to HOST_NIGHTS at least."""
        with self.catalog, mock.patch("time.time", lambda: self.now):
            while self.visits < most_visits or self.nights < HOST_NIGHTS:
                tokens = self.night(most_visits)
                self.nights += 1
                self.hosts_after[self.nights] = len(self.hosts)
                self.tokens += tokens
                self.now += DAY_SEC

    def night(self, most_visits: int) -> int:
        self.search()
        recorder = Recorder(self.config, self.catalog, StageStats("scrape"), "bench", Blocklist(), Network(True))
        started = time.perf_counter()
        rows = self.choose()
        self.choosing_sec.append(time.perf_counter() - started)
        planned = Counter(row["host"] for row in rows)
        tokens = 0
        for row in rows:  # which grows
            self.now += 1.0
            self.visits += 1
            self.hosts.add(row["host"])
            new_links = self.visit(recorder, row)
            if self.visits <= most_visits and row["url"] not in self.gained:
                self.gained.add(row["url"])
                tokens += self.world.pages[row["url"]].worth
            for url in new_links:  # as Scheduler.plan_if_room does
                if len(rows) < PER_NIGHT and planned[row["host"]] < PER_HOST:
                    planned[row["host"]] += 1
                    rows += [found] if (found := urls.get(self.catalog, url)) else []
        self.catalog.commit()
        if self.order == "estimate":
            self.clean()
        return tokens

    def search(self) -> None:
        """This night's results of search, and the sitemaps of the hosts that they are of."""
        start = self.nights * RESULTS_A_NIGHT
        found = self.world.results[start:start + RESULTS_A_NIGHT]
        if found:
            discovery = Discovery(SearchConfig(), self.catalog, StageStats("search"))
            discovery.add(found, "ddgs", "a query")
            for host in dict.fromkeys(urlsplit(one.url).netloc for one in found):
                if host in self.world.sitemaps:
                    discovery.add(map(Found, self.world.sitemaps[host]), "sitemaps", f"https://{host}/sitemap.xml")
            self.catalog.commit()

    def choose(self) -> list[Any]:
        if self.order in ("found", "estimate"):
            return frontier.due_urls(self.catalog, PER_NIGHT, PER_HOST)
        due = self.catalog.execute("SELECT * FROM urls WHERE due_at <= ? ORDER BY depth, id", [self.now]).fetchall()
        if self.order == "greedy":
            due.sort(key=lambda row: -self.world.pages[row["url"]].worth * (row["url"] not in self.gained))
        rows, of_host = [], Counter[str]()
        for row in due:
            of_host[row["host"]] += 1
            rows += [row] if of_host[row["host"]] <= PER_HOST else []
        return rows[:PER_NIGHT]

    def visit(self, recorder: Recorder, row: Any) -> list[str]:
        """Visit a page; the new links of it."""
        address, visit = self.world.pages[row["url"]], Visit.of(row)
        if address.fails:
            recorder.finish_visit(visit, "http_404")
            return []
        changed = row["payload_hash"] and self.rng.random() < CHANGED
        version = f"{row['url']} {self.now if changed else ''}"
        digest = hashlib.sha256(version.encode()).hexdigest()
        page = Page(Fetched(row["url"], 200, "OK", [], b"", b""), "2027-01-15T08:00:00Z", digest,
                    Exchange(b".", b"", digest), self.links(address) if not row["payload_hash"] else {})
        if row["payload_hash"] and not changed:
            recorder.finish_visit(visit, "unchanged", page)
        else:
            recorder.page(visit, page)
        return recorder.add_links(visit, page)

    def links(self, address: Address) -> dict[str, int]:
        """What the crawl's workers read in the page."""
        listed = "".join(f'<li><a href="{url}">{html.escape(anchor)}</a></li>' for url, anchor in address.links.items())
        body = (f"<!DOCTYPE html><html><head><title>{html.escape(address.text.title)}</title></head><body>"
                f"<p>{html.escape(address.text.text)}</p><ul>{listed}</ul></body></html>").encode("utf-8", "replace")
        return page_signals.links(read_signals([], body), [("Content-Type", "text/html; charset=utf-8")], body,
                                  address.url, self.topic)

    def clean(self) -> None:
        """What extract, validate and clean leave in the catalog of the night's pages."""
        catalog = self.catalog
        for row in list(catalog.new_rows("extract", "pages")):
            address = self.world.pages[row["url"]]
            with catalog.record():
                place, name = Place("data/raw/0.jsonl", 0, 0), f"{row['url']} {row['seq']}"
                seq = documents.add(catalog, hashlib.sha256(name.encode()).hexdigest(), row["url"], place,
                                    page=row["seq"])
                documents.set_validation(catalog, seq, documents.VALID, "en")
                is_first = catalog.value("SELECT min(seq) FROM pages WHERE url_id = ?", [row["url_id"]]) == row["seq"]
                if address.kept and is_first:
                    clean_documents.add(catalog, hashlib.sha256(name.encode()).hexdigest(), place,
                                        5 * address.text.n_tokens)
                catalog.advance("extract", row["seq"])
                catalog.advance("validate", seq)
                catalog.advance("clean", seq)
        yields.settle(catalog)
        catalog.commit()


def measure(seed: int, topic: Subject, texts: list[Text]) -> dict[str, Any]:
    world = make_world(seed, topic, texts)
    most_visits = round(VISITS_FRAC * len(world.pages))
    facts: dict[str, Any] = {"seed": seed, "pages": len(world.pages), "visits": most_visits,
                             "on_topic": sum(page.on_topic for page in world.pages.values()),
                             "oracle": world.best(most_visits)}
    for order in ("found", "breadth", "greedy", "estimate"):
        with tempfile.TemporaryDirectory(prefix="which-address-") as folder:
            crawl = Crawl(order, world, topic, Path(folder) / "root", random.Random(seed))
            crawl.run(most_visits)
        facts[order] = crawl.tokens
        facts[f"{order}_hosts"] = crawl.hosts_after[HOST_NIGHTS]
        facts[f"{order}_choosing_ms"] = round(1000 * statistics.median(crawl.choosing_sec), 1)
    facts["way"] = round((facts["estimate"] - facts["found"]) / (facts["oracle"] - facts["found"]), 3)
    facts["hosts_ratio"] = round(facts["estimate_hosts"] / facts["found_hosts"], 3)
    print(json.dumps(facts), file=sys.stderr)
    return facts


def seeds_of(name: str) -> Iterator[tuple[int, Subject]]:
    yield from {"development": DEVELOPMENT, "held-out": HELD_OUT}[name].items()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="WCXB's development split")
    parser.add_argument("--seeds", choices=["development", "held-out"], default="held-out")
    args = parser.parse_args()
    texts = read_texts(args.data)
    runs = [measure(seed, topic, texts) for seed, topic in seeds_of(args.seeds)]
    medians = {key: statistics.median(run[key] for run in runs) for key in runs[0] if key != "seed"}
    print(json.dumps({"bench": "which_address", "seeds": args.seeds, "runs": len(runs), **medians,
                      "least_way": min(run["way"] for run in runs),
                      "least_hosts_ratio": min(run["hosts_ratio"] for run in runs)}))


if __name__ == "__main__":
    main()
