"""Wrapped lines: a text that was broken into lines of a fixed width, as Project Gutenberg's are, in paragraphs again.

Whoever wraps a text breaks a line where the next word would not have fitted: where nearly all lines end like that, the
breaks mean nothing. Verse, lists, tables and code end their lines earlier. Pure, and linear in the length of the text.
"""

from itertools import pairwise

MIN_WIDTH, MAX_WIDTH = 40, 100  # characters of a line. Guess: print has 60 to 75
MIN_PAIRS = 10  # of lines in a paragraph, below which there is too little to judge by. Guess
MIN_WRAPPED_SHARE = 0.8  # of these pairs; 0.99 in wrapped prose, 0.15 in Shakespeare's verse


def unwrap(text: str) -> str:
    """`text` with the lines of each paragraph joined, if they were wrapped; else as it is."""
    lines = text.split("\n")
    lengths = sorted(len(line.rstrip()) for line in lines if line.strip())
    width = lengths[len(lengths) * 98 // 100] if lengths else 0  # a few lines, such as addresses, may be longer
    if not MIN_WIDTH <= width <= MAX_WIDTH:
        return text
    pairs = [(line, after) for line, after in pairwise(lines) if line.strip() and after.strip()]
    n_wrapped = sum(_is_wrapped(line, after, width) for line, after in pairs)
    if len(pairs) < MIN_PAIRS or n_wrapped < MIN_WRAPPED_SHARE * len(pairs):
        return text
    joined = lines[:1]
    for line, after in pairwise(lines):
        is_wrapped = _is_wrapped(line, after, width)
        joined += [("" if line.endswith("-") else " ") if is_wrapped else "\n", after]  # "well-" + "known"
    return "".join(joined)


def _is_wrapped(line: str, after: str, width: int) -> bool:
    """Whether the first word of `after` had no room on `line`. An indented line begins something of its own."""
    if not line.strip() or not after.strip() or after[0].isspace():
        return False
    return len(line.rstrip()) + 1 + len(after.split(None, 1)[0]) > width
