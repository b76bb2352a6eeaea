"""python3 -m pytest tests/cleaning/test_clean.py"""

import os
import signal
import subprocess
import unicodedata
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from helpers import PROSE, add_raw_documents, add_raw_line, document, lines, synced_names
from hypothesis import given
from hypothesis import strategies as st

import clean
import validate
from miniature_memory.cleaning import cleaner, rebuild
from miniature_memory.cleaning.boilerplate import Site, remove_boilerplate
from miniature_memory.cleaning.cleaner import clean_text, config_checks
from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.cleaning.explain import explain
from miniature_memory.cleaning.histograms import histograms
from miniature_memory.cleaning.minhash import keys_of
from miniature_memory.cleaning.normalize import normalize_text
from miniature_memory.cleaning.privacy import mask
from miniature_memory.core.errors import StageError, Stopped
from miniature_memory.core.process import catch_signals, deadline
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.files import read_lines
from miniature_memory.storage.rejections import REJECTED, Rejection
from miniature_memory.validation.config import ValidateConfig

CONFIG = CleanConfig()
CHECKS = config_checks(CONFIG)
GERMAN = ("Das Schiff lag im Hafen, und der alte Kapitän ging an Deck, um nach dem Himmel zu sehen. Es war ein Morgen "
          "mit stiller Luft und langem Licht. ")
GERMAN_TOO = ("Er sprach mit dem Steuermann über die Ladung, die sie noch aufnehmen sollten, und über das Wetter. "
              "Die Männer waren bereit. Alle Fässer waren mit Wasser gefüllt.")
ALL_LANGUAGES = ValidateConfig(languages=["*"])


def validate_and_clean(root: Path) -> clean.StageStats:
    validate.run(ALL_LANGUAGES, root)
    return clean.run(CONFIG, root)


@pytest.mark.parametrize(("text", "cleaned"), [
    ("donâ€™t", "don’t"), ("a  \n\n\n\nb\t", "a\n\nb"), ("e\u0301", "é"), ("one\r\ntwo", "one\ntwo"),
    ("漢字 कखग عربي", "漢字 कखग عربي"), ("    indented code", "indented code"), ("ﬁne", "fine"),
])
def test_text_is_normalized(text: str, cleaned: str) -> None:
    assert normalize_text(text) == unicodedata.normalize("NFC", cleaned)


@given(st.text(max_size=200))
def test_normalizing_is_idempotent(text: str) -> None:
    once = normalize_text(text)
    assert normalize_text(once) == once


@pytest.mark.parametrize(("text", "cleaned"), [
    ("El rÃ­o subÃ­a â€” decÃ­a JosÃ©", "El río subía — decía José"), ("â€œNoâ€\x9d", "“No”"),
    ("Ã\xa0 la carte", "à la carte"),
    ("A MAÇÃ É BOA, «LÃ», 2 Å² e “IRMÔ", "A MAÇÃ É BOA, «LÃ», 2 Å² e “IRMÔ"), ("voilÃ  un Ã©tÃ©", "voilà un été"),
    ("d√©j√† l‚Äô√©t√©", "déjà l’été"), ("√µ + √π, ├── src", "√µ + √π, ├── src"), ("ΓÇ£caf├⌐ΓÇ¥", "“café”"),
    ("Đ±Ń‹Đ» Đ´ĐľĐĽ", "был дом"), ("ĐÀ NẴNG, ĐURĐEVAC", "ĐÀ NẴNG, ĐURĐEVAC"),
    ("write &lt; and &amp;copy; by hand", "write &lt; and &amp;copy; by hand"),
    ("naïve café, déjà vu", "naïve café, déjà vu"),
])
def test_double_encoding_is_mended_and_entities_are_left(text: str, cleaned: str) -> None:
    assert normalize_text(text) == cleaned


def test_a_letter_with_very_many_marks_keeps_ten_of_them() -> None:
    assert len(normalize_text("a" + "\u0316\u0301" * 300_000)) < 20  # ordering them all would take minutes
    assert normalize_text("ยี่สิบ क्षेत्र") == "ยี่สิบ क्षेत्र"


