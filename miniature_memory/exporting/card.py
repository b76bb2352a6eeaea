"""The dataset card: README.md with the front matter that Hugging Face's datasets reads, and what a reader has to know.

What pages say, such as their hosts and licenses, is a stranger's: in the card it is one short line of plain text.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from miniature_memory.core.config import Tables
from miniature_memory.core.progress import Progress
from miniature_memory.core.text import counted, strip_control, timestamp
from miniature_memory.core.version import VERSION
from miniature_memory.exporting.rows import COLUMNS, REJECTED, REJECTED_COLUMNS, Row, kept_rows
from miniature_memory.storage import clean_documents
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.disk import in_words
from miniature_memory.storage.files import QUERIES, read_list

MOST_LINES = 20  # of a table
MOST_CELL_CHARS = 80
MARKUP = re.compile(r"[\\`*_|<>\[\]&#~]")
TEXT = """
# {topic}

{documents} on the topic "{topic}", with {size} of text. Made with miniature-memory {version} on {day}.

```python
from datasets import load_dataset

documents = load_dataset("path/to/this/folder")["train"]
print(documents[0]["url"], documents[0]["text"][:200])
```

Each row is one document: its text, where it comes from and how it was read. Unknown values are empty strings. `id` is
the SHA-256 of the text before cleaning; `source` is how the URL was found; `warc_file` and `warc_offset` are the place
of the page in the archive of the collection, which is not part of this dataset. `train` and `validation` are the splits
of the collection's own model, and a document never changes its split.{rejected}

## Contents

{tables}

## Licenses

The texts belong to their authors. The table above counts licenses as the pages name them, which was not verified;
"none named" means all rights reserved unless the author says otherwise. Check the license of a document at its `url`
before you publish it or what you make of it.

## How it was made

Pages were searched for and fetched politely, respecting robots.txt, or read from local files. Their main text was
extracted, validated (intact, in a wanted language) and cleaned: boilerplate was removed, low quality was rejected by
rules after Gopher, C4 and FineWeb, and of near-duplicates (MinHash) the first was kept.

{masking}

## Limits

- Nobody has read these texts: they may be wrong, biased, offensive or out of date.
- Languages, main texts, near-duplicates and personal data are found by rules and small models, which make mistakes.
- It shows what a search for this topic found on some days, and not the topic as a whole.
"""
MASKED = """\
Personal data: e-mail addresses, phone, card and account numbers and public IP addresses were replaced by words such as
[phone number]; names were not."""
NOT_MASKED = "Personal data was not masked, since clean.mask_personal_data is off."
REJECTED_TEXT = """

