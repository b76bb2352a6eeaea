"""What the report shows of a root: samples, rejected documents, the dataset, the queries. Forgives damage.

Of each file only the last bytes are read, and a large dataset is looked at through MOST_DOCUMENTS documents, spread
over all of it, so that time and memory stay small.
"""

from collections import Counter, defaultdict, deque
from pathlib import Path
from typing import Any, NamedTuple

from miniature_memory.core.findings import Finding
from miniature_memory.storage import counts, topic_pages
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.counts import Counts
from miniature_memory.storage.files import read_lines
from miniature_memory.storage.topic_pages import FitSummary
from miniature_memory.views import status
from miniature_memory.views.history import Run, number

MOST_DOCUMENTS = 20_000  # looked at for hosts, languages and lengths
HISTORY_BYTES = 32_000_000  # of runs.jsonl and samples.jsonl, each, from their ends: more than ten thousand runs
REJECTED_BYTES = 4_000_000  # of rejected.jsonl, from its end
EXAMPLES = 3  # of a reason, the newest

Reason = tuple[str, str]  # stage, code


class Dataset(NamedTuple):
    counts: Counts
    hosts: list[tuple[str, int]]  # of the documents looked at, most first
    languages: list[tuple[str, int]]
    licenses: list[tuple[str, int]]
    lengths: list[int]  # bytes of text of the documents looked at, in order
    topic: FitSummary | None  # None where no document was judged by it


class Copied(NamedTuple):
    """How much of a model's texts stands in training documents, eight tokens or more in a row."""

    share: float
    longest: float  # tokens
    sources: list[tuple[str, str]]  # (title, url), those of the longest first


class Sample(NamedTuple):
    """What one model made of the prompts."""

    time: str
    val_bpb: float | None
    prompts: list[str]
    texts: list[str]
    originals: list[str]
    copied: Copied | None  # None where it was not traced


def read_dataset(root: Path, problems: list[Finding], min_topic_fit: float = 0.0) -> Dataset | None:
    """None, and a problem, if there is no catalog that can be read."""
    everything = status.read_counts(root, problems)
    if not everything:
        return None
    hosts, languages, licenses, lengths = Counter[str](), Counter[str](), Counter[str](), list[int]()
    with Catalog(root, read_only=True) as catalog:
        for text_bytes, language, host, license in counts.sample_documents(catalog, MOST_DOCUMENTS):
            lengths.append(text_bytes)
            languages[language or "unknown"] += 1
            licenses[license[:100]] += 1
            hosts[host[:100] or "local files"] += 1
        topic = topic_pages.summary(catalog, min_topic_fit, EXAMPLES) if min_topic_fit else None
    return Dataset(everything, hosts.most_common(), languages.most_common(), licenses.most_common(), sorted(lengths),
                   topic if topic and topic.judged else None)


def count_dropped(runs: list[Run]) -> Counter[Reason]:
    """What the stages skipped and rejected, over all runs."""
    dropped = Counter[Reason]()
    for run in runs:
        for stats in run.stages.values():
            for reason, n in stats.dropped.items():
                dropped[stats.stage, reason] += n
    return dropped


def read_examples(root: Path) -> dict[Reason, deque[dict[str, Any]]]:
    """The newest rejected documents of each reason, as lines of rejected.jsonl."""
    examples: dict[Reason, deque[dict[str, Any]]] = defaultdict(lambda: deque(maxlen=EXAMPLES))
    for line in read_lines(root / "data/rejected.jsonl", REJECTED_BYTES):
        examples[str(line.get("stage")), str(line.get("reason"))].append(line)
    return examples


def copied_in(line: dict[str, Any]) -> Copied | None:
    match line.get("copied"):  # earlier releases have a list of numbers
        case {"share": share, "longest": longest, "sources": list(sources)} if (
                number(share) is not None and number(longest) is not None):
            return Copied(share, longest, [(title, url) for one in sources if isinstance(one, list) and len(one) == 2
                                           for title, url in [map(str, one)]])
    return None


def read_samples(root: Path) -> list[Sample]:
    """One for each model that got the same prompts as the last one."""
    found: list[Sample] = []
    for line in read_lines(root / "data/samples.jsonl", HISTORY_BYTES):
        texts = [line.get(key) for key in ("prompts", "texts", "originals")]
        if all(isinstance(each, list) and all(isinstance(text, str) for text in each) for each in texts):
            if found and found[-1].prompts != line["prompts"]:
                found.clear()
            found.append(Sample(str(line.get("time", "")), number(line.get("val_bpb")), line["prompts"], line["texts"],
                                line["originals"], copied_in(line)))
    return found