@pytest.mark.parametrize("worst", ["“", "😀", "…", "#", "(", "1", "@", "a@", "1.", "1 ", "a.", "é", "\n1", "x-"])
def test_a_megabyte_of_the_same_takes_linear_time(worst: str) -> None:
    text = PROSE * 20 + (worst * 200_000)[:200_000]  # quadratic time would be minutes
    with deadline(60):
        cleaned = clean_text(text, "en", CHECKS, None)
        assert keys_of(mask(cleaned.text)[0]).size


def test_a_long_run_of_spaces_takes_no_quadratic_time() -> None:
    assert len(normalize_text("a" + "\u1680" * 1_100_000 + "b")) < 300
    assert normalize_text("a" + " " * 300_000 + "b").endswith("b")  # quadratic time would be minutes


LINES = ["This is the first line of the page.", "He went to sea, and she stayed.", "    indented 12", "HAMLET"]


@given(st.text(st.sampled_from("ab 1\n\t.☃"), max_size=200), st.lists(st.sampled_from(LINES), max_size=8))
def test_removing_boilerplate_removes_whole_lines_and_is_idempotent(text: str, more: list[str]) -> None:
    text = normalize_text(text + "\n" + "\n".join(more))
    once, removed = remove_boilerplate(text)
    rest = iter(text.split("\n"))
    assert all(line in rest for line in once.split("\n") if line)  # whole lines, in their order
    assert not set(once.split("\n")).difference([""]).intersection(line for line, _ in removed)
    assert remove_boilerplate(normalize_text(once)) == (normalize_text(once), [])


def page(n: int, body: str = "") -> str:
    return (f"Ships and harbours of the north\n\n{body or f'The story of voyage {n} begins here.'}\n\nHAMLET\n\n"
            f"Share this story with all of your friends\n\nIt ends with {n} men on deck.\n\nAll about us")


def test_lines_that_recur_on_a_site_are_learned() -> None:
    site = Site()
    texts = [remove_boilerplate(page(n), site)[0] for n in range(12)]
    assert texts[4] == page(4)  # five documents have to show it first
    assert texts[5] == "The story of voyage 5 begins here.\n\nHAMLET\n\nIt ends with 5 men on deck."
    assert remove_boilerplate(page(1), Site())[0] == page(1)


def test_a_refrain_and_a_line_on_few_pages_stay() -> None:
    site = Site()
    for n in range(20):
        refrain = "\n".join(["Row on, row on, my lads", f"verse {n}"] * 3)
        body = refrain + ("\nA line that is on some pages only" if n % 3 == 0 else "")
        kept, _ = remove_boilerplate(page(n, body), site)
    assert kept.count("Row on") == 3
    assert "A line that is on some" in remove_boilerplate(page(21, "A line that is on some pages only"), site)[0]


def test_what_is_known_about_a_site_is_bounded_and_survives_storing() -> None:
    site = Site()
    for n in range(64):
        remove_boilerplate(page(n) + "\n" + "\n".join(f"line {n} {i}" for i in range(200)), site)
    assert len(site.lines) < 17 * 210
    again = Site(site.documents, site.lines.tobytes())
    assert remove_boilerplate(page(99), again) == remove_boilerplate(page(99), site)


def test_counts_add_up_and_raw_ids_and_order_are_kept(tmp_path: Path) -> None:
    other = ("The baker of the village rose before the others. He had to be at his oven while it was dark, and to have "
             "bread for all that came. Nobody asked how he did it. They liked the smell of the street in the morning. "
             "On feast days there was a cake with honey. The children stood and waited.")
    short = "There is too little of the text that we have. " * 4
    add_raw_documents(tmp_path, [PROSE, PROSE.replace(",", ";"), short, other])
    stats = validate_and_clean(tmp_path)
    assert (stats.n_in, stats.n_out) == (4, 2)
    assert dict(stats.dropped) == {"exact_duplicate": 1, "too_few_words": 1}
    raw, kept = lines(tmp_path / "data/raw/000000.jsonl"), lines(tmp_path / "data/clean/000000.jsonl")
    assert [d["id"] for d in kept] == [raw[0]["id"], raw[3]["id"]]
    assert kept[0]["metadata"]["language"] == "en"  # type: ignore[index]
    assert clean.run(CONFIG, tmp_path).n_in == 0


