"""Doctor's look at the web: may each provider be asked, and what does it answer? One that takes queries gets one, of
the others' hosts only robots.txt is asked for, by the rules of crawl/web.py; an engine with a key is asked only with
--ask-paid. Nothing is kept but the count of what is paid."""

import sqlite3
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from miniature_memory.core.config import Tables, build_config
from miniature_memory.core.errors import ConfigError, StageError
from miniature_memory.core.findings import BAD, NOTE, OK, Finding
from miniature_memory.core.paths import DEMO, command, shown
from miniature_memory.core.text import counted, host_of
from miniature_memory.crawl.outcomes import NO_ANSWER, grouped, reason_in_words
from miniature_memory.crawl.robots import Rules, fetch_rules, robots_url
from miniature_memory.crawl.seeds import Seed, read_lines, read_seeds
from miniature_memory.crawl.urls import browser_url
from miniature_memory.crawl.web import Web
from miniature_memory.providers import open_sources
from miniature_memory.providers.commoncrawl import COMMONCRAWL
from miniature_memory.providers.config import KEYED, SearchConfig
from miniature_memory.providers.engine_keys import spending, with_keys
from miniature_memory.providers.feed_reader import Listing
from miniature_memory.providers.provider import Ask, ProviderError
from miniature_memory.providers.provider_registry import PROVIDERS
from miniature_memory.providers.query_search import CANARY, RESULTS_PER_PAGE, answer_of, related
from miniature_memory.storage import backoffs
from miniature_memory.storage.catalog import Catalog
from miniature_memory.views import status

ANSWER_SEC = 8.0  # for one answer from the web
MAX_HOSTS = 3  # of one provider that are asked
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
        elif not (urls := addresses(name, config, seeds)) and PROVIDERS[name].takes != "query":
            findings.append(Finding(name, OK, f"no address for it in {shown(root / 'config/seeds.txt')}"))
        elif urls and all(host_of(url) in paused for url in urls):
            findings.append(Finding(name, NOTE, f"{host_of(urls[0])} is paused until {paused[host_of(urls[0])]}", WAIT))
        else:
            asked[name] = [url for url in urls if host_of(url) not in paused]
    return findings + ask(asked, config, root)


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
    """A URL for each host that a provider asks, a few of them; none where its function alone knows them."""
    wikis = [wiki.replace("{language}", config.language) for wiki in config.wikis]
    urls = {"commoncrawl": [COMMONCRAWL], "searxng": [config.searxng_url], "mediawiki": wikis, "wikilinks": wikis,
            "marginalia": [open_sources.MARGINALIA], "hackernews": [open_sources.HACKERNEWS],
            "internetarchive": [open_sources.INTERNETARCHIVE], "stackexchange": [open_sources.STACKEXCHANGE],
            }.get(name, [seed.url for seed in seeds if PROVIDERS[name].reads(seed.kind)])
    return list({host_of(url): url for url in map(browser_url, urls) if url}.values())[:MAX_HOSTS]


def ask(asked: dict[str, list[str]], config: SearchConfig, root: Path) -> list[Finding]:
    """Ask all providers at once: what takes a query for results, the hosts of others for robots.txt."""
    if not asked:
        return [Finding("network", NOTE, "not checked: no provider may be asked now.",
                        f"wait, or add to providers under [search] in {shown(root / 'config/default.toml')}")]
    web, turns = Web(config.web), defaultdict[str, Lock](Lock)  # two that ask the same hosts take turns
    with ThreadPoolExecutor(len(asked) * (MAX_HOSTS + 1)) as pool:
        answers = {name: pool.submit(try_query, name, config, web, turns) if PROVIDERS[name].takes == "query" else
                   pool.submit(try_hosts, urls, web, pool) for name, urls in asked.items()}
        found = {name: answer.result() for name, answer in answers.items()}
    if not any(answer.has_answered for answer in found.values()):
        listed = grouped((name, answer.text) for name, answer in found.items())
        return [Finding("network", BAD, f"none of {counted(len(found), 'provider')} answered ({listed}).",
                        "connect this machine to a network, or "
                        + status.set_in(root, "web", 'proxy = "http://HOST:PORT"')
                        + ". Without a network, try the demonstration: " + command("run.py", DEMO))]
    n = sum(answer.has_answered for answer in found.values())
    return [Finding("network", OK, f"{n} of {counted(len(found), 'provider')} answered")] + [
        Finding(name, OK, answer.text) if answer.is_good else Finding(name, NOTE, answer.text, WAIT)
        for name, answer in found.items()]


class Answer(NamedTuple):
    text: str
    is_good: bool
    has_answered: bool  # it may have refused


def try_query(name: str, config: SearchConfig, web: Web, turns: defaultdict[str, Lock]) -> Answer:
    """What a provider answers to a query that has results everywhere."""
    try:
        with turns[PROVIDERS[name].shares or name]:
            found = answer_of(name, Ask(CANARY, RESULTS_PER_PAGE, 0, config, web, Listing), ANSWER_SEC)
    except ProviderError as error:
        return Answer(reason_in_words(error.reason), False, error.reason not in NO_ANSWER)
    doubt = "" if related(CANARY, found) else "unrelated"
    if not found and PROVIDERS[name].zero_may_lie:
        doubt = "silent"
    return Answer(reason_in_words(doubt) or f'{counted(len(found), "result")} for "{CANARY}"', not doubt, True)


def try_hosts(urls: list[str], web: Web, pool: ThreadPoolExecutor) -> Answer:
    """Whether hosts answer when they are asked for robots.txt."""
    failures = zip(map(host_of, urls), pool.map(partial(robots_failure, web), urls), strict=True)
    failed = [f"{host}: {failure}" for host, failure in failures if failure]
    listed, has_answered = "; ".join(failed), len(failed) < len(urls)
    return Answer("reachable" + f", except {listed}" * bool(failed) if has_answered else listed, has_answered,
                  has_answered)


def robots_failure(web: Web, url: str) -> str:
    """Why a host gives no valid answer for robots.txt; "" if it does."""
    rules = fetch_rules(web, robots_url(url), seconds=ANSWER_SEC)
    reason = rules.rejection if isinstance(rules, Rules) else ""
    return "no valid answer" if reason == "robots_unavailable" else reason_in_words(reason)
