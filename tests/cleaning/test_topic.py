"""python3 -m pytest tests/cleaning/test_topic.py"""

import itertools
from pathlib import Path

import pytest
from helpers import add_raw_line, document, lines

import clean
from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.cleaning.explain import explain
from miniature_memory.cleaning.topic import FEWEST_PAGES, MOST_PAGES, Topic, load_topic
from miniature_memory.core.languages import language_of
from miniature_memory.core.run_config import RunConfig
from miniature_memory.core.topic_fit import terms_of
from miniature_memory.storage import documents, topic_pages
from miniature_memory.storage.catalog import Catalog

STEPS = ["You knead the dough until it is smooth, and you let it rise in a warm place.", "Shape the loaf with care.",
         "Bake the bread in a hot oven, so that the crust is crisp and the crumb is open.", "The starter needs flour.",
         "Rye flour makes a dense bread that keeps well for a week.", "Then the baker scores the loaf.",
         "Feed the sourdough starter with flour and water each day.", "Steam in the oven makes the crust shine.",
         "Fold the dough every half hour and proof it overnight.", "Bread is flour, water, salt and time."]
SEA = ["The ship lay in the harbour with all her sails furled.", "The captain walked on deck to look at the sky.",
       "They waited for the tide and for a wind from the west.", "The mate spoke to the men about the cargo.",
       "In the night a storm broke the mast, and the ship had to be towed to the port.", "The cook had flour again.",
       "A sailor who had been on the coast of Chile told them of whales.", "The anchor held in the sand."]
OTHERS = {"de": ("Brot backen", "Für das Brot wird der Sauerteig mit Mehl und Wasser geführt. Der Brotteig ruht. "
              "Dann wird das Roggenbrot im Ofen gebacken, bis die Kruste des Brotes knusprig ist. "),
       "ja": ("茶道", "茶道では、亭主が客のために抹茶を点てる。茶道の作法は流派によって異なり、"
              "茶室や茶碗にも心を配る。抹茶は茶筅で点てる。"),
       "ar": ("الخبز", "يعجن الدقيق مع الماء والملح والخميرة حتى يصبح العجين ناعما. "
              "يترك العجين حتى يتخمر ثم يخبز الخبز في الفرن. الخبز الطازج له قشرة مقرمشة. "),
       "hi": ("चाय", "चाय की पत्तियों को गर्म पानी में उबाला जाता है। दूध और चीनी मिलाकर चाय परोसी जाती है। "
              "अदरक और इलायची से चाय का स्वाद बढ़ता है। ")}


def config(least: float = 0.2, topic: str = "bread baking") -> CleanConfig:
    return CleanConfig(preset="off", min_topic_fit=least, run=RunConfig(topic=topic))


def texts(sentences: list[str], n: int) -> list[str]:
    """n texts of ten sentences each, none like another."""
    orders = itertools.islice(itertools.permutations(sentences, 6), 0, None, 997)
    return [" ".join([*order, *order[:4], sentences[0], str(i)]) for i, order in enumerate(itertools.islice(orders, n))]


def add(root: Path, found: list[str], url: str = "http://bread.example/", source: str = "ddgs: bread",
        language: str = "en") -> None:
    """Raw documents that validate has passed."""
    with Catalog(root) as catalog:
        for text in found:
            content = document(text, url)
            content["metadata"]["source"] = source  # type: ignore[index]
            add_raw_line(catalog, content)
            with catalog.record():
                seq = catalog.value("SELECT max(seq) FROM documents")
                documents.set_validation(catalog, seq, "valid", language)
                catalog.advance("validate", seq)


def mixed(root: Path) -> None:
    add(root, texts(STEPS, 4))
    add(root, texts(SEA, 3), "http://sea.example/")
    add(root, texts(STEPS, 8)[4:])


