"""Privacy: what do the masks find, and what do they leave?

    .venv/bin/python -m bench.privacy

privacy.txt has some 300 lines in 21 languages: half hold something that must be masked, half are traps, such as rows of
numbers, versions and matrix products. The masks were tuned on every other line, tuned_on; the rest is held_out.
Precision: the share of what is masked that must be. Recall: the share of what must be masked that is, to the character.
Wrong lines are printed to standard error. Ends with one JSON line.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from miniature_memory.cleaning.privacy import mask
from miniature_memory.core.paths import PROJECT

LIST = PROJECT / "bench" / "privacy.txt"
GOAL = 0.97
MASKS = re.compile(r"\[(?:email address|phone number|IP address|card number|bank account)\]")


def cases(path: Path = LIST) -> Iterator[tuple[str, str]]:
    """(language, line) of each line of the list."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            language, _, text = line.partition("\t")
            yield language, text


def judge(language: str, line: str) -> Counter[str]:
    """How many masks are right, wrong and missing."""
    masked, counts = mask(re.sub("[⟦⟧]", "", line), language)
    expected = re.sub("⟦[^⟧]*⟧", "[]", line)
    wanted, found = expected.count("[]"), counts.total()
    right = wanted if MASKS.sub("[]", masked) == expected else min(found, wanted) - 1 if min(found, wanted) else 0
    return Counter(right=right, wrong=found - right, missing=wanted - right)


def measure(lines: list[tuple[str, str]]) -> dict[str, float]:
    total = sum((judge(*line) for line in lines), Counter())
    return {"precision": round(total["right"] / max(1, total["right"] + total["wrong"]), 4),
            "recall": round(total["right"] / max(1, total["right"] + total["missing"]), 4)}


def main() -> None:
    lines = list(cases())
    for language, line in lines:
        outcome = judge(language, line)
        if outcome["wrong"] or outcome["missing"]:
            print(f"wrong: {language} {line}\n    -> {mask(re.sub('[⟦⟧]', '', line), language)[0]}", file=sys.stderr)
    halves = {"all": lines, "tuned_on": lines[::2], "held_out": lines[1::2]}
    figures = {half: measure(of_half) for half, of_half in halves.items()}
    print(json.dumps({"bench": "privacy", "lines": len(lines), **figures,
                      "met": min(figures["all"].values()) >= GOAL}))


if __name__ == "__main__":
    main()
