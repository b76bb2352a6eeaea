"""A text of lines of a fixed width becomes one of paragraphs; whatever else breaks its lines keeps them."""

import textwrap

import pytest

from miniature_memory.extraction.wrapped_lines import unwrap

WORDS = ("The ferry crossed twice a day, and whoever missed it slept in the barn beside the landing, where the "
         "well-worn rope hung from a beam that nobody had painted since the old captain died in a winter of storms. ")
PROSE = "\n\n".join([(WORDS * 3).strip()] * 4)
VERSE = "\n".join(["My mistress' eyes are nothing like the sun;", "Coral is far more red than her lips' red;",
                   "If snow be white, why then her breasts are dun;",
                   "If hairs be wires, black wires grow on her head."])


def wrapped(text: str, width: int) -> str:
    return "\n\n".join(textwrap.fill(paragraph, width) for paragraph in text.split("\n\n"))


@pytest.mark.parametrize("width", [50, 72, 80])
def test_wrapped_prose_becomes_paragraphs(width: int) -> None:
    assert unwrap(wrapped(PROSE, width)) == PROSE


def test_verse_and_lists_within_wrapped_prose_keep_their_lines() -> None:
    lists = "- a rope\n- a lamp\n- an oar"
    indented = "    The captain's letter, which he wrote\n    on the night before the storm."
    assert unwrap("\n\n".join([wrapped(PROSE, 72), lists, indented])) == "\n\n".join([PROSE, lists, indented])


@pytest.mark.parametrize("text", [
    "\n\n".join([VERSE] * 6), PROSE, "", "\n\n", wrapped(WORDS.strip(), 72),
    "\n".join(f"{n:>6} {n * n:>40} {n ** 3:>12}" for n in range(50)),
    "def f(x):\n" + "    if x > 10 and x < 20 and not g(x):\n        return x\n" * 20])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert unwrap(text) == text
