"""What the tests of the trace need: a root whose training documents are known."""

import json
from pathlib import Path

from helpers import add_clean_line, add_raw_line, document

import prepare
from miniature_memory.counting.suffixes import update_suffixes
from miniature_memory.storage.catalog import Catalog
from miniature_memory.training.config import PrepareConfig

CONFIG = PrepareConfig(tokenizer="byte")


def middle(n: int) -> str:
    """What only story n says: 41 characters."""
    return " ".join(f"{n * 7919 * (i + 3) % 100_003:05}" for i in range(7))


def story(n: int) -> str:
    """All of the same length."""
    return f"The ship lay in the harbour, her sails furled. Crème brûlée «{middle(n)}» — so they waited for the tide."


def add_stories(root: Path, numbers: range) -> None:
    """As the stages before prepare add documents."""
    with Catalog(root) as catalog:
        for n in numbers:
            content = document(story(n), f"http://example.org/{n}")
            content["metadata"] |= {"title": f"Story {n}"}  # type: ignore[operator]
            add_raw_line(catalog, content)
            add_clean_line(catalog, content)


def learn(root: Path) -> None:
    """What prepare and train do to the text."""
    prepare.run(CONFIG, root)
    bins = json.loads((root / "data/bins.json").read_text())
    update_suffixes(root, bins["growth"][-1]["train_tokens"], bins["vocab_size"])


def in_training(root: Path) -> list[int]:
    """The stories that are not held out."""
    with Catalog(root, read_only=True) as catalog:
        rows = catalog.execute("SELECT url FROM clean_documents AS clean JOIN documents USING (id) "
                               "WHERE split = 'train' ORDER BY clean.seq")
        return [int(url.rpartition("/")[2]) for (url,) in rows]
