"""The report of a root that holds nothing yet: why, and what to do."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from miniature_memory.core.paths import command, shown
from miniature_memory.crawl import outcomes
from miniature_memory.crawl.outcomes import in_words, reason_in_words
from miniature_memory.storage.counts import Counts
from miniature_memory.storage.files import read_list
from miniature_memory.views.history import Run, last_stats
from miniature_memory.views.report_sections import clean, section

NOT_ASKED = in_words({"status": outcomes.NOT_ASKED})
MOST_SEEDS = 10  # shown of those that failed


def is_empty(runs: Sequence[Run], counts: Counts | None) -> bool:
    """Whether there is nothing to show: no page, and no run that came as far as the bins."""
    return not (counts and (counts.raw_documents or counts.pages)) and not any(
        {"prepare", "train"} & run.stages.keys() for run in runs)


def sections(runs: Sequence[Run], root: Path) -> str:
    why_not = "" if read_list(root / "config/seeds.txt") else ": no address is in config/seeds.txt"
    rows = "".join(f"<tr><td>{clean(name)}</td><td>{clean(outcome + why_not * (outcome == NOT_ASKED))}</td></tr>"
                   for name, outcome in tried(runs))
    note = "<p class=note>What the last run asked for pages, and what came of it.</p>"
    steps = "".join(f"<li>{step}</li>" for step in next_steps(runs, root))
    return (section("Why nothing is here yet", note, f"<table class=settings>{rows}</table>") if rows else "") \
        + section("What to do", f"<ul class=steps>{steps}</ul>")


def tried(runs: Sequence[Run]) -> Iterator[tuple[str, str]]:
    """(provider, seed or stage, what came of it) of the last run that searched."""
    search, scrape = (last_stats(list(runs), stage) for stage in ("search", "scrape"))
    providers, seeds = ((search.facts.get(name) if search else None) for name in ("providers", "seeds_failed"))
    if isinstance(providers, dict):
        yield from ((name, in_words(outcome)) for name, outcome in providers.items())
    if isinstance(seeds, dict):
        yield from ((str(url), reason_in_words(str(reason))) for url, reason in list(seeds.items())[:MOST_SEEDS])
    if scrape and scrape.dropped:
        yield "pages", ", ".join(f"{n:,} {reason_in_words(reason)}" for reason, n in scrape.dropped.most_common())


def next_steps(runs: Sequence[Run], root: Path) -> Iterator[str]:
    """What helps, as HTML."""
    def code(words: str) -> str:
        return f"<code>{escape(words)}</code>"

    queries, seeds, config = (code(shown(root / "config" / name)) for name in (
        "queries.txt", "seeds.txt", "default.toml"))
    run = code(command("run.py", root))
    if runs:
        yield f"{code(command('run.py', root, '--doctor'))} checks the network, each provider and the settings."
    else:
        yield f"Write what it should learn about into {queries}, one query per line, then {run}."
    if any("web.contact" in outcome for _, outcome in tried(runs)):
        yield (f"Set <code>contact</code> under <code>[web]</code> in {config}: Wikipedia and Wikisource then answer, "
               "too.")
    yield f"Add addresses of pages, feeds or sitemaps to {seeds}: they need no search engine. Then {run}."
    yield f"Learn from texts of your own: {code(command('run.py', root, '--texts FILE...'))}"
    yield f"See a whole run on built-in pages: {code(command('run.py', root, '--demo').partition(' --root')[0])}"
