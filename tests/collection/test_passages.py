"""python3 -m pytest tests/collection/test_passages.py"""

import re

import pytest

from miniature_memory.collection.passages import PASSAGE_CHARS, best_passage
from miniature_memory.storage.full_text import marked

FILLER = "Nothing of note was said about it for a long time. " * 20


def passage_of(text: str, expression: str) -> str:
    return best_passage(marked(expression, [(text, "")])[0]).shown("[", "]")


def test_different_words_together_are_best() -> None:
    text = f"Dough, dough, dough. {FILLER}Yeast makes dough rise. {FILLER}Yeast, yeast."
    assert "[Yeast] makes [dough] rise." in passage_of(text, "dough yeast")


def test_a_rare_word_is_better_than_a_frequent_one() -> None:
    text = f"Dough, dough, dough. {FILLER}Once there was levain. {FILLER}"
    assert "Once there was [levain]." in passage_of(text, "dough levain")


def test_a_phrase_is_one_hit() -> None:
    assert passage_of("some Wild Yeast here", '"wild yeast"') == "some [Wild Yeast] here"


def test_a_short_text_is_shown_whole() -> None:
    assert passage_of("bread\n\nand  water", "water") == "bread and [water]"


def test_a_hit_in_the_title_alone_shows_how_the_text_begins() -> None:
    passage = best_passage(marked("bread", [(FILLER, "Bread")])[0])
    assert passage.plain() == FILLER[:len(passage.plain())] and passage.is_cut == (False, True)


def test_characters_of_scripts_without_spaces_are_put_together_again() -> None:
    assert passage_of("我们用面粉做面包。", '"面\x1f包"') == "我们用面粉做[面包]。"


@pytest.mark.parametrize("text", ["bread", "x" * 9000 + " bread " + "y" * 9000, "面" * 5000, FILLER + "bread" + FILLER,
                                  "bread " * 3000, "\n" * 500 + "bread" + "\n" * 500, "bread\u0301" * 900])
def test_a_passage_is_a_part_of_the_text_and_short(text: str) -> None:
    passage = best_passage(marked("bread OR 面", [(text, "")])[0])
    assert passage.plain() in text and len(passage.plain()) <= PASSAGE_CHARS
    assert not re.search("[\x02\x03\x1f]", passage.plain())
    assert (True in passage.is_cut) == (passage.plain() != text)