def hang(*_arguments: object) -> None:
    while True:
        pass


def test_a_document_that_takes_too_long_is_rejected_and_passed(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_raw_documents(tmp_path, [PROSE])
    validate.run(ALL_LANGUAGES, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(cleaner, "first_broken", hang)
        stats = clean.run(CleanConfig(document_deadline_sec=0.05), tmp_path)
    assert dict(stats.dropped) == {"cleaning_timeout": 1}
    assert lines(tmp_path / "data/rejected.jsonl")[0]["reason"] == "cleaning_timeout"
    assert clean.run(CONFIG, tmp_path).n_in == 0


def test_a_signal_stops_clean_within_a_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        hang()

    before = signal.getsignal(signal.SIGTERM)
    add_raw_documents(tmp_path, [PROSE])
    validate.run(ALL_LANGUAGES, tmp_path)
    try:
        catch_signals()
        with monkeypatch.context() as patched, pytest.raises(Stopped):
            patched.setattr(cleaner, "first_broken", interrupt)
            clean.run(CONFIG, tmp_path)
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert clean.run(CONFIG, tmp_path).n_out == 1


def test_clean_waits_for_validate(tmp_path: Path) -> None:
    add_raw_documents(tmp_path, [PROSE])
    assert clean.run(CONFIG, tmp_path).n_in == 0
    validate.run(ALL_LANGUAGES, tmp_path)
    assert clean.run(CONFIG, tmp_path).n_out == 1


def test_many_runs_give_what_one_run_gives(tmp_path: Path) -> None:
    texts = [PROSE.replace("captain", f"captain {i % 30}") for i in range(40)]
    texts = [*dict.fromkeys(texts), "too short to stay, as the rules have it. " * 3]
    for text in texts:
        add_raw_documents(tmp_path / "many", [text])
        validate_and_clean(tmp_path / "many")
    add_raw_documents(tmp_path / "one", texts)
    validate_and_clean(tmp_path / "one")
    for name in ("clean/000000.jsonl", "rejected.jsonl"):
        assert sorted(lines(tmp_path / "many/data" / name), key=str) == sorted(
            lines(tmp_path / "one/data" / name), key=str)


def test_a_rejected_document_is_kept_for_reading(tmp_path: Path) -> None:
    add_raw_documents(tmp_path, ["There is too little of the text that we have. " * 4])
    validate_and_clean(tmp_path)
    line = lines(tmp_path / "data/rejected.jsonl")[0]
    assert (line["stage"], line["reason"], line["value"], line["threshold"]) == ("clean", "too_few_words", 40, 50)
    with Catalog(tmp_path, read_only=True) as catalog:
        assert catalog.cursor("clean") == 1


STORY = (PROSE + "They sailed on the tide at noon. Nobody spoke of the storm that had gone before them. ").strip()


def add_at(root: Path, texts: list[str], host: str = "example.org") -> None:
    with Catalog(root) as catalog:
        for n, text in enumerate(texts):
            add_raw_line(catalog, document(text, f"http://{host}/{n}"))


def kept_texts(root: Path) -> list[object]:
    return [line["text"] for line in lines(root / "data/clean/000000.jsonl")]


def test_near_duplicates_are_rejected_within_a_run_and_across_runs(tmp_path: Path) -> None:
    add_raw_documents(tmp_path, [STORY, STORY + " The end came soon."])
    assert dict(validate_and_clean(tmp_path).dropped) == {"near_duplicate": 1}
    add_raw_documents(tmp_path, [STORY.replace("captain", "sailor") + " The end came late.", "So: " + STORY])
    assert validate_and_clean(tmp_path).dropped["near_duplicate"] >= 1
    rejected = lines(tmp_path / "data/rejected.jsonl")
    assert rejected[0]["value"] == lines(tmp_path / "data/raw/000000.jsonl")[0]["id"]


def test_clean_documents_without_keys_get_them(tmp_path: Path) -> None:
    add_raw_documents(tmp_path, [STORY])
    validate_and_clean(tmp_path)
    with Catalog(tmp_path) as catalog:
        catalog.execute("UPDATE clean_documents SET signature = NULL")
    add_raw_documents(tmp_path, [STORY + " The end came soon."])
    assert dict(validate_and_clean(tmp_path).dropped) == {"near_duplicate": 1}


def test_masking_can_be_turned_off(tmp_path: Path) -> None:
    add_raw_documents(tmp_path, [STORY + " Write to captain@ships.example.org today."])
    stats = validate_and_clean(tmp_path)
    assert stats.facts["masked"] == {"email address": 1}
    assert str(kept_texts(tmp_path)[0]).endswith("Write to [email address] today.")
    clean.run(CleanConfig(mask_personal_data=False), tmp_path, rebuild=True)
    assert "captain@ships" in str(kept_texts(tmp_path)[0])


def test_a_rebuild_with_the_same_settings_changes_nothing(tmp_path: Path) -> None:
    add_at(tmp_path, [STORY.replace("captain", f"captain {'x' * n}") for n in range(1, 4)] + ["too short. " * 10])
    validate_and_clean(tmp_path)
    before = (tmp_path / "data/clean/000000.jsonl").read_bytes(), lines(tmp_path / "data/rejected.jsonl")
    with Catalog(tmp_path) as catalog, catalog.record():
        catalog.advance("prepare", 1)
    stats = clean.run(CONFIG, tmp_path, rebuild=True)
    assert "the same as before" in stats.facts["summary"]
    assert ((tmp_path / "data/clean/000000.jsonl").read_bytes(), lines(tmp_path / "data/rejected.jsonl")) == before
    assert not (tmp_path / "data/rebuild").exists()
    with Catalog(tmp_path, read_only=True) as catalog:
        assert not catalog.state("prepare.stale") and catalog.cursor("prepare") == 1
    add_at(tmp_path, [STORY + " The end came soon."])
    assert dict(validate_and_clean(tmp_path).dropped) == {"near_duplicate": 1}


def test_what_a_rebuild_swaps_in_is_on_the_disk_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_at(tmp_path, [STORY, "too short. " * 10])
    validate_and_clean(tmp_path)
    fsync, synced = os.fsync, list[str]()
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.readlink(f"/proc/self/fd/{file}")), fsync(file)))
    clean.run(CONFIG, tmp_path, rebuild=True)
    assert any(name.endswith("rejected.joined") for name in synced)


