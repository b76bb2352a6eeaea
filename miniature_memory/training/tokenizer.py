"""Tokenizer: text to token ids and back, one mechanism for all kinds.

data/tokenizer/ranks.tiktoken   tiktoken's text form: base64 of a token's bytes, a space, its id
data/tokenizer/meta.json        kind, pattern, end-of-text id, hash, whether it is provisional

Every kind is a byte-level tiktoken encoding, so any text encodes and decodes to itself. They differ in pattern and
ranks alone: `bpe` is trained with rustbpe on the dataset, `byte` has the 256 bytes, and `char` adds to those the
characters of the dataset that need more than one byte.
"""

import base64
import hashlib
import json
import queue
import threading
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rustbpe
import tiktoken

from miniature_memory.core.errors import StageError, Stopped
from miniature_memory.core.paths import command, shown
from miniature_memory.training.config import MAX_VOCAB_SIZE

RANKS_FILE, META_FILE = "ranks.tiktoken", "meta.json"
TEXTS_AHEAD = 64  # read, and waiting to be learned from
TRAINED_KINDS = ("bpe", "char")  # "byte" is the same whatever the text

# GPT-4's split pattern (tiktoken, cl100k_base) with numbers in groups of at most two digits, which at small
# vocabularies gave fewer bits per byte: nanochat, tokenizer.py and dev/LOG.md. Marks belong to the word that they stand
# in, as in o200k_base: without that, the vowel signs of Hindi end a word, and a token holds 2 characters instead of 3.
BPE_PATTERN = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+[\p{L}\p{M}]+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*"
               r"|\s*[\r\n]|\s+(?!\S)|\s+")
ONE_CHARACTER = r"(?s:.)"


