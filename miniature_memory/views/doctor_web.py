"""Doctor's look at the web: may each provider be asked, and does it answer? Only robots.txt is asked for, by the rules
of crawl/web.py; an engine with a key is asked only with --ask-paid."""

import dataclasses
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from miniature_memory.core.config import Tables, build_config
from miniature_memory.core.errors import ConfigError, StageError
from miniature_memory.core.findings import BAD, NOTE, OK, Finding
from miniature_memory.core.paths import DEMO, command, shown
from miniature_memory.core.text import counted, host_of
from miniature_memory.crawl import open_sources
from miniature_memory.crawl.commoncrawl import COMMONCRAWL
from miniature_memory.crawl.config import KEYED, SearchConfig
from miniature_memory.crawl.engine_keys import spending, with_keys
from miniature_memory.crawl.feed_reader import Listing
from miniature_memory.crawl.outcomes import reason_in_words
from miniature_memory.crawl.provider import Ask, ProviderError
from miniature_memory.crawl.provider_registry import PROVIDERS
from miniature_memory.crawl.query_search import CANARY
from miniature_memory.crawl.robots import Rules, fetch_rules, robots_url
from miniature_memory.crawl.search_engines import DDGS_BACKENDS
from miniature_memory.crawl.seeds import Seed, read_lines, read_seeds
from miniature_memory.crawl.urls import browser_url
from miniature_memory.crawl.web import Web
from miniature_memory.storage import backoffs
from miniature_memory.storage.catalog import Catalog
from miniature_memory.views import status

ANSWER_SEC = 8.0  # for one answer from the web
MAX_HOSTS = 3  # of one provider that are asked
WIKIS = ("mediawiki", "wikilinks")
WAIT = "wait, or use other providers meanwhile."


def check_web(root: Path, tables: Tables, ask_paid: bool = False) -> list[Finding]:
    try:
        config: SearchConfig = build_config(SearchConfig, "search", tables)
        queries, seeds = read_lines(root / "config/queries.txt"), read_seeds(root / "config/seeds.txt")
    except ConfigError:
        return []  # reported by doctor.settings()
    except StageError as error:
        return [Finding("queries", BAD, error.found, error.fix)]
    findings = [Finding("queries", OK, f"{len(queries):,}; addresses in seeds.txt: {len(seeds):,}")]
    if not (queries or seeds):
        findings = [Finding("queries", BAD, "there are no queries and no seeds.",
                            f"write your topic into {shown(root / 'config/queries.txt')}, one query per line.")]
    try:
        config = with_keys(config, root)
        findings += [Finding("paid queries", OK, spending(config).in_words())] if config.keys else []
    except (ConfigError, StageError) as error:
        found, _, fix = str(error).partition(" Fix: ")
        findings.append(Finding("keys", BAD if isinstance(error, ConfigError) else NOTE, found, fix))
    paused = read_paused(root)
    asked: dict[str, list[str]] = {}  # provider -> addresses
    for name in config.providers:
        if name == KEYED:
            continue  # their file cannot be used
        if reason := PROVIDERS[name].off(config):
            findings.append(Finding(name, OK, f"off: {reason_in_words(reason)}"))
        elif name in paused:
            findings.append(Finding(name, NOTE, f"paused until {paused[name]}", WAIT))
        elif name in config.keys:
            findings.append(check_key(name, config, ask_paid))
        elif not (urls := addresses(name, config, seeds)):
            findings.append(Finding(name, OK, f"no address for it in {shown(root / 'config/seeds.txt')}"))
        else:
            asked[name] = [url for url in urls if host_of(url) not in paused]
            if not asked[name]:
                findings.append(Finding(name, NOTE, f"{host_of(urls[0])} is paused until {paused[host_of(urls[0])]}",
                                        WAIT))
    return findings + ask({name: urls for name, urls in asked.items() if urls}, config, root)