def test_documents_off_the_topic_are_rejected_with_their_fit(tmp_path: Path) -> None:
    mixed(tmp_path)
    stats = clean.run(config(), tmp_path)
    assert stats.dropped == {"off_topic": 3} and stats.n_out == 8
    rejected = lines(tmp_path / "data/rejected.jsonl")
    assert all(line["value"] < 0.2 == line["threshold"] for line in rejected)
    fits = [line["metadata"]["topic_fit"] for line in lines(tmp_path / "data/clean/000000.jsonl")]
    assert fits[:FEWEST_PAGES] == [""] * FEWEST_PAGES and all(float(one) > 0.5 for one in fits[FEWEST_PAGES:])


def test_without_the_setting_no_document_is_judged(tmp_path: Path) -> None:
    mixed(tmp_path)
    assert clean.run(config(0.0), tmp_path).n_out == 11
    with Catalog(tmp_path, read_only=True) as catalog:
        assert catalog.value("SELECT count(topic_fit) FROM documents") == 0 and not topic_pages.load(catalog)


def test_it_does_not_matter_where_a_night_ended(tmp_path: Path) -> None:
    found = [*texts(STEPS, 14)[:5], *texts(SEA, 3), *texts(STEPS, 14)[5:], *texts(SEA, 6)[3:]]
    for name, of_a_night in (("one", 20), ("many", 3)):
        for start in range(0, len(found), of_a_night):
            add(tmp_path / name, found[start:start + of_a_night])
            clean.run(config(), tmp_path / name)
    one, many = (tmp_path / name / "data/clean/000000.jsonl" for name in ("one", "many"))
    assert one.read_bytes() == many.read_bytes()
    with Catalog(tmp_path / "one") as a, Catalog(tmp_path / "many") as b:
        assert topic_pages.load(a) == topic_pages.load(b) and len(topic_pages.load(a)["en"]) == MOST_PAGES


def test_a_rebuild_brings_back_what_a_lower_threshold_keeps(tmp_path: Path) -> None:
    mixed(tmp_path)
    clean.run(config(), tmp_path)
    before = (tmp_path / "data/clean/000000.jsonl").read_bytes()
    assert clean.run(config(0.01), tmp_path, rebuild=True).n_out == 10
    assert len(lines(tmp_path / "data/rejected.jsonl")) == 1
    assert clean.run(config(), tmp_path, rebuild=True).dropped == {"off_topic": 3}
    assert next((tmp_path / "data/clean").glob("*.jsonl")).read_bytes() == before
    with Catalog(tmp_path) as catalog:
        assert catalog.value("SELECT count(topic_fit) FROM documents") == 8
        assert clean.run(config(0.0), tmp_path, rebuild=True).n_out == 11
        assert catalog.value("SELECT count(topic_fit) FROM documents") == 0 and not topic_pages.load(catalog)


def test_a_damaged_topic_page_is_left_out(tmp_path: Path) -> None:
    mixed(tmp_path)
    clean.run(config(), tmp_path)
    path = tmp_path / "data/clean/000000.jsonl"
    first = path.read_bytes().index(b"\n")
    path.write_bytes(b"?" * first + path.read_bytes()[first:])
    with Catalog(tmp_path) as catalog:
        topic = load_topic(catalog, config(), [])
        assert topic and len(topic.pages["en"]) == len(topic_pages.load(catalog)["en"]) - 1


def test_what_a_person_chose_stays(tmp_path: Path) -> None:
    add(tmp_path, texts(STEPS, 4))
    add(tmp_path, texts(SEA, 1), "http://sea.example/", "seeds: http://sea.example/")
    add(tmp_path, texts(SEA, 2)[1:], "file:///home/me/sea.txt", "/home/me/sea.txt")
    assert not clean.run(config(), tmp_path).dropped


def test_too_few_pages_or_words_are_no_evidence(tmp_path: Path) -> None:
    add(tmp_path, texts(STEPS, FEWEST_PAGES - 1) + texts(SEA, 4))
    assert not clean.run(config(), tmp_path).dropped
    add(tmp_path, [*texts(STEPS, 4)[2:], SEA[0] + " " + SEA[1]])
    assert not clean.run(config(), tmp_path).dropped


