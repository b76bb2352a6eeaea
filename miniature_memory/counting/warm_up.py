"""Warm-up: compiles the loops of this room ahead, so that no run waits for it.

    .venv/bin/python -m miniature_memory.counting.warm_up      after an installation; setup.sh does it
"""

import numpy as np
import torch

from miniature_memory.counting.copies import copied
from miniature_memory.counting.mixture import Gate, Mixture, Stretch
from miniature_memory.counting.suffixes import Suffixes, sort_suffixes


def main() -> None:
    text = np.arange(64, dtype=np.uint16) % 5
    suffixes = Suffixes(text, sort_suffixes(text, 5), np.array([0, len(text)]), np.array([len(text)]))
    mixture = Mixture(suffixes, 5, Gate(), 4)
    evidence = mixture.gather(Stretch(text.astype(np.int32), 32, torch.ones(63, 2), torch.zeros(32, 5)))
    mixture.combine(evidence, *mixture.gate(evidence.features, evidence.is_empty)).sum().backward()
    copied(suffixes, text.astype(np.int32), 8)


if __name__ == "__main__":
    main()
