"""tokenizer.json: our tokenizers in the form of Hugging Face's `tokenizers`, and back.

There, byte-level BPE spells each byte as one printable character (GPT-2, encoder.py), and lists which pairs of tokens
are merged, in order. tiktoken keeps ranks alone; the pair that makes a token is what encoding its bytes gives with the
lower ranks alone.
"""

from typing import Any

from miniature_memory.training.config import MAX_VOCAB_SIZE
from miniature_memory.training.tokenizer import BPE_PATTERN, ONE_CHARACTER, Tokenizer

END_OF_TEXT = "<|endoftext|>"
ANY_CHARACTER = r"[\s\S]"  # ONE_CHARACTER, whose spelling Oniguruma, the engine there, does not know
# What from_json() accepts: ours, and nanochat's, in which marks end a word; earlier releases had that one
PATTERNS = (BPE_PATTERN, BPE_PATTERN.replace(r"[\p{L}\p{M}]+", r"\p{L}+"), ANY_CHARACTER)


def spellings() -> list[str]:
    """The character that stands for each byte: itself if it is printable Latin-1, else one from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte if byte in printable else 256 + others.index(byte)) for byte in range(256)]


SPELLINGS = spellings()
BYTES = {character: byte for byte, character in enumerate(SPELLINGS)}


def spelled(token: bytes) -> str:
    return "".join(SPELLINGS[byte] for byte in token)


def merges(ranks: dict[bytes, int]) -> list[tuple[bytes, bytes]]:
    """The pair that makes each token, in the order of the tokens. A token that no pair makes, such as a character of
    three bytes, is found as a whole word alone."""
    pairs = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        parts = [token[i:i + 1] for i in range(len(token))]
        while len(parts) > 2:
            ranked = [ranks.get(parts[i] + parts[i + 1], rank) for i in range(len(parts) - 1)]
            best = min(ranked)
            if best >= rank:
                break
            first = ranked.index(best)
            parts[first:first + 2] = [parts[first] + parts[first + 1]]
        if len(parts) == 2:
            pairs.append((parts[0], parts[1]))
    return pairs


def to_json(tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of tokenizer.json. Its ids are the tokenizer's; "<|endoftext|>" in a text becomes eot_token there."""
    vocabulary = {spelled(token): rank for token, rank in sorted(tokenizer.ranks.items(), key=lambda item: item[1])}
    bytes_to_characters = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    end = {"id": tokenizer.eot_token, "content": END_OF_TEXT, "single_word": False, "lstrip": False, "rstrip": False,
           "normalized": False, "special": True}
    pattern = ANY_CHARACTER if tokenizer.pattern == ONE_CHARACTER else tokenizer.pattern
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [end], "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
            bytes_to_characters]},
        "post_processor": None, "decoder": bytes_to_characters,
        # ignore_merges: a word that is a token is that token, as in tiktoken
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
                  "vocab": vocabulary | {END_OF_TEXT: tokenizer.eot_token},
                  "merges": [f"{spelled(left)} {spelled(right)}" for left, right in merges(tokenizer.ranks)]},
    }


def from_json(content: Any) -> Tokenizer:
    """The tokenizer that tokenizer.json describes. Raises ValueError, with what is wrong, for one that would not give
    the same ids here."""
    try:
        model, (end,) = content["model"], [token for token in content["added_tokens"] if token["special"]]
        pattern = content["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
        words = sorted((rank, word) for word, rank in model["vocab"].items() if word != end["content"])
        tokens = [bytes(map(BYTES.__getitem__, word)) for _, word in words]
        pairs = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
        ids = [rank for rank, _ in words]
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError):
        raise ValueError("is not byte-level BPE with a pattern and one special token") from None
    if pattern not in PATTERNS:  # any other might take exponential time, or mean something else to tiktoken
        raise ValueError(f"splits words by another pattern ({str(pattern)[:60]!r}...)")
    if ids != list(range(len(ids))) or len(ids) >= MAX_VOCAB_SIZE or end["id"] != len(ids):
        raise ValueError("has ids that do not count from 0 to the end-of-text token, or too many for uint16")
    ranks = {token: rank for rank, token in enumerate(tokens)}
    if any(bytes([byte]) not in ranks for byte in range(256)):
        raise ValueError("has no token for some byte")
    kind = "bpe" if pattern != ANY_CHARACTER else "byte" if len(ranks) == 256 else "char"
    tokenizer = Tokenizer(kind, ONE_CHARACTER if pattern == ANY_CHARACTER else pattern, ranks)
    expected = to_json(tokenizer)
    if pairs != expected["model"]["merges"]:
        raise ValueError("merges pairs in another order than that of its ids")
    for part in ("normalizer", "pre_tokenizer"):
        if content.get(part) != expected[part]:
            raise ValueError(f"has another {part}")
    for part in ("unk_token", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"):
        if (model.get(part) or None) != (expected["model"][part] or None):
            raise ValueError(f"has another {part}")
    return tokenizer
