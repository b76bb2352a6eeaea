"""Topics: folders of their own under topics/, each with its queries, its dataset and its model.

    python3 run.py --topic "bread baking"      makes topics/bread-baking/ if it is new, and runs there
    python3 run.py --topics                    lists them

The first run writes config/queries.txt, from plain templates and from what Wikipedia's search suggests;
config/seeds.txt, with these articles; config/default.toml. All are there to be edited, and are never overwritten.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import re
import unicodedata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import status
from catalog import write_aside
from pipeline import EXIT_DONE, ConfigError, Finding, Tables, build_config, root_option, shown, strip_control

logger = logging.getLogger(__name__)

MAX_TOPIC_CHARS = 200
MAX_NAME_BYTES = 60  # of a folder's name; file systems take 255
SUGGESTIONS = 10
SUGGEST_SEC = 8.0  # for Wikipedia's answer
# Neutral as to topic. They are English: in another language the topic stands alone.
TEMPLATES = ("{}", "introduction to {}", "{} for beginners", "{} explained", "guide to {}", "history of {}",
             "articles about {}", "essays about {}", "questions and answers about {}", "stories about {}")
QUERIES_HEAD = "# What to search for: a query a line. Edit it as you like: it is never overwritten.\n"
SEEDS_HEAD = "# Where to look besides the search engines: page, feed or sitemap, a space, an address.\n"
SETTINGS = """\
# Settings of this topic, laid over config/default.toml beside run.py, which lists them all.

[search]
# Without commoncrawl, which would bring whatever else the hosts of seeds.txt have.
providers = ["google", "ddgs", "searxng", "mediawiki", "feeds", "sitemaps", "seeds"]
"""


# --- a topic's folder ----------------------------------------------------------------------------


def folder(root: Path, topic: str) -> Path:
    """The folder of a topic, whether it is there or not. Raises ConfigError for what is no topic."""
    words = words_of(topic)
    if not words:
        raise ConfigError(f'--topic {topic!r}: expected a few words, such as --topic "bread baking"')
    if len(words) > MAX_TOPIC_CHARS:
        raise ConfigError(f"--topic has {len(words):,} characters; expected a few words, {MAX_TOPIC_CHARS} at most")
    return root / "topics" / slug(words)


def words_of(topic: str) -> str:
    return " ".join(strip_control(topic).split())


def slug(topic: str) -> str:
    """A folder's name that is safe on any file system, and the same for the same words in any case.

    Letters, digits and the marks upon them stay, in any script. What else is lost is told apart by a hash: C, C++, C#.
    """
    text = " ".join(re.sub(r"[-_]", " ", unicodedata.normalize("NFKC", topic).casefold()).split())
    kept = "".join(char if char.isalnum() or unicodedata.category(char)[0] == "M" else " " for char in text)
    name = "-".join(kept.split()).encode()[:MAX_NAME_BYTES].decode(errors="ignore").strip("-")
    if name.replace("-", " ") == text:
        return name
    return "-".join(part for part in (name, hashlib.sha256(text.encode()).hexdigest()[:6]) if part)


# --- a new topic ---------------------------------------------------------------------------------


def begin(root: Path, topic: str, tables: Tables) -> bool:
    """Write what a new topic needs; False for one that has its queries already: it is continued as it is."""
    words, articles = words_of(topic), dict[str, str]()
    queries, seeds, settings = (root / "config" / name for name in ("queries.txt", "seeds.txt", "default.toml"))
    if not seeds.exists() or seeds.read_text("utf-8", "replace") == SEEDS_HEAD:  # no answer the last time
        articles = suggestions(words, tables)
        write_aside(seeds, (SEEDS_HEAD + "".join(f"page {url}\n" for url in articles.values())).encode())
    if articles:
        logger.info("Wikipedia suggests %d articles on %s; they are in %s", len(articles), words, shown(seeds))
    if queries.exists():
        logger.info("the topic %s goes on in %s", words, shown(root))
        return False
    templates = TEMPLATES if tables["search"]["language"] == "en" else TEMPLATES[:1]
    lines = dict.fromkeys([*(template.format(words) for template in templates), *articles])
    if not settings.exists():
        write_aside(settings, SETTINGS.encode())
    write_aside(queries, (QUERIES_HEAD + "".join(f"{line}\n" for line in lines)).encode())  # last: the topic is there
    logger.info("%s is a new topic: %d queries are in %s, for you to edit", words, len(lines), shown(queries))
    return True


def suggestions(topic: str, tables: Tables) -> dict[str, str]:
    """Titles and addresses of the articles that Wikipedia's search suggests; none where it does not answer."""
    from guard import FetchError, bounded
    from providers import Ask, ProviderConfig, ProviderError, mediawiki
    from urls import canonical_url
    from web import Web

    config = build_config(ProviderConfig, "search", tables)
    wikipedia = [wiki for wiki in config.wikis if ".wikipedia.org" in wiki][:1]
    if not wikipedia:
        return {}
    config = dataclasses.replace(config, wikis=wikipedia)
    ask = Ask(topic, SUGGESTIONS, 0, config, Web(config.web), lambda url: b"")
    try:
        found = bounded(SUGGEST_SEC, lambda: mediawiki(ask))
    except (FetchError, ProviderError, TimeoutError) as error:
        logger.info("Wikipedia suggests nothing now (%s); the next run with this topic asks again",
                    getattr(error, "reason", "timeout"))
        return {}
    urls = [url for result in found[:SUGGESTIONS] if (url := canonical_url(result.url))]
    titles = {title_of(url): url for url in urls}
    return {title: url for title, url in titles.items() if title}