The configuration `rejected` holds what the rules rejected, each with the stage, the reason, the value that was measured
and its threshold: `load_dataset("path/to/this/folder", "rejected")`."""


@dataclass
class Facts:
    """What the card says about the rows that were written."""

    topic: str
    is_masked: bool
    documents: Counter[str] = field(default_factory=Counter)  # by split
    text_bytes: Counter[str] = field(default_factory=Counter)
    hosts: Counter[str] = field(default_factory=Counter)  # of documents that are not rejected
    languages: Counter[str] = field(default_factory=Counter)
    licenses: Counter[str] = field(default_factory=Counter)

    def add(self, split: str, row: Row) -> None:
        self.documents[split] += 1
        self.text_bytes[split] += len(row["text"].encode())
        if split != REJECTED:
            self.hosts[row["host"] or "local files"] += 1
            self.languages[row["language"] or "unknown"] += 1
            self.licenses[row["license"] or "none named"] += 1

    def language_codes(self) -> list[str]:
        """The languages by ISO 639, the commonest first."""
        return [code for code, _ in self.languages.most_common() if re.fullmatch("[a-z]{2,3}", code)]

    def tables(self) -> str:
        """How many documents are of each split, host, language and license."""
        return "\n\n".join((table("split", self.documents, self.text_bytes), table("host", self.hosts),
                            table("language", self.languages), table("license, as pages name it", self.licenses)))

    def describe_splits(self) -> str:
        return ", ".join(f"{n:,} {split}" for split, n in self.documents.items())


def topic_of(root: Path, tables: Tables) -> str:
    """What a root is about: its topic, or else its first queries, or else the name of its folder."""
    return (str(tables["run"]["topic"]) or ", ".join(read_list(root / QUERIES)[:3])
            or root.resolve().name.replace("-", " "))


def read_facts(root: Path, topic: str) -> Facts:
    """What the documents are that the root has now."""
    facts = Facts(topic, is_masked=True)
    with Catalog(root, read_only=True) as catalog:
        for row in Progress(kept_rows(catalog), "card", clean_documents.count(catalog), unit=" documents"):
            facts.add(row["split"], row)
    return facts


def card(facts: Facts, suffix: str) -> str:
    """README.md of a dataset whose files end in `suffix`."""
    kept = {split: n for split, n in facts.documents.items() if split != REJECTED}
    return _front_matter(facts, suffix) + TEXT.format(
        topic=plain(facts.topic), documents=counted(sum(kept.values()), "document"), version=VERSION,
        size=in_words(sum(facts.text_bytes[split] for split in kept)), day=timestamp()[:10], tables=facts.tables(),
        masking=MASKED if facts.is_masked else NOT_MASKED,
        rejected=REJECTED_TEXT if REJECTED in facts.documents else "")


def _front_matter(facts: Facts, suffix: str) -> str:
    kept = [split for split in facts.documents if split != REJECTED]
    configs: dict[str, tuple[list[str], tuple[str, ...]]] = {"default": (kept, COLUMNS)}
    if REJECTED in facts.documents:
        configs[REJECTED] = ([REJECTED], REJECTED_COLUMNS)
    values = {"pretty_name": plain(facts.topic), "language": facts.language_codes(), "license": "other",
              "license_name": "as-each-page-names-it", "task_categories": ["text-generation"],
              "size_categories": [_size_category(sum(facts.documents[split] for split in kept))],
              "configs": [{"config_name": name, "data_files": [
                  {"split": split, "path": f"data/{split}{suffix}"} for split in splits]}
                  for name, (splits, _) in configs.items()],
              "dataset_info": [{"config_name": name, "features": [
                  {"name": column, "dtype": "string"} for column in columns]}
                  for name, (_, columns) in configs.items()]}
    return front_matter(values)


def front_matter(values: Mapping[str, object]) -> str:
    """What hubs read at the top of a card: YAML, with each value as JSON, which is YAML too; without empty ones."""
    lines = (f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items() if value)
    return "\n".join(("---", *lines, "---", ""))


def _size_category(n: int) -> str:
    """As Hugging Face's hub names it."""
    names = ["1K", "10K", "100K", "1M", "10M", "100M"]
    above = next((i for i in range(len(names)) if n < 10 ** (i + 3)), len(names) - 1)
    return f"{names[above - 1]}<n<{names[above]}" if above else "n<1K"


def table(name: str, documents: Counter[str], text_bytes: Counter[str] | None = None) -> str:
    """The commonest values with their documents, as a table in Markdown."""
    shown = documents.most_common(MOST_LINES)
    others = len(documents) - len(shown)
    rows = [[plain(value), f"{n:,}"] for value, n in shown]
    if others:
        rows.append([f"{others:,} others", f"{documents.total() - sum(n for _, n in shown):,}"])
    head = [name, "documents"]
    if text_bytes:
        head.append("bytes of text")
        rows = [[*row, f"{text_bytes[row[0]]:,}"] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def plain(text: str) -> str:
    """A stranger's text as one short line that is no markup."""
    line = " ".join(MARKUP.sub(" ", strip_control(text)).split())
    return line[:MOST_CELL_CHARS] or "-"