@dataclass(frozen=True)
class Tokenizer:
    """A byte-level encoding and its end-of-text token, the last id of the vocabulary."""

    kind: str
    pattern: str
    ranks: dict[bytes, int]  # token bytes -> id, ids 0 .. len(ranks) - 1
    provisional: bool = False  # made from too little text: rebuilt when there is more

    @property
    def eot_token(self) -> int:
        return len(self.ranks)

    @property
    def vocab_size(self) -> int:
        return len(self.ranks) + 1

    @cached_property
    def hash(self) -> str:
        """Names the mapping from text to ids; checkpoints and bins made with another one do not fit."""
        return hashlib.sha256(self.pattern.encode() + b"\0" + ranks_text(self.ranks)).hexdigest()

    @cached_property
    def encoding(self) -> tiktoken.Encoding:
        return tiktoken.Encoding(self.kind, pat_str=self.pattern, mergeable_ranks=self.ranks,
                                 special_tokens={"<|endoftext|>": self.eot_token})

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; a literal "<|endoftext|>" in it is text like any other."""
        return self.encoding.encode_ordinary(text)

    def encode_document(self, text: str) -> np.ndarray:
        """uint16 ids of `text` and of its end. Raises ValueError for an id that does not fit.

        Other threads run meanwhile, and the ids never pass through a list of Python's integers.
        """
        try:
            ids = self.encoding.encode_to_numpy(text, disallowed_special=())
        except UnicodeEncodeError:  # a lone surrogate, which encode() replaces
            ids = np.array(self.encode(text), dtype=np.uint32)
        largest = max(int(ids.max(initial=0)), self.eot_token)
        if largest >= min(self.vocab_size, MAX_VOCAB_SIZE):  # before the cast, which would wrap round
            raise ValueError(f"the tokenizer gave the id {largest}; expected ids below {self.vocab_size}")
        document = np.empty(len(ids) + 1, dtype="<u2")
        document[:-1], document[-1] = ids, self.eot_token
        return document

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        return self.encoding.decode_bytes([int(i) for i in ids if i != self.eot_token])

    def decode(self, ids: Iterable[int]) -> str:
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def token_bytes(self) -> np.ndarray:
        """int32 (vocab_size,): how many bytes of text each id stands for; 0 for the end-of-text token."""
        sizes = np.zeros(self.vocab_size, dtype=np.int32)
        for token, rank in self.ranks.items():
            sizes[rank] = len(token)
        return sizes

    def files(self) -> dict[str, bytes]:
        """The contents of the two files that `load` reads."""
        meta = {"kind": self.kind, "pattern": self.pattern, "vocab_size": self.vocab_size,
                "eot_token": self.eot_token, "hash": self.hash, "provisional": self.provisional}
        return {RANKS_FILE: ranks_text(self.ranks), META_FILE: (json.dumps(meta, indent=1) + "\n").encode()}


def ranks_text(ranks: dict[bytes, int]) -> bytes:
    rows = sorted(ranks.items(), key=lambda item: item[1])
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in rows)


def load(folder: Path) -> Tokenizer:
    """The tokenizer in `folder`, data/tokenizer of a root. Raises StageError if there is none or it is damaged."""
    fix = f"restore {shown(folder)} from a copy, or make a new tokenizer and new bins: " + retokenize(folder.parents[1])
    try:
        meta = json.loads((folder / META_FILE).read_text(encoding="utf-8"))
        rows = (line.split() for line in (folder / RANKS_FILE).read_bytes().splitlines())
        ranks = {base64.b64decode(token): int(rank) for token, rank in rows}
        tokenizer = Tokenizer(meta["kind"], meta["pattern"], ranks, meta["provisional"])
        found = tokenizer.hash
        if sorted(ranks.values()) != list(range(len(ranks))) or len(ranks) >= MAX_VOCAB_SIZE:
            raise ValueError(f"its ids are not 0 to {len(ranks) - 1}, or too many for uint16")
        if any(bytes([byte]) not in ranks for byte in range(256)):
            raise ValueError("a byte is no token, so that not every text can be encoded")
        tokenizer.encode("a text")  # whose pattern may be none
    except FileNotFoundError as error:
        raise StageError(f"There is no {error.filename}.", "the tokenizer that made the bins.", fix) from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise StageError(f"{folder} holds no readable tokenizer ({error}).", f"{RANKS_FILE} and {META_FILE}.",
                         fix) from None
    if found != meta["hash"]:
        raise StageError(f"{folder / RANKS_FILE} has the hash {found[:12]}.",
                         f"{str(meta['hash'])[:12]}, as {META_FILE} has it.", fix)
    return tokenizer


def retokenize(root: Path) -> str:
    """The command that makes a new tokenizer, and new bins with it."""
    return command("prepare.py", root, "--retokenize")


def train(kind: str, texts: Iterable[str], vocab_size: int, provisional: bool = False) -> Tokenizer:
    """A new tokenizer of `kind` from `texts`, of at most `vocab_size` tokens with the end-of-text token."""
    single_bytes = {bytes([i]): i for i in range(256)}
    if kind == "bpe":
        return Tokenizer(kind, BPE_PATTERN, train_bpe(texts, vocab_size - 1), provisional)
    if kind == "byte":
        return Tokenizer(kind, ONE_CHARACTER, single_bytes)
    counts = Counter(character for text in texts for character in text if character > "\x7f")
    wide = [character.encode() for character, _ in counts.most_common(vocab_size - 257)]
    return Tokenizer("char", ONE_CHARACTER, single_bytes | {token: 256 + i for i, token in enumerate(wide)},
                     provisional)


def train_bpe(texts: Iterable[str], n_tokens: int) -> dict[bytes, int]:
    """The ranks that rustbpe learns from `texts`, in a thread of its own: 43 MB take it 5 s, and a signal must neither
    wait for that nor arrive within its calls to logging, which would end in a SystemError."""
    bpe, learned = rustbpe.Tokenizer(), Future[None]()
    waiting: queue.Queue[str | None] = queue.Queue(TEXTS_AHEAD)  # the catalog is read in its own thread

    def learn() -> None:
        try:
            bpe.train_from_iterator(iter(waiting.get, None), n_tokens, pattern=BPE_PATTERN)
            learned.set_result(None)
        except BaseException as error:  # of Rust, too
            learned.set_exception(error)
            while waiting.get() is not None:
                pass

    threading.Thread(target=learn, daemon=True).start()
    try:
        for text in texts:
            waiting.put(text)
        waiting.put(None)
        learned.result()
    except Stopped as stop:
        stop.leaves_thread = True
        raise
    except BaseException:
        waiting.put(None)  # so that the thread ends
        raise
    return {bytes(token): rank for token, rank in bpe.get_mergeable_ranks()}


class BadId(NamedTuple):
    """An id outside of a vocabulary, and which token of its file it is."""

    place: int
    id: int


def first_bad_id(path: Path, n_tokens: int, vocab_size: int) -> BadId | None:
    """The first id of a bin that is not below vocab_size. Read, not mapped: pages of a map count as our memory."""
    with open(path, "rb") as stream:
        for first in range(0, n_tokens, 1 << 20):
            ids = np.fromfile(stream, dtype="<u2", count=min(1 << 20, n_tokens - first))
            bad = np.flatnonzero(ids >= vocab_size)
            if len(bad):
                return BadId(first + int(bad[0]), int(ids[bad[0]]))
    return None
