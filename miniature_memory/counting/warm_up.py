"""Warm-up: compiles the loops of this package in advance, so that no run waits for it.

    .venv/bin/python -m miniature_memory.counting.warm_up      after an installation; setup.sh does it
"""

import numpy as np

from miniature_memory.counting.copies import copied, stretches
from miniature_memory.counting.mixture import Forward, Gate, Mixture, Stretch
from miniature_memory.counting.suffixes import Suffixes, sort_suffixes


def main() -> None:
    text = np.arange(64, dtype=np.uint16) % 5
    suffixes = Suffixes(text, sort_suffixes(text, 5), np.array([0, len(text)]), np.array([len(text)]))
    mixture, document = Mixture(suffixes, 5, Gate.new(np.random.default_rng(0)), 4), text.astype(np.int32)
    stretch = Stretch(document, 32, np.ones((63, 2), np.float32), np.zeros((32, 5), np.float32))
    Forward(mixture, mixture.gather(stretch)).gradients(document[32:])
    copied(suffixes, document, 8)
    stretches(suffixes, document.tolist())


if __name__ == "__main__":
    main()