def check_key(name: str, config: SearchConfig, ask_paid: bool) -> Finding:
    """Of an engine that there is a key for. It is sent a query only if `ask_paid`, which is counted as any other."""
    found = f"key found in {config.keys[name].origin}"
    if not ask_paid:
        return Finding(name, OK, f"{found}, not asked (--ask-paid asks once, which is counted)")
    try:
        results = PROVIDERS[name].ask(Ask(CANARY, 0, 0, config, Web(config.web), Listing))
    except ProviderError as error:
        problem, _, fix = error.advice.partition(" Fix: ")
        return Finding(name, NOTE, problem or f"{found}; {reason_in_words(error.reason)}", fix or WAIT)
    return Finding(name, OK, f"{found}; {counted(len(results), 'result')}")


def read_paused(root: Path) -> dict[str, str]:
    """The providers and hosts with a back-off in force, with its end and its reason."""
    found = {}
    try:
        with Catalog(root, read_only=True) as catalog:
            for kind in (backoffs.PROVIDER, backoffs.HOST):
                for name, backoff in backoffs.active(catalog, kind, time.time()).items():
                    found[name] = f"{status.clock(backoff.until)} ({reason_in_words(backoff.reason)})"
    except (StageError, sqlite3.Error):
        pass  # reported by doctor.check_dataset()
    return found


def addresses(name: str, config: SearchConfig, seeds: list[Seed]) -> list[str]:
    """Where a provider is asked: a URL for each of its hosts, a few of them."""
    wikis = [wiki.replace("{language}", config.language) for wiki in config.wikis]
    urls = {"google": ["https://www.google.com/"], "commoncrawl": [COMMONCRAWL], "searxng": [config.searxng_url],
            "ddgs": [f"https://{host}/" for host in DDGS_BACKENDS.values()],
            "mediawiki": wikis, "wikilinks": wikis,
            "marginalia": [open_sources.MARGINALIA], "hackernews": [open_sources.HACKERNEWS],
            "internetarchive": [open_sources.INTERNETARCHIVE], "stackexchange": [open_sources.STACKEXCHANGE],
            }.get(name, [seed.url for seed in seeds if PROVIDERS[name].reads(seed.kind)])
    return list({host_of(url): url for url in map(browser_url, urls) if url}.values())[:MAX_HOSTS]


def ask(asked: dict[str, list[str]], config: SearchConfig, root: Path) -> list[Finding]:
    """Ask the hosts of all providers for robots.txt, all at once."""
    if not asked:
        return [Finding("network", NOTE, "not checked: no provider may be asked now.",
                        f"wait, or add to providers under [search] in {shown(root / 'config/default.toml')}")]
    own = [urlsplit(url) for name in ("searxng", *WIKIS) for url in asked.get(name, [])]  # may be private
    private = [f"{parts.hostname}:{parts.port or {'http': 80, 'https': 443}[parts.scheme]}" for parts in own]
    web = Web(dataclasses.replace(config.web, allow_private=[*config.web.allow_private, *private]))

    def failure(url: str) -> str:
        rules = fetch_rules(web, robots_url(url), seconds=ANSWER_SEC)
        reason = rules.rejection if isinstance(rules, Rules) else ""
        return "no valid answer" if reason == "robots_unavailable" else reason_in_words(reason)

    urls = list({host_of(url): url for urls in asked.values() for url in urls}.values())
    with ThreadPoolExecutor(len(urls)) as pool:
        failures = dict(zip(map(host_of, urls), pool.map(failure, urls), strict=True))
    n = sum(not reason for reason in failures.values())
    if not n:
        listed = "; ".join(f"{host}: {reason}" for host, reason in list(failures.items())[:MAX_HOSTS])
        return [Finding("network", BAD, f"none of {len(failures)} hosts answered ({listed}).",
                        "connect this machine to a network, or "
                        + status.set_in(root, "web", 'proxy = "http://HOST:PORT"')
                        + ". Without a network, try the demonstration: " + command("run.py", DEMO))]
    findings = [Finding("network", OK, f"{n} of {len(failures)} hosts answered")]
    for name, urls in asked.items():
        failed = [f"{host}: {failures[host]}" for host in map(host_of, urls) if failures[host]]
        if len(failed) == len(urls):
            findings.append(Finding(name, NOTE, "; ".join(failed), WAIT))
        else:
            findings.append(Finding(name, OK, "reachable" + (f", except {'; '.join(failed)}" if failed else "")))
    return findings
