"""A new topic: its queries, its seeds, its settings."""

import dataclasses
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from miniature_memory.core.config import Tables, build_config
from miniature_memory.core.languages import language_of
from miniature_memory.core.paths import command, shown
from miniature_memory.core.text import counted
from miniature_memory.core.topic_folders import MAX_TOPIC_CHARS, similar, words_of
from miniature_memory.providers.config import PROVIDER_NAMES
from miniature_memory.providers.topic_language import language_of_topic
from miniature_memory.storage.files import is_blank, write_aside

logger = logging.getLogger(__name__)

SUGGESTIONS = 10  # articles
SUGGEST_SEC = 8.0  # for Wikipedia's answer
QUERIES_HEAD = "# What to search for, one query per line. Edit it as you like: it is never overwritten.\n"
SEEDS_HEAD = "# Where to look in addition to search engines: addresses of pages, feeds and sitemaps, one per line.\n"
SETTINGS_HEAD = """\
# Settings of this topic. They override config/default.toml next to run.py, which lists all settings.
# commoncrawl is no provider here: it would add everything else that the hosts in seeds.txt publish.
"""
MIN_TOPIC_FIT = 0.21  # the most that keeps 95 % of what is on the topic in the tuned half of bench/topic_fit.py
TEXTS_HEAD = """\
# Settings of these texts. They override config/default.toml next to run.py, which lists all settings.
# You chose the texts: no rule judges their quality. Repetitions are still found, and personal data is masked.
"""
TEXTS_QUERIES = """\
# Your own texts are all that is learned here. To search the web too, add queries here and providers in default.toml.
"""


def settings_text(head: str, tables: Mapping[str, Mapping[str, str]], overrides: Iterable[str]) -> str:
    """A settings file: `head`, then the tables, whose values are TOML, with --set's overrides in them."""
    merged = {table: dict(values) for table, values in tables.items()}
    for override in overrides:
        name, _, value = override.partition("=")
        table, _, key = name.strip().partition(".")
        merged.setdefault(table, {})[key] = value.strip()
    return head + "".join(f"\n[{table}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())
                          for table, values in merged.items())


def begin_texts(root: Path, title: str, overrides: Sequence[str] = (), language: str | None = None) -> bool:
    """Write the files of a root for the user's own texts alone. Returns False if it has settings or queries already."""
    queries, settings = root / "config/queries.txt", root / "config/default.toml"
    if queries.exists() or settings.exists():
        return False
    tables = {"run": {"topic": json.dumps(title, ensure_ascii=False)}, "search": {"providers": "[]"},
              "validate": {"languages": json.dumps([language or "*"])}, "clean": {"preset": '"off"'}}
    write_aside(settings, settings_text(TEXTS_HEAD, tables, overrides).encode())
    write_aside(root / "config/seeds.txt", SEEDS_HEAD.encode())
    write_aside(queries, TEXTS_QUERIES.encode())
    logger.info("your texts have a folder of their own, %s, with settings in %s", shown(root), shown(settings))
    return True


def choose_language(root: Path, topic: str, tables: Tables, overrides: Iterable[str],
                    named: str | None) -> tuple[str, str]:
    """The code of a new topic's language, and why: --language, the configuration, or the topic's words."""
    configured: str = tables["search"]["language"]
    if named:
        return named, "as --language says"
    if configured != "en" or any(override.partition("=")[0].strip() == "search.language" for override in overrides):
        return configured, "as search.language says"
    guessed = language_of_topic(topic)
    reason = "guessed from the topic" if guessed else "the default"
    return guessed or "en", f"{reason}; if that is wrong, stop this run, remove {shown(root)} and give --language CODE"


def language_settings(language: str, tables: Tables) -> dict[str, dict[str, str]]:
    """The settings of a topic's language, as TOML. What the project's configuration already allows stays so."""
    search, kept = tables["search"], tables["validate"]["languages"]
    region = search["region"]
    if language != search["language"] or region == language_of("en").region:
        region = language_of(language).region or region
    return {"search": {"language": json.dumps(language), "region": json.dumps(region)},
            "validate": {"languages": json.dumps(kept if {language, "*"} & set(kept) else [language])}}


