"""Long texts are divided where their authors divided them, and nothing of them is lost."""

import pytest

from miniature_memory.extraction.long_texts import MAX_CHARS, Part, divide

PARAGRAPHS = {
    "en": "The ferry crossed twice a day, and whoever missed it slept in the barn beside the landing. " * 20,
    "ru": "Паром ходил два раза в день, и кто опаздывал, тот ночевал в сарае у причала. " * 20,
    "zh": "渡船每天来往两次，错过的人就在码头边的谷仓里过夜。" * 40,
}


def book(headings: list[str], language: str = "en", n_paragraphs: int = 10) -> str:
    return "\n\n".join(f"{heading}\n\n" + "\n\n".join([PARAGRAPHS[language]] * n_paragraphs) for heading in headings)


def headings_of(text: str) -> list[str]:
    return [part.heading for part in divide(text)]


def test_a_short_text_stays_whole():
    text = "# A note\n\nOne line.\n\n# Another\n\nA second line."
    assert divide(text) == [Part("", text)]


@pytest.mark.parametrize(("headings", "language"), [
    (["CHAPTER I", "CHAPTER II", "CHAPTER III", "CHAPTER IV"], "en"),
    (["Chapter 1. The Landing", "Chapter 2. The Barn", "Chapter 3. The Rope"], "en"),
    (["Letter the First", "Letter the Second", "Letter the Third"], "en"),
    (["I.", "II.", "III.", "IV."], "en"),
    (["1. The landing", "2. The barn", "3. The rope"], "en"),
    (["# The landing", "# The barn", "# The rope"], "en"),
    (["The landing\n===========", "The barn\n========", "The rope\n========"], "en"),
    (["Глава I", "Глава II", "Глава III"], "ru"),
    (["第一章 码头", "第二章 谷仓", "第三章 绳子"], "zh"),
    (["第1話", "第2話", "第3話"], "zh"),
])
def test_chapters_of_any_language_become_documents(headings, language):
    found = headings_of(book(headings, language))
    names = [heading.split("\n")[0].removeprefix("# ") for heading in headings]
    assert list(dict.fromkeys(heading.split(", part")[0] for heading in found)) == names


def test_a_chapter_knows_its_book_and_its_part():
    text = book(["BOOK ONE", "CHAPTER I", "CHAPTER II", "BOOK TWO", "CHAPTER I", "CHAPTER II"])
    assert headings_of(text) == ["BOOK ONE", "BOOK ONE, CHAPTER I", "BOOK ONE, CHAPTER II",
                                 "BOOK TWO", "BOOK TWO, CHAPTER I", "BOOK TWO, CHAPTER II"]
    long = headings_of(book([f"CHAPTER {n}" for n in range(12)], n_paragraphs=19))
    assert long[:2] == ["CHAPTER 0, part 1 of 2", "CHAPTER 0, part 2 of 2"]


def test_a_table_of_contents_names_nothing():
    contents = "THE FERRY\n\nCONTENTS\n\nCHAPTER I\n\nCHAPTER II\n\nCHAPTER III\n\n"
    found = headings_of(contents + book(["CHAPTER I", "CHAPTER II", "CHAPTER III"]))
    assert list(dict.fromkeys(heading.partition(", part")[0] for heading in found)) == [
        "CHAPTER I", "CHAPTER II", "CHAPTER III"]


@pytest.mark.parametrize("line", ["I went on.", "Second Sailor:", "In 1850 the ferry sank.", "II and III were gone,"])
def test_running_text_is_no_heading(line):
    text = "\n\n".join([line, PARAGRAPHS["en"]] * 12)
    assert {heading.split(" ")[0] for heading in headings_of(text)} == {"part"}


@pytest.mark.parametrize("text", [
    book(["CHAPTER I", "CHAPTER II"], n_paragraphs=30), book(["第一章", "第二章"], "zh", 60), "x" * 100_001,
    "one two " * 30_000, "line\n" * 20_000, "# a\n\n" * 30_000, "1\n\n" * 40_000, "\n \n" * 100_000 + "end"])
def test_nothing_is_lost_and_no_part_is_too_long(text):
    parts = divide(text)
    assert "".join("".join(part.text for part in parts).split()) == "".join(text.split())
    assert all(len(part.text) <= MAX_CHARS for part in parts)


@pytest.mark.parametrize("n_paragraphs", [12, 60])
def test_no_part_is_more_than_a_fifth_of_its_text(n_paragraphs):
    text = "\n\n".join([PARAGRAPHS["en"]] * n_paragraphs)
    parts = divide(text)
    assert len(text) > MAX_CHARS and max(len(part.text) for part in parts) <= 0.22 * len(text)
