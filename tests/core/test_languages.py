"""The table of languages.   python3 -m pytest tests/core/test_languages.py"""

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from miniature_memory.core.languages import code_of, language_of, languages, lower

KNOWN_WELL = ["en", "de", "es", "fr", "it", "pt", "nl", "pl", "ru", "tr", "ar", "hi", "zh", "ja", "ko"]


def test_the_languages_are_those_that_validate_tells_apart() -> None:
    told_apart = {code for code, _ in LanguageIdentifier.from_model_file(MODEL_FILE).rank("") if len(code) == 2}
    assert languages().keys() == told_apart


def test_fifteen_have_queries_and_words() -> None:
    for code in KNOWN_WELL:
        queries = language_of(code).queries
        assert queries[0] == "{}" and len(set(queries)) == 10
        assert all(query.count("{}") == 1 and query == query.strip() for query in queries)
        words = language_of(code).function_words
        assert words and len(words.whole | set(words.endings)) >= 30
    assert [code for code, language in languages().items() if language.function_words] == KNOWN_WELL


def test_a_language_is_named_by_its_code_or_in_english() -> None:
    assert code_of("DE ") == code_of("German") == "de" and code_of("sv") == "sv" and code_of("deutsch") == ""
    assert language_of("xx").queries == ("{}",)


def test_a_capital_i_with_a_dot_is_an_i() -> None:
    assert lower("İÇİN") == "için"
