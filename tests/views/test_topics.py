"""The folder, the list and the command of topics.   .venv/bin/python -m pytest tests/views/test_topics.py"""

import json
import sys
import unicodedata
from pathlib import Path

import pytest
from helpers import PROSE, add_clean_documents, add_run, run_py, trained

from miniature_memory.core import topic_folders
from miniature_memory.core.config import read_tables
from miniature_memory.core.errors import ConfigError
from miniature_memory.providers import new_topic
from miniature_memory.views import topics

NO_WIKIPEDIA = ["search.wikis=[]"]


@pytest.mark.parametrize(("topic", "name"), [
    ("bread baking", "bread-baking"), ("  Bread\tBaking\n", "bread-baking"), ("bread-baking", "bread-baking"),
    ("Brot & Käse", "brot-käse-"), ("C++", "c-"), ("хлеб", "хлеб"), ("हिन्दी", "हिन्दी"), ("面包 烘焙", "面包-烘焙"),
    ("🍞", ""), ("../../etc/passwd", "etc-passwd"), (".", ""), ("--", ""), ("con", "con")])
def test_the_name_of_a_folder(topic: str, name: str) -> None:
    found = topic_folders.slug(topic_folders.words_of(topic))
    assert found == name if not name.endswith("-") and name else found.startswith(name) and len(found) == len(name) + 6


@pytest.mark.parametrize("topic", ["a" * 200, "面" * 200, "é " * 100, "./" * 100, "🍞" * 200, "\u0301" * 200,
                                   "x" * 59 + "é"])
def test_no_topic_makes_a_name_that_a_file_system_refuses(tmp_path: Path, topic: str) -> None:
    name = topic_folders.slug(topic_folders.words_of(topic))
    assert 0 < len(name.encode()) <= 70 and "/" not in name and not name.startswith((".", "-"))
    (tmp_path / name).mkdir()


def test_the_same_words_are_the_same_topic_and_others_are_not() -> None:
    assert topic_folders.slug("Crème") == topic_folders.slug(unicodedata.normalize("NFD", "crème"))
    assert len({topic_folders.slug(topic) for topic in ("sea, ships", "Sea: Ships!", " sea – ships.")}) == 1
    names = {topic_folders.slug(topic) for topic in ("C", "C++", "C#", "a" * 70, "a" * 71)}
    assert len(names) == 5


def test_no_two_names_are_one_to_a_file_system_that_folds_case() -> None:
    """NTFS compares without case, APFS and ext4's casefold also without the composition of characters."""
    def folded(name: str) -> str:
        return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())

    chars = [char for char in map(chr, range(sys.maxunicode)) if unicodedata.category(char) not in ("Cs", "Cn", "Co")
             and (char.casefold() != char or char.upper() != char or unicodedata.normalize("NFKD", char) != char)]
    names = {topic_folders.slug(topic_folders.words_of(topic)) for char in chars for topic in (char, f"a{char}b")}
    assert len({folded(name) for name in names}) == len(names)
    assert all(name == name.casefold() for name in names)


@pytest.mark.parametrize("topic", ["", " \n", "\x00\x1b", "\udcff", "--", "..", "/", "_ -", "x" * 201])
def test_what_is_no_topic_is_refused(tmp_path: Path, topic: str) -> None:
    with pytest.raises(ConfigError, match="expected a few words"):
        topic_folders.folder(tmp_path, topic)


def test_the_list(tmp_path: Path) -> None:
    assert topics.table(tmp_path) == []
    for name in ("ships", "bread"):
        new_topic.begin(tmp_path / "topics" / name, name, read_tables(tmp_path, None, NO_WIKIPEDIA))
    add_clean_documents(tmp_path / "topics/bread", [PROSE])
    add_run(tmp_path / "topics/bread", trained(2.0))
    (tmp_path / "topics/ships/data").mkdir()
    (tmp_path / "topics/ships/data/catalog.sqlite3").write_bytes(b"no database " * 99)
    rows = topics.table(tmp_path)
    assert [(row.topic, row.documents, row.bits_per_byte) for row in rows] == [("bread", 1, 2.0),
                                                                                     ("ships", None, None)]
    assert "has problems" in topics.screen(rows, tmp_path).splitlines()[2]


def test_a_topic_runs_in_its_folder_and_is_listed(tmp_path: Path) -> None:
    arguments = ["--root", tmp_path, "--topic", "Old Ships", "--set", "search.wikis=[]"]
    done = run_py(*arguments, "--status")
    assert done.returncode == 2 and "There is no topic old-ships" in done.stderr
    assert not (tmp_path / "topics").exists()  # looking makes nothing
    for text in ("for you to edit", "continuing the topic"):
        done = run_py(*arguments, "--only", "validate")
        assert done.returncode == 0 and text in done.stderr, done.stderr
    assert (tmp_path / "topics/old-ships/data/runs.jsonl").exists()
    done = run_py("--topics", "--json", "--root", tmp_path)
    (row,) = json.loads(done.stdout)["topics"]
    assert (row["topic"], row["title"]) == ("old-ships", "Old Ships")
    done = run_py("--root", tmp_path, "--topic", "old ship", "--status")
    assert done.returncode == 2 and "Did you mean old-ships?" in done.stderr


def test_settings_at_the_birth_of_a_topic_are_kept(tmp_path: Path) -> None:
    root = topic_folders.folder(tmp_path, "Ships & Sails")
    overrides = ['validate.languages=["de"]', "search.wikis=[]", 'clean.thresholds.min_words=7']
    assert new_topic.begin(root, "Ships & Sails", read_tables(root, None, overrides), overrides)
    tables = read_tables(root)
    assert tables["validate"]["languages"] == ["de"] and tables["search"]["wikis"] == []
    assert tables["clean"]["thresholds"] == {"min_words": 7} and tables["run"]["topic"] == "Ships & Sails"
    assert "commoncrawl" not in tables["search"]["providers"]


def test_own_texts_have_settings_of_their_own(tmp_path: Path) -> None:
    assert new_topic.begin_texts(tmp_path, 'My "books"')
    tables = read_tables(tmp_path)
    assert tables["run"]["topic"] == 'My "books"' and tables["search"]["providers"] == []
    assert not new_topic.begin_texts(tmp_path, "other")


def test_no_topic_yet(tmp_path: Path) -> None:
    done = run_py("--topics", "--root", tmp_path)
    assert done.returncode == 0 and "--topic" in done.stdout