def test_a_rebuild_with_other_settings_replaces_the_old_set(tmp_path: Path) -> None:
    texts = [STORY, "A short one, of the kind that is refused, and of that many words. " * 3, GERMAN * 3]
    add_at(tmp_path, texts)
    validate.run(ValidateConfig(), tmp_path)
    assert clean.run(CONFIG, tmp_path).n_out == 1
    with Catalog(tmp_path) as catalog, catalog.record():
        catalog.execute("UPDATE clean_documents SET split = 'val'")
        catalog.advance("prepare", 1)
    loose = CleanConfig(preset="off", validate=ALL_LANGUAGES)
    stats = clean.run(loose, tmp_path, rebuild=True)
    assert (stats.n_in, stats.n_out) == (3, 3)
    assert [line["id"] for line in lines(tmp_path / "data/clean/000000.jsonl")] == [
        line["id"] for line in lines(tmp_path / "data/raw/000000.jsonl")]
    assert lines(tmp_path / "data/rejected.jsonl") == []
    with Catalog(tmp_path, read_only=True) as catalog:
        assert [row[0] for row in catalog.execute("SELECT validation FROM documents")] == ["valid"] * 3
        assert [row[0] for row in catalog.execute("SELECT split FROM clean_documents ORDER BY seq")] == ["val", "", ""]
        assert catalog.state("prepare.stale") is True
        assert (catalog.cursor("prepare"), catalog.cursor("clean")) == (0, 3)
    assert clean.run(CONFIG, tmp_path).n_in == 0
    clean.run(CONFIG, tmp_path, rebuild=True)
    assert kept_texts(tmp_path) == [STORY]


