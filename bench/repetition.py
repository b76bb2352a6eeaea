"""Repetition: does the model write in loops, or recite the documents that it learned from?

    .venv/bin/python -m bench.repetition --root demo     two minutes, after a run

Writes --samples samples of up to --tokens tokens with the default settings, each after the first ten tokens of a
validation document. Of all runs of eight tokens in them, which share stood before in the same sample? The same is asked
of the validation documents, cut to as many tokens. copied: in how many samples more than 50 tokens in a row stand word
for word in a training document; held_out_copied: in how many of the validation documents. Ends in one JSON line.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from miniature_memory.core.paths import PROJECT
from miniature_memory.counting.copies import longest_copy
from miniature_memory.counting.suffixes import load_suffixes
from miniature_memory.sampling.config import SampleConfig
from miniature_memory.sampling.generation import generate, load_model

RUN, PROMPT, MOST_COPIED = 8, 10, 50  # tokens


def repeated(samples: list[list[int]]) -> float:
    """The share of all runs of RUN tokens that stood before in the same sample."""
    n = n_before = 0
    for tokens in samples:
        seen = set()
        for i in range(len(tokens) - RUN + 1):
            run = tuple(tokens[i:i + RUN])
            n, n_before = n + 1, n_before + (run in seen)
            seen.add(run)
    return n_before / max(1, n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=PROJECT / "demo", metavar="DIR")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--tokens", type=int, default=500)
    parser.add_argument("--temperature", type=float, default=SampleConfig().temperature)
    args = parser.parse_args()
    loaded = load_model(args.root)
    end = loaded.tokenizer.eot_token
    ids = np.fromfile(args.root / "data/val.bin", dtype="<u2")
    documents = [part[:-1].tolist() for part in np.split(ids, np.flatnonzero(ids == end) + 1) if len(part) > 2 * PROMPT]
    suffixes = load_suffixes(args.root, loaded.tokenizer.vocab_size)
    assert suffixes, "no counts: python3 train.py"
    texts = {"written": [], "held_out": [part[i:i + args.tokens] for part in documents
                                         for i in range(0, len(part), args.tokens)]}
    for i in range(args.samples):
        prompt = documents[i % len(documents)][:PROMPT]
        config = SampleConfig(max_new_tokens=args.tokens, seed=i, temperature=args.temperature)
        texts["written"].append([token for token, _ in generate(loaded.model, [end, *prompt], config, end,
                                                                loaded.mixture)])
    result = {"bench": "repetition", "mixture": loaded.mixture is not None, "tokens": sum(map(len, texts["written"]))}
    for name, samples in texts.items():
        result |= {f"{name}_repeated": round(repeated(samples), 4), f"{name}_copied": round(float(np.mean(
            [longest_copy(suffixes, tokens) > MOST_COPIED for tokens in samples])), 3)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
