"""The beginning of a topic: its queries, its seeds, its settings."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from urllib.parse import unquote, urlsplit

from miniature_memory.core.config import Tables, build_config
from miniature_memory.core.paths import shown
from miniature_memory.core.topic_folders import MAX_TOPIC_CHARS, words_of
from miniature_memory.storage.files import write_aside

logger = logging.getLogger(__name__)

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
    from miniature_memory.crawl.config import ProviderConfig
    from miniature_memory.crawl.engines import mediawiki
    from miniature_memory.crawl.guard import FetchError, bounded
    from miniature_memory.crawl.provider import Ask, ProviderError
    from miniature_memory.crawl.urls import canonical_url
    from miniature_memory.crawl.web import Web

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