@pytest.mark.parametrize("language", OTHERS)
def test_topics_in_other_scripts_are_kept_and_other_languages_are_not_judged(tmp_path: Path, language: str) -> None:
    title, text = OTHERS[language]
    add(tmp_path, [f"{text * 4}{n}" for n in ("一二三四五" if language == "ja" else "abcde")], language=language)
    add(tmp_path, texts(SEA, 2), "http://sea.example/", language="en")
    stats = clean.run(config(topic=title), tmp_path)
    assert "off_topic" not in stats.dropped
    with Catalog(tmp_path, read_only=True) as catalog:
        assert list(topic_pages.load(catalog)) == [language]


@pytest.mark.parametrize("title", ["bread", "C", "!?", "", "how to bake a loaf of rye bread at home with a starter"])
def test_a_topic_of_any_length_judges_or_lets_be(title: str) -> None:
    topic = Topic(title, [])
    for i, text in enumerate(texts(STEPS, 5)):
        topic.learn(str(i), terms_of(text), "en", "", topic.fit(terms_of(text), "en"))
    fits = [topic.fit(terms_of(text), "en") for text in (*texts(STEPS, 7)[5:], *texts(SEA, 2))]
    assert fits == [None] * 4 or (min(fits[:2]) > 0.5 and max(fits[2:]) < 0.2)  # type: ignore[type-var]
    assert (fits[0] is None) == (len(title) < 3)


def test_a_query_for_a_part_of_the_topic_keeps_what_speaks_of_it() -> None:
    whales = terms_of(" ".join(f"{sentence} Whales!" for sentence in SEA))
    usual = [query.format("bread baking") for query in language_of("en").queries]
    for queries, fits in (([], False), (usual, False), ([*usual, "whales"], True)):
        topic = Topic("bread baking", queries)
        for i, text in enumerate(texts(STEPS, FEWEST_PAGES)):
            topic.learn(str(i), terms_of(text), "en", "", None)
        assert ((topic.fit(whales, "en") or 0) >= 0.2) == fits


def test_an_article_of_a_wiki_comes_before_other_pages() -> None:
    topic, steps = Topic("bread baking", []), texts(STEPS, MOST_PAGES + 1)
    for i, text in enumerate(steps[:-1]):
        topic.learn(str(i), terms_of(text), "en", "", None)
    assert topic.learn("article", terms_of(steps[-1]), "en", "mediawiki: bread", None)
    assert topic.pages["en"][0].id == "article" and len(topic.pages["en"]) == MOST_PAGES
    assert not topic.learn("another", terms_of(" ".join(SEA[:5])), "en", "mediawiki: bread", 0.9)


def test_explain_names_the_words_that_count(tmp_path: Path) -> None:
    mixed(tmp_path)
    clean.run(config(), tmp_path)
    kept, rejected = texts(STEPS, 8)[7], texts(SEA, 1)[0]
    said = explain(config(), tmp_path, str(document(kept)["id"]))
    assert "min_topic_fit = 0.2: passed" in said and "dough 0." in said and "of the topic, as 8 pages tell" in said
    said = explain(config(), tmp_path, str(document(rejected)["id"]))
    assert "clean: off_topic, found 0." in said and "BROKEN; it was 0." in said
    assert "topic" not in explain(config(0.0), tmp_path, str(document(kept)["id"]))


def test_the_summary_counts_what_fits_and_names_both_ends(tmp_path: Path) -> None:
    mixed(tmp_path)
    clean.run(config(), tmp_path)
    with Catalog(tmp_path, read_only=True) as catalog:
        summary = topic_pages.summary(catalog, 0.2, 2)
    assert (summary.judged, summary.fitting) == (8, 5)
    assert {url for url, _ in summary.worst_kept} == {"http://bread.example/"}
    assert summary.best_rejected[0][0] == "http://sea.example/"
