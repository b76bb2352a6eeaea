"""python3 -m pytest tests/core/test_topic_fit.py"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniature_memory.core.common_words import RAREST, rarity
from miniature_memory.core.languages import languages
from miniature_memory.core.topic_fit import _TERM, _words, fit, is_form, mention, profile_of, terms_of, topic_words

BREAD = ("Knead the dough until it is smooth and let it rise in a warm place. Shape the loaf, slash the crust and bake "
         "the bread in a hot oven. A sourdough starter of flour and water makes the crumb open and the crust crisp. ",
         "Bread is baked of flour, water, salt and yeast. The baker folds the dough, proofs it overnight, and scores "
         "the loaf before it goes into the oven. Rye flour makes a dense crumb, and steam a crust that crackles. ",
         "For a sourdough loaf, feed your starter, mix flour and water, add salt, and fold the dough every half hour. "
         "Bread proofs slowly in the cold. Bake it in an iron pot, so that the oven's steam opens the crust. ")
BAGUETTE = "Baguettes want a wet dough, a long proof and steam in the oven: the crust of the loaf should crackle."
SHIPS = "The ship lay in the harbour with all her sails furled, and the captain walked on deck to look at the sky."


def test_terms_are_words_in_lower_case_and_pairs_where_there_are_no_spaces() -> None:
    assert terms_of("Bread, bread: don't 42 x_y!") == {"bread": 2, "don": 1}
    assert terms_of("Brot", title="Das Brot") == {"brot": 5, "das": 4}
    assert terms_of("茶道の茶道") == {"茶道": 2, "道の": 1, "の茶": 1}
    assert terms_of("हिन्दी में चाय।") == {"हिन्दी": 1, "में": 1, "चाय": 1}  # no letter loses its signs
    assert terms_of("خبز، خبز؟ “rye”—bread…") == {"خبز": 2, "rye": 1, "bread": 1}


@given(st.text(st.sampled_from("ab Z09'’“—…\n\t-_é茶।"), max_size=40))
def test_the_short_way_to_words_finds_the_same(text: str) -> None:
    assert _words(text.lower()) == _TERM.findall(text.lower())


def test_a_long_text_is_known_by_its_beginning() -> None:
    assert terms_of("bread " * 10_000) == terms_of("bread " * 1000)


@pytest.mark.parametrize(("own", "word", "same"), [
    ("bread", "breads", True), ("gardening", "gardens", True), ("plumbing", "plumbers", True),
    ("brot", "brotteig", True), ("brot", "weizenbrot", True), ("baking", "baked", True),
    ("tea", "teas", True), ("茶", "茶道", True),
    ("rust", "trust", False), ("tea", "team", False), ("car", "care", False), ("insurance", "insult", False)])
def test_forms_and_compounds_are_told_from_other_words(own: str, word: str, same: bool) -> None:
    assert is_form(own, word) == same


def test_the_topics_own_words_are_weighed_by_how_rare_they_are() -> None:
    own = topic_words("the history of tea", ["the history of tea", "tea for beginners", "Oolong"], rarity("en"))
    assert sum(own.values()) == pytest.approx(1) and "the" not in own and "beginners" not in own
    assert own["tea"] > own["history"] > own["oolong"] > 0


def test_common_words_are_known_in_fifteen_languages() -> None:
    known = [code for code, language in languages().items() if language.function_words]
    assert len(known) == 15 and all(len(rarity(code)) > 1000 for code in known) and not rarity("sv")
    assert rarity("en")["the"] == 0 < rarity("en")["people"] < rarity("en")["club"] < RAREST


@pytest.mark.parametrize("title", ["bread", "how to bake sourdough bread with rye flour in an iron pot at home"])
def test_a_text_on_the_topic_fits_better_than_another(title: str) -> None:
    rare = rarity("en")
    own = topic_words(title, [], rare)
    profile = profile_of(own, [terms_of(text) for text in BREAD], rare)
    assert fit(profile, terms_of(BAGUETTE), rare) > 0.2 > fit(profile, terms_of(SHIPS), rare)
    assert fit(profile, terms_of(BREAD[0]), rare) > 0.8
    assert mention(own, terms_of(BREAD[0])) > 0.2 > mention(own, terms_of(SHIPS))


def test_a_text_without_words_fits_nothing() -> None:
    profile = profile_of({"bread": 1.0}, [terms_of(text) for text in BREAD], rarity("en"))
    assert fit(profile, terms_of(""), rarity("en")) == 0