def test_a_rebuild_validates_again_although_a_run_has_seen_the_new_settings(tmp_path: Path) -> None:
    add_at(tmp_path, [GERMAN * 3])
    validate.run(ValidateConfig(), tmp_path)
    clean.run(CONFIG, tmp_path)
    assert "None of the documents is valid" in histograms(CONFIG, tmp_path)
    validate.run(ALL_LANGUAGES, tmp_path)  # nothing is new
    assert clean.run(CleanConfig(preset="off", validate=ALL_LANGUAGES), tmp_path, rebuild=True).n_out == 1


def test_an_interrupted_rebuild_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_at(tmp_path, [STORY.replace("captain", f"{'abcdefgh'[n] * 9} {n}") for n in range(6)])
    validate_and_clean(tmp_path)
    before, seen = (tmp_path / "data/clean/000000.jsonl").read_bytes(), []

    def stop_at_the_fourth(*arguments: object) -> None:
        seen.append(arguments)
        if len(seen) == 4:
            raise KeyboardInterrupt
        original(*arguments)  # type: ignore[arg-type]

    original = rebuild.rebuild_document
    monkeypatch.setattr(rebuild, "rebuild_document", stop_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        clean.run(CONFIG, tmp_path, rebuild=True)
    assert (tmp_path / "data/clean/000000.jsonl").read_bytes() == before
    assert clean.run(CONFIG, tmp_path, rebuild=True).n_in == 3
    assert (tmp_path / "data/clean/000000.jsonl").read_bytes() == before


def test_a_rebuild_that_died_after_its_swap_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_at(tmp_path, [STORY])
    validate.run(ALL_LANGUAGES, tmp_path)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(rebuild.shutil, "rmtree", Mock(side_effect=KeyboardInterrupt))
        clean.run(CONFIG, tmp_path, rebuild=True)
    assert kept_texts(tmp_path) == [STORY]
    assert "the same as before" in clean.run(CONFIG, tmp_path, rebuild=True).facts["summary"]
    assert kept_texts(tmp_path) == [STORY]


def test_the_rejections_of_a_rebuild_are_on_the_disk_before_its_swap(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_at(tmp_path, [STORY])
    validate.run(ALL_LANGUAGES, tmp_path)
    synced = synced_names(monkeypatch)
    clean.run(CONFIG, tmp_path, rebuild=True)
    assert "rejected.joined" in synced


def test_a_rebuild_works_where_nothing_was_kept_before(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"There is no .*catalog"):
        clean.run(CONFIG, tmp_path, rebuild=True)
    add_at(tmp_path, [STORY, "too short. " * 10])
    validate.run(ALL_LANGUAGES, tmp_path)
    assert clean.main(["--root", str(tmp_path), "--quiet", "--rebuild"]) == 0
    assert kept_texts(tmp_path) == [STORY]
    assert clean.run(CONFIG, tmp_path).n_in == 0
    with Catalog(tmp_path, read_only=True) as catalog:
        assert catalog.cursor("clean") == 2


def test_rejections_of_other_stages_survive_a_rebuild(tmp_path: Path) -> None:
    add_at(tmp_path, ["There is too little of the text that we have. " * 4])
    validate_and_clean(tmp_path)
    with Catalog(tmp_path) as catalog, catalog.record():
        catalog.reject("extract", Rejection("too_short", 1, 2), "1", "", 'it says "stage": "clean"')
        catalog.append_to(REJECTED, b"[" * 100_000 + b"\n")  # a line that is damaged
    clean.run(CONFIG, tmp_path, rebuild=True)
    assert [line.get("stage") for line in read_lines(tmp_path / REJECTED, 1 << 20)] == ["extract", None, "clean"]


def test_explain_shows_what_became_of_a_document(tmp_path: Path) -> None:
    add_at(tmp_path, [STORY, "There is too little of the text that we have. " * 4])
    validate_and_clean(tmp_path)
    kept, _ = lines(tmp_path / "data/raw/000000.jsonl")
    assert "kept in data/clean/000000.jsonl, byte 0" in explain(CONFIG, tmp_path, str(kept["id"])[:12])
    explained = explain(CONFIG, tmp_path, "http://example.org/1")
    assert "rejected   clean: too_few_words, found 40, threshold 50" in explained
    assert [line for line in explained.splitlines() if "BROKEN" in line and "too_few_words" in line]
    with pytest.raises(StageError, match="No document has the id") as error:
        explain(CONFIG, tmp_path, "zzz")
    command = error.value.fix.partition(": ")[2]
    listed = subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout.split()
    assert listed == [line["id"] for line in lines(tmp_path / "data/raw/000000.jsonl")]


def test_a_histogram_is_drawn_for_each_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_at(tmp_path, [STORY, "There is too little of the text that we have. " * 4])
    validate_and_clean(tmp_path)
    drawn = histograms(CONFIG, tmp_path).splitlines()[2:]
    assert len(drawn) == len(CHECKS)
    assert drawn[0].startswith("too_few_words                    1 broken")
    assert [line.count("|") for line in drawn] == [int(check.in_force) for check in CHECKS]
    assert clean.main(["--root", str(tmp_path), "--report"]) == 0  # the old name of --histograms
    assert capsys.readouterr().out.splitlines()[2:] == drawn


VERSE = """Tyger Tyger, burning bright,
In the forests of the night;
What immortal hand or eye,
Could frame thy fearful symmetry?

In what distant deeps or skies,
Burnt the fire of thine eyes?
On what wings dare he aspire?
What the hand, dare seize the fire?

And what shoulder, & what art,
Could twist the sinews of thy heart?
And when thy heart began to beat,
What dread hand? & what dread feet?"""
DRAMA = "\n\n".join(f"{speaker}\n{line}" for speaker, line in zip(
    ["BERNARDO", "FRANCISCO"] * 6, [
        "Who's there?", "Nay, answer me. Stand and unfold yourself.", "Long live the king!", "Bernardo?", "He.",
        "You come most carefully upon your hour.", "'Tis now struck twelve. Get thee to bed, Francisco.",
        "For this relief much thanks. 'Tis bitter cold, and I am sick at heart.", "Have you had quiet guard?",
        "Not a mouse stirring.", "Well, good night. If you do meet the rivals of my watch, bid them make haste.",
        "I think I hear them. Stand, ho! Who is there?"], strict=True))
RECIPE = ("Chocolate chip cookies\n\n2 cups of flour\n1 cup of butter\n3/4 cup of sugar\n2 eggs\n"
          "1 bag of chocolate chips\n\n"
          "Heat the oven to 375 degrees. Beat the butter with the sugar until it is light. Add the eggs one by one. "
          "Stir in the flour and the chips. Drop spoonfuls of the dough on a sheet. Bake the cookies for nine minutes, "
          "and let the cookies cool on a rack before you eat them.")
CODE = ("{\n    \"name\": \"ship\",\n    \"port\": 80\n}\n\n"
        "The file above is what the server reads when it starts. It has two keys. The name is shown to the user, and "
        "the port is where it listens. If the file is not there, the server takes its own values. You have to restart "
        "it when you change the file.\n\ndef main():\n    return load()\n")
CHINESE = ("老船长走上甲板，望着天空。那是一个安静的早晨，阳光很长。他和大副谈起了货物，也谈到了这一周的天气。"
           "水手们已经准备好了，水桶也装满了。于是他们等待潮水。天黑以前，船离开了港口，向北方驶去。")


@pytest.mark.parametrize(("text", "language"), [(VERSE, "en"), (DRAMA, "en"), (RECIPE, "en"), (CODE, "en"),
                                               (GERMAN + GERMAN_TOO, "de"), (CHINESE, "zh")])
def test_verse_drama_recipes_code_and_other_languages_are_kept(text: str, language: str) -> None:
    assert clean_text(text, language, CHECKS, None).rejection is None


PRIVACY = ("A court has told four shops to ask before they set cookies. The ruling says that consent must be free.\n\n"
           "The shops had written a privacy policy that nobody could read, and a newsletter that nobody could leave. "
           "The judges found that a box which is ticked already is no consent.\n\nA lawyer for the shops said that "
           "copyright and cookies had kept her busy for years. She did not think that privacy would get any easier.")
JAVASCRIPT = "\n".join([
    "JavaScript began as a toy and became the language of the web.", "Old engines do not support JavaScript modules.",
    "In JavaScript a number is always a double, and that has cost many people an evening.",
    "Those who have to turn on JavaScript checks in an editor find them under its settings.",
    "A JavaScript promise is either kept or broken; there is no third thing to be.",
    "To read JavaScript of the nineties is to see how little people asked of a page."])
SCHOOL = "\n".join([*(f"{a} + {b} = {a + b}" for a in range(2, 8) for b in (3, 5)), "The sums above are to be done by "
                    "heart. Those below have to be written out, and the teacher will look at them. There is time until "
                    "the bell. Then we all go home. The answers are on the last page of the book that you have."])
CHESS = ("The game was short, and the two players had been friends since they were at school.\n\n1. e4 e5 2. Nf3 Nc6 "
         "3. Bb5 a6 4. Ba4 Nf6 5. O-O Be7\n\nWhite has more room, and Black has to be careful with the pawn in the "
         "middle.\n\n6. Re1 b5 7. Bb3 d6 8. c3 O-O 9. h3 Nb8\n\nThat is an old move. It looks odd, but the knight "
         "comes back to a better square. The rest of it took them until midnight.")
GLOSSARY = "\n\n".join(f"{word}\n\n{meaning} It is of use to those who work on the web." for word, meaning in (
    ("Cookies", "What a server asks a browser to keep."), ("Newsletter", "A letter that many people get at once."),
    ("Privacy", "To be seen by nobody but those one likes."), ("Copyright", "To have a say in what is copied."),
    ("Consent", "A yes that one may take back."), ("Unsubscribe", "To ask for no more letters.")))
CLINICS = "\n\n".join(["\n".join([f"The {name} Clinic", f"{n} Hill Road", "Monday to Friday", "By appointment"])
                       for n, name in enumerate(("North", "South", "East", "West", "Upper", "Lower"), 20)]
                      + (PROSE.strip() + "\n\n" + PRIVACY).split("\n\n"))


@pytest.mark.parametrize("text", [PRIVACY, JAVASCRIPT, SCHOOL, CHESS, GLOSSARY, CLINICS])
def test_a_text_is_not_rejected_for_what_it_is_about(text: str) -> None:
    cleaned = clean_text(text, "en", CHECKS, None)
    assert (cleaned.rejection, cleaned.removed) == (None, [])


@pytest.mark.parametrize("text", [
    "\n".join(["Home", "About us", "Products", "Ships and boats", "Sails", "Ropes", "Anchors", "News", "Careers"] * 8),
    "We use cookies. By clicking accept you give your consent to our use of cookies for the purposes in our privacy "
    "policy. You can withdraw your consent at any time in the privacy settings. Some cookies are needed for the site. "
    "Others tell us how it is used. Read more about the cookies in the list below, and about your choices.",
])
def test_menus_and_consent_texts_are_rejected(text: str) -> None:
    assert clean_text(text, "en", CHECKS, None).rejection is not None


def test_only_documents_of_required_licenses_are_kept_now_and_after_a_rebuild(tmp_path: Path) -> None:
    texts = {"CC-BY-SA-4.0": PROSE, "CC0-1.0": GERMAN, "": GERMAN_TOO, "older": f"{PROSE[:99]}{GERMAN}{PROSE[:120]}"}
    with Catalog(tmp_path) as catalog:
        for license, text in texts.items():
            content = document(text)
            if license != "older":  # from before there was this key
                content["metadata"]["license"] = license  # type: ignore[index]
            add_raw_line(catalog, content)
    config = CleanConfig(preset="off", require_license=["cc0-*", "CC-BY-SA-*"], validate=ALL_LANGUAGES)
    validate.run(ALL_LANGUAGES, tmp_path)
    stats = clean.run(config, tmp_path)
    assert (stats.n_out, dict(stats.dropped)) == (2, {"no_license": 2})
    rejected = lines(tmp_path / "data/rejected.jsonl")
    assert [(line["value"], line["threshold"]) for line in rejected] == [("none named", "cc0-* CC-BY-SA-*")] * 2
    assert "none named, not one of" in explain(config, tmp_path, str(rejected[0]["id"]))
    assert clean.run(replace(config, require_license=["CC0-*"]), tmp_path, rebuild=True).n_out == 1
    assert clean.run(replace(config, require_license=[]), tmp_path, rebuild=True).n_out == 4