def begin(root: Path, topic: str, tables: Tables, overrides: Sequence[str] = (), texts: bool = False,
          language: str | None = None) -> bool:
    """Write the files of a new topic. Returns False if it has its queries already: then it continues as it is.

    overrides: --set's, which become settings of the topic. texts: it learns from one's own texts alone. language: that
    of the topic, if it is given.
    """
    if texts:
        return begin_texts(root, words_of(topic), overrides, language)
    words, articles = words_of(topic), dict[str, str]()
    queries, seeds, settings = (root / "config" / name for name in ("queries.txt", "seeds.txt", "default.toml"))
    is_new, configured = is_blank(settings) and is_blank(queries), tables["search"]["language"]
    if language and not is_new:
        logger.info("the topic's language stays %s; --language is for a new one. To change it: language and region in "
                    "[search] and languages in [validate] of %s, and the words of %s", configured, shown(settings),
                    shown(queries))
    language, why = choose_language(root, words, tables, overrides, language) if is_new else (configured, "")
    if is_new:
        logger.info("language: %s (%s), %s", language_of(language).name, language, why)
    asks = "mediawiki" in tables["search"]["providers"]  # own texts go nowhere, nor does their name
    if asks and (is_blank(seeds) or seeds.read_text("utf-8", "replace") == SEEDS_HEAD):  # still none
        articles = suggestions(words, tables, language)
        write_aside(seeds, (SEEDS_HEAD + "".join(f"page {url}\n" for url in articles.values())).encode())
    if articles:
        logger.info("Wikipedia suggests %s on %s; see %s", counted(len(articles), "article"), words, shown(seeds))
    if not is_blank(queries):
        logger.info("continuing the topic %s in %s", tables["run"]["topic"] or words, shown(root))
        return False
    if is_blank(settings):
        own = {"run": {"topic": json.dumps(words, ensure_ascii=False)}} | language_settings(language, tables)
        own["search"]["providers"] = json.dumps([name for name in PROVIDER_NAMES if name != "commoncrawl"])
        own["clean"] = {"min_topic_fit": str(MIN_TOPIC_FIT)}
        write_aside(settings, settings_text(SETTINGS_HEAD, own, overrides).encode())
        if overrides:
            logger.info("the --set options are kept for this topic in %s", shown(settings))
    if close := similar(root.parents[1], root.name):
        logger.info("did you mean the topic %s? Then stop this run, and: %s", close,
                    command("run.py", root.parents[1], f"--topic {close}"))
    queries_of = (query.format(words).lstrip("# ") for query in language_of(language).queries)
    lines = dict.fromkeys([*queries_of, *articles])
    write_aside(queries, (QUERIES_HEAD + "".join(f"{line}\n" for line in lines)).encode())  # last: the topic is there
    logger.info("%s is a new topic: %s in %s, for you to edit", words,
                "its query is" if len(lines) == 1 else f"its {len(lines)} queries are", shown(queries))
    return True


def suggestions(topic: str, tables: Tables, language: str) -> dict[str, str]:
    """Titles and addresses of the articles that Wikipedia's search suggests; none if it does not answer."""
    from miniature_memory.crawl.guard import FetchError, bounded
    from miniature_memory.crawl.outcomes import reason_in_words
    from miniature_memory.crawl.urls import browser_url
    from miniature_memory.crawl.web import Web
    from miniature_memory.providers.config import ProviderConfig
    from miniature_memory.providers.feed_reader import Listing
    from miniature_memory.providers.provider import Ask, ProviderError
    from miniature_memory.providers.wikis import mediawiki

    config = build_config(ProviderConfig, "search", tables)
    wikipedia = [wiki for wiki in config.wikis if ".wikipedia.org" in wiki][:1]
    if not wikipedia:
        return {}
    config = dataclasses.replace(config, wikis=wikipedia, language=language)
    ask = Ask(topic, SUGGESTIONS, 0, config, Web(config.web), Listing)
    try:
        found = bounded(SUGGEST_SEC, lambda: mediawiki(ask))
    except (FetchError, ProviderError, TimeoutError) as error:
        logger.info("Wikipedia did not answer (%s); the next run of this topic asks again",
                    reason_in_words(getattr(error, "reason", "timeout")))
        return {}
    urls = [url for result in found[:SUGGESTIONS] if (url := browser_url(result.url))]
    titles = {title_of(url): url for url in urls}
    return {title: url for title, url in titles.items() if title}


def title_of(url: str) -> str:
    """The title of a wiki's article, to be used as a query; '' if the URL has none."""
    title = words_of(unquote(urlsplit(url).path).rpartition("/wiki/")[2].replace("_", " ")).lstrip("# ")
    return title if len(title) <= MAX_TOPIC_CHARS else ""
