"""The language of a topic's words.   python3 -m pytest tests/providers/test_topic_language.py"""

import pytest

from miniature_memory.providers.topic_language import language_of_topic


@pytest.mark.parametrize(("topic", "language"), [
    ("盆栽の育て方", "ja"), ("カメラ", "ja"), ("Python プログラミング", "ja"), ("围棋规则", "zh"),
    ("iPhone 摄影", "zh"),
    ("한복 만들기", "ko"), ("русская живопись", "ru"), ("вишивка і рушники", "uk"), ("الخط العربي", "ar"),
    ("خط نستعلیق", "fa"), ("हिन्दी कविता", "hi"), ("ελληνικές συνταγές", "el"), ("שירה עברית", "he"),
    ("อาหารไทย", "th"), ("the art of letters", "en"), ("Geschichte der Schrift", "de"),
    ("vida de los campesinos", "es"),
    ("histoire des jardins", "fr"), ("cucina della nonna", "it"), ("fazer pão em casa", "pt"),
    ("leven op het water", "nl"), ("życie na wsi", "pl"), ("köy hayatı", "tr"),
])
def test_a_language_is_told_by_script_and_words(topic: str, language: str) -> None:
    assert language_of_topic(topic) == language


@pytest.mark.parametrize("topic", ["λ phage", "C++", "2024", "", "norske fjorder", "pečení chleba", "yoga"])
def test_what_does_not_tell_is_not_guessed(topic: str) -> None:
    assert language_of_topic(topic) == ""
