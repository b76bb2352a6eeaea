"""Trace: which documents a text repeats word for word.

The stretches of eight tokens or more that stand in data/train.bin come from the suffix array, as in OLMoTrace
(arXiv 2504.07096). train.bin does not say whose tokens it holds. So the document of a place is searched among those of
as many bytes, the nearest in order first, and counts only if its text is to the byte what the tokens decode to.
"""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import command, shown
from miniature_memory.core.text import counted, strip_control
from miniature_memory.counting.copies import places_of, stretches
from miniature_memory.counting.suffixes import DEPTH, MOST_TOKENS, is_whole, load_suffixes
from miniature_memory.storage import clean_documents, forgotten
from miniature_memory.storage.catalog import Catalog
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.training.bins import find_ends

MOST_SOURCES = 3  # of a stretch
MOST_CANDIDATES = 20  # documents of one size that are read to find the one
CONTEXT_CHARS = 80  # of a document, before and after a stretch
PRINTED_CHARS = 300  # of a stretch


class Source(NamedTuple):
    """A document that contains a stretch, and the text around it there."""

    id: str
    title: str
    url: str
    before: str
    after: str


class Stretch(NamedTuple):
    """Tokens that occur word for word in the training text. first and end: the part that no longer stretch covers."""

    first: int
    end: int
    tokens: int  # of all of it
    text: str  # of all of it
    sources: list[Source]  # none: its document is not in the clean set any more


class Tracer:
    """What it takes to trace texts to the documents of a root. Raises StageError if there is no array for its text."""

    def __init__(self, root: Path) -> None:
        if not (root / "data/train.bin").exists():
            raise StageError(f"Nothing can be traced: there is no training text in {shown(root / 'data')} yet.",
                             "train.bin and suffixes.bin, which a run writes.", command("run.py", root))
        self.root, self.tokenizer = root, tokenizers.load(root / "data/tokenizer")
        suffixes = load_suffixes(root, self.tokenizer.vocab_size)
        if suffixes is None or not is_whole(root, suffixes):
            raise StageError(f"Nothing can be traced: {shown(root / 'data/suffixes.bin')} is missing or does not fit "
                             "the training text.",
                             "the suffix array that train writes while train.counts = true.",
                             command("run.py", root, "--only train", "--set train.counts=true")
                             if (root / "data/train.bin").exists() else forgotten.first_run(root))
        train_bin = root / "data/train.bin"
        self.suffixes, n_tokens = suffixes, train_bin.stat().st_size // 2
        self.ends = find_ends(train_bin, self.tokenizer.eot_token, 0, n_tokens)
        self.token_bytes = self.tokenizer.token_bytes()
        try:
            with Catalog(root, read_only=True) as catalog:
                documents = clean_documents.sizes_of_training(catalog)
        except StageError:  # bins of another origin
            documents = []
        self.seqs, self.sizes = np.array(documents, np.int64).reshape(-1, 2).T

    def trace(self, tokens: list[int]) -> list[Stretch]:
        """The stretches of these tokens that occur in training documents, longest first."""
        shown, runs, is_covered = [], list[list[int]](), np.zeros(len(tokens), bool)
        for first, end in sorted(stretches(self.suffixes, tokens), key=lambda pair: pair[0] - pair[1]):
            rest = first + np.flatnonzero(~is_covered[first:end])
            if len(rest):
                is_covered[first:end] = True
                shown.append((int(rest[0]), int(rest[-1]) + 1))
                runs.append(tokens[first:end])
        return [Stretch(*part, len(run), strip_control(self.decode(run).decode(errors="ignore")), sources)
                for part, run, sources in zip(shown, runs, self.find_sources(runs), strict=True)]

    def find_sources(self, runs: list[list[int]]) -> list[list[Source]]:
        """The first documents that contain each of these runs of tokens."""
        found: list[list[Source]] = [[] for _ in runs]
        with contextlib.suppress(StageError), Catalog(self.root, read_only=True) as catalog:  # gone, or another release
            for run, places, sources in zip(runs, places_of(self.suffixes, runs), found, strict=True):
                documents, first_of = np.unique(np.searchsorted(self.ends, places), return_index=True)
                for i, place in zip(documents[:MOST_SOURCES], places[first_of], strict=False):
                    if source := self.source(catalog, int(i), int(place), len(run)):
                        sources.append(source)
        return found

    def source(self, catalog: Catalog, i: int, place: int, n_tokens: int) -> Source | None:
        """Document i of train.bin, counted from 0; None if the clean set has none of its text."""
        begin, end = int(self.ends[i - 1]) + 1 if i else 0, int(self.ends[i]) if i < len(self.ends) else 0
        ids = self.suffixes.text[begin:end]
        starts = np.concatenate(([0], np.cumsum(self.token_bytes[ids])))  # in bytes, of each token and of the end
        same_size = np.flatnonzero(self.sizes == starts[-1])
        for k in same_size[np.argsort(np.abs(same_size - i), kind="stable")][:MOST_CANDIDATES]:
            document = clean_documents.read_at(catalog, int(self.seqs[k]))
            content = document["text"].encode(errors="replace") if document else b""
            if document and content == self.decode(ids.tolist()):
                before = content[:starts[place - begin]][-4 * CONTEXT_CHARS:].decode(errors="ignore")
                after = content[starts[place - begin + n_tokens]:][:4 * CONTEXT_CHARS].decode(errors="ignore")
                named = document["id"], document["metadata"]["title"], str(document["metadata"].get("url", ""))
                return Source(*map(strip_control, (*named, before[-CONTEXT_CHARS:], after[:CONTEXT_CHARS])))
        return None

    def decode(self, ids: list[int]) -> bytes:
        content: bytes = self.tokenizer.encoding.decode_bytes(ids)
        return content

    def note(self) -> str:
        """Which part of the training text is not looked at; "" if all of it is."""
        n_traced, n = len(self.suffixes.text), (self.root / "data/train.bin").stat().st_size // 2
        if n_traced == n:
            return ""
        if n_traced >= MOST_TOKENS:
            return f"Only the first {n_traced:,} of {n:,} tokens of the training text are looked at."
        return (f"The last {n - n_traced:,} tokens of the training text are not looked at yet. Fix: "
                + command("run.py", self.root, "--only train"))