def title_of(url: str) -> str:
    """The title of an article of a wiki, fit for a line of queries; '' if it is none."""
    title = words_of(unquote(urlsplit(url).path).rpartition("/wiki/")[2].replace("_", " ")).lstrip("# ")
    return title if len(title) <= MAX_TOPIC_CHARS else ""


# --- the list ------------------------------------------------------------------------------------


def table(root: Path) -> list[dict[str, Any]]:
    """Each topic with what it holds; figures are None where its files cannot be read."""
    rows = []
    for path in sorted((root / "topics").glob("*/config/queries.txt")):
        own, amiss = path.parents[1], list[Finding]()
        runs, dataset = status.read_runs(own, amiss), status.read_dataset(own, amiss)
        bits = status.bits_history(runs)
        rows.append({"topic": own.name, "documents": dataset.get("documents"), "tokens": dataset.get("tokens"),
                     "bits_a_byte": bits[-1]["all"] if bits else None,
                     "last_run": runs[-1]["finished"] if runs else None,
                     "amiss": [finding._asdict() for finding in amiss]})
    return rows


def show(root: Path, as_json: bool) -> int:
    rows = table(root)
    if as_json:
        print(json.dumps({"topics": rows}))
    elif not rows:
        print('There is no topic yet. One begins with: python3 run.py --topic "bread baking"')
    else:
        print(screen(rows, root))
    return EXIT_DONE


def screen(rows: list[dict[str, Any]], root: Path) -> str:
    width = max(len("topic"), *(len(row["topic"]) for row in rows))
    lines = [f"{'topic':<{width}} {'documents':>10} {'tokens':>12} {'bits a byte':>12}  last run"]
    for row in rows:
        documents, tokens = (f"{row[name] or 0:,}" for name in ("documents", "tokens"))
        bits = f"{row['bits_a_byte']:.3f}" if row["bits_a_byte"] else "-"
        last = f"{status.to_time(row['last_run']):%d %b %Y %H:%M}" if row["last_run"] else "none yet"
        lines.append(f"{row['topic']:<{width}} {documents:>10} {tokens:>12} {bits:>12}  {last}"
                     + ("; damaged, see --doctor" if row["amiss"] else ""))
    example = root_option(root / "topics" / rows[0]["topic"])
    return strip_control("\n".join([*lines, "", f"python3 run.py{example} goes on with one; --status and --doctor with "
                                    "the same words tell more."]))