@functools.lru_cache(maxsize=1)
def _open(root: Path, _changed: tuple[int, ...]) -> Tracer:
    return Tracer(root)


def open_tracer(root: Path) -> Tracer:
    """The Tracer of a root, opened again only once what it reads has changed."""
    paths = root / "data/suffixes.json", root / "data/clean"
    return _open(root, tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in paths))


def covered(traced: list[Stretch]) -> int:
    """How many tokens occur in training documents."""
    return sum(stretch.end - stretch.first for stretch in traced)


def share_of(traced: list[Stretch], n_tokens: int, whose: str) -> str:
    """How much of a text occurs in training documents, as a sentence without its full stop."""
    return (f"{100 * covered(traced) / n_tokens:.0f} % of {whose} occur in training documents, {DEPTH} or more in a row"
            if traced else f"No {DEPTH} tokens in a row occur in a training document")


def describe(tracer: Tracer, tokens: list[int]) -> Iterator[str]:
    """Lines for people: how much is copied, and each stretch, longest first, with its sources."""
    traced = tracer.trace(tokens)
    yield f"{share_of(traced, len(tokens), counted(len(tokens), 'token'))}{':' if traced else '.'}"
    for stretch in traced:
        words = " ".join(stretch.text.split())
        yield f"{stretch.tokens:4} tokens  {words[:PRINTED_CHARS]}{' …' * (len(words) > PRINTED_CHARS)}"
        for source in stretch.sources:
            yield " " * 13 + " · ".join(filter(None, (" ".join(source.title.split()), source.url)))
        if not stretch.sources:
            yield " " * 13 + "(its document is not in the clean set any more)"
    if note := tracer.note():
        yield note
