"""python3 -m pytest tests/training/test_prepare.py"""

import dataclasses
import json
import os
import pickle
import pickletools
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from helpers import PROSE, add_clean_documents, bins, decoded, lines

import prepare
from miniature_memory.core.config import build_config, read_tables
from miniature_memory.core.errors import ConfigError, StageError
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.clean_documents import split_of
from miniature_memory.training import bins_writer
from miniature_memory.training.checkpoint import load_state
from miniature_memory.training.config import PrepareConfig, TrainConfig
from miniature_memory.training.tokenizer import load
from train import train

SMALL = PrepareConfig(vocab_size=400)
FROZEN = PrepareConfig(vocab_size=400, freeze_bytes=1000)
GERMAN = ("Das Schiff lag mit gerefften Segeln im Hafen, und der alte Kapitän ging über das Deck und schaute nach dem "
          "Himmel. Es war ein stiller Morgen mit langem Licht, und niemand wußte, wann die Flut kommen würde. ")


@pytest.fixture(autouse=True)
def short_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bins_writer, "MIN_VAL_TOKENS", 20)


def story(n: int) -> str:
    return PROSE.replace("captain", f"captain number {n}").replace("cargo", f"cargo of {n} casks")


def add_clean(root: Path, numbers: range) -> None:
    add_clean_documents(root, [story(n) for n in numbers])


def clean_texts(root: Path) -> list[str]:
    return sorted(str(d["text"]) for d in lines(root / "data/clean/000000.jsonl"))


def test_the_bins_decode_to_the_clean_text(tmp_path: Path) -> None:
    add_clean(tmp_path, range(100))
    report = prepare.run(SMALL, tmp_path)
    assert report.n_out == 100 and decoded(tmp_path) == clean_texts(tmp_path)


def test_the_bins_hold_each_split_in_the_order_of_the_documents(tmp_path: Path) -> None:
    stories = [story(n) * (1 + n % 7) for n in range(150)]
    for texts in (stories[:60], stories[60:]):  # built, then extended
        add_clean_documents(tmp_path, texts)
        prepare.run(FROZEN, tmp_path)
    tokenizer, drawn = load(tmp_path / "data/tokenizer"), splits(tmp_path)  # a dict in the order of the documents
    for split, found in bins(tmp_path).items():
        texts = [text for text, of in zip(stories, drawn.values(), strict=True) if of == split]
        assert found.tolist() == [i for text in texts for i in (*tokenizer.encode(text), tokenizer.eot_token)]


def test_a_batch_ends_at_64_documents_or_a_megabyte() -> None:
    sizes = [10] * 100 + [600_000] * 3 + [5_000_000] + [10]
    batches = bins_writer.batches({"text_bytes": size} for size in sizes)
    assert [len(batch) for batch in batches] == [64, 36 + 2, 2, 1]


def test_no_more_batches_are_read_than_are_ahead(tmp_path: Path) -> None:
    add_clean(tmp_path, range(1))
    prepare.run(SMALL, tmp_path)
    with Catalog(tmp_path, read_only=True) as catalog:
        row, n_read = catalog.execute("SELECT * FROM clean_documents").fetchone(), count()
        rows = (row for _ in iter(lambda: next(n_read), 640))
        next(bins_writer.encode_rows(catalog, load(tmp_path / "data/tokenizer"), rows, 640))
    assert next(n_read) == 64 * (bins_writer.BATCHES_AHEAD + 1)


@pytest.mark.parametrize("kind", ["char", "byte"])
def test_other_tokenizers_decode_too(tmp_path: Path, kind: str) -> None:
    add_clean(tmp_path, range(40))
    prepare.run(PrepareConfig(tokenizer=kind), tmp_path)
    assert decoded(tmp_path) == clean_texts(tmp_path)


def test_a_frozen_tokenizer_stays_and_the_bins_only_grow(tmp_path: Path) -> None:
    add_clean(tmp_path, range(60))
    prepare.run(FROZEN, tmp_path)
    before, first = bins(tmp_path), load(tmp_path / "data/tokenizer").hash
    add_clean(tmp_path, range(60, 160))
    prepare.run(FROZEN, tmp_path)
    after = bins(tmp_path)
    assert load(tmp_path / "data/tokenizer").hash == first and decoded(tmp_path) == clean_texts(tmp_path)
    assert all(np.array_equal(after[split][:len(before[split])], before[split]) for split in before)
    growth = json.loads((tmp_path / "data/bins.json").read_text())["growth"]
    assert [step["train_tokens"] for step in growth] == [len(before["train"]), len(after["train"])]


def test_a_provisional_tokenizer_is_rebuilt(tmp_path: Path) -> None:
    add_clean(tmp_path, range(9))
    prepare.run(SMALL, tmp_path)
    first = load(tmp_path / "data/tokenizer")
    add_clean(tmp_path, range(1000, 1100))
    prepare.run(SMALL, tmp_path)
    second = load(tmp_path / "data/tokenizer")
    assert first.provisional and first.hash != second.hash and decoded(tmp_path) == clean_texts(tmp_path)
    assert len(json.loads((tmp_path / "data/bins.json").read_text())["growth"]) == 1


def test_a_run_without_news_changes_nothing(tmp_path: Path) -> None:
    add_clean(tmp_path, range(30))
    prepare.run(SMALL, tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "data").glob("*.bin")}
    assert prepare.run(SMALL, tmp_path).n_in == 0
    assert {path: path.read_bytes() for path in (tmp_path / "data").glob("*.bin")} == before


@pytest.mark.parametrize("kind", ["bpe", "char", "byte"])
def test_nanogpt_s_own_encoder_and_decoder_work_with_meta_pkl(tmp_path: Path, kind: str) -> None:
    add_clean_documents(tmp_path, [f"{story(n)} Zwölf ältere Männer." for n in range(40)])
    prepare.run(dataclasses.replace(SMALL, tokenizer=kind), tmp_path)
    with open(tmp_path / "data/meta.pkl", "rb") as stream:
        meta = pickle.load(stream)
    stoi, itos, tokenizer = meta["stoi"], meta["itos"], load(tmp_path / "data/tokenizer")
    assert meta["vocab_size"] == len(itos) == tokenizer.vocab_size == json.loads(
        (tmp_path / "data/bins.json").read_text())["vocab_size"]
    assert "".join([itos[i] for i in [stoi[c] for c in "\nTo be"]]) == "\nTo be"  # as its sample.py does
    assert ("ä" in stoi) == (kind != "byte") and itos[tokenizer.eot_token] == ""
    assert all(itos[i] == text for text, i in stoi.items())
    ids = tokenizer.encode("The captain of the ship")
    assert "".join(itos[i] for i in ids) == "The captain of the ship"


def test_meta_pkl_holds_plain_values_and_comes_back_with_the_next_run(tmp_path: Path) -> None:
    add_clean(tmp_path, range(30))
    prepare.run(SMALL, tmp_path)
    path = tmp_path / "data/meta.pkl"
    content = path.read_bytes()
    assert not {"GLOBAL", "STACK_GLOBAL", "REDUCE", "INST", "OBJ"} & {code.name for code, *_ in
                                                                      pickletools.genops(content)}
    for damage in (path.unlink, lambda: path.write_bytes(b"another vocabulary")):
        damage()
        prepare.run(SMALL, tmp_path)
        assert path.read_bytes() == content


def test_without_documents_nothing_is_made(tmp_path: Path) -> None:
    assert prepare.run(SMALL, tmp_path).n_in == 0 and not (tmp_path / "data/train.bin").exists()


def test_the_split_is_the_id_s_alone_and_about_one_in_twenty() -> None:
    splits = [split_of(f"{n * 2654435761 % 2**32:08x}") for n in range(10_000)]
    assert 400 < splits.count("val") < 600
    assert (split_of("00000031" + "f" * 56), split_of("00000032" + "0" * 56)) == ("val", "train")


def test_a_short_validation_split_is_filled_by_the_lowest_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bins_writer, "MIN_VAL_TOKENS", 100)
    add_clean(tmp_path, range(12))
    prepare.run(SMALL, tmp_path)
    assert len(bins(tmp_path)["val"]) >= 100
    with Catalog(tmp_path, read_only=True) as catalog:
        rows = catalog.execute("SELECT id, split FROM clean_documents ORDER BY id").fetchall()
    joined = [row["split"] for row in rows if split_of(row["id"]) == "train"]
    assert joined == sorted(joined, reverse=True)  # val before train


def test_one_document_is_left_to_train_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bins_writer, "MIN_VAL_TOKENS", 100_000)
    add_clean(tmp_path, range(2))
    prepare.run(SMALL, tmp_path)
    assert len(bins(tmp_path)["train"]) > 0


def test_a_crash_before_the_growth_step_is_recorded_is_repaired(tmp_path: Path) -> None:
    add_clean(tmp_path, range(60))
    prepare.run(FROZEN, tmp_path)
    add_clean(tmp_path, range(60, 80))
    with Catalog(tmp_path) as catalog:
        bins_writer.extend(catalog, load(tmp_path / "data/tokenizer"), prepare.StageStats("prepare", n_in=20))
    prepare.run(FROZEN, tmp_path)
    growth = json.loads((tmp_path / "data/bins.json").read_text())["growth"]
    assert len(growth) == 2 and growth[-1]["documents"] == 80


def test_a_missing_tokenizer_is_an_error(tmp_path: Path) -> None:
    add_clean(tmp_path, range(60))
    prepare.run(FROZEN, tmp_path)
    (tmp_path / "data/tokenizer/meta.json").unlink()
    with pytest.raises(StageError, match=r"no .*meta\.json.*prepare\.py --retokenize"):
        prepare.run(FROZEN, tmp_path)


def test_the_tokenizer_learns_from_early_and_late_documents_alike() -> None:
    rows = [{"text_bytes": 10, "n": n} for n in range(100)]
    assert [row["n"] for row in bins_writer.sample_evenly(rows, 0.25)] == list(range(0, 100, 4))
    assert list(bins_writer.sample_evenly(rows, 1)) == list(bins_writer.sample_evenly(rows, 7.5)) == rows


def test_a_large_dataset_is_sampled_for_the_tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bins_writer, "TOKENIZER_BYTES", 5_000)
    add_clean_documents(tmp_path, [story(n) for n in range(40)] + [f"{GERMAN} {n}" for n in range(60)])
    prepare.run(FROZEN, tmp_path)
    tokenizer = load(tmp_path / "data/tokenizer")
    assert min(len(text.encode()) / len(tokenizer.encode(text)) for text in (GERMAN, PROSE)) > 2


# --- bins rebuilt with their own tokenizer -------------------------------------------------------


def make_stale(root: Path, keep: range) -> None:
    """Keep a part of the documents with their splits, as clean.py --rebuild does."""
    with Catalog(root) as catalog, catalog.record():
        ids = [row["id"] for row in catalog.execute("SELECT id FROM clean_documents ORDER BY seq")]
        for n, document_id in enumerate(ids):
            if n not in keep:
                catalog.execute("DELETE FROM clean_documents WHERE id = ?", [document_id])
        catalog.advance("prepare", 0)
        catalog.set_state("prepare.stale", True)


def splits(root: Path) -> dict[str, str]:
    with Catalog(root, read_only=True) as catalog:
        return {row["id"]: row["split"] for row in catalog.execute("SELECT id, split FROM clean_documents")}


def growth(root: Path) -> list[dict[str, int]]:
    steps: list[dict[str, int]] = json.loads((root / "data/bins.json").read_text())["growth"]
    return steps


def test_stale_bins_are_rebuilt_with_the_same_tokenizer_and_splits(tmp_path: Path) -> None:
    for numbers in (range(60), range(60, 90)):
        add_clean(tmp_path, numbers)
        prepare.run(FROZEN, tmp_path)
    before, first = splits(tmp_path), load(tmp_path / "data/tokenizer").hash
    make_stale(tmp_path, range(5, 80))
    report = prepare.run(FROZEN, tmp_path)
    texts = [story(n) for n in range(5, 80)]
    assert report.n_out == 75 and decoded(tmp_path) == sorted(texts)
    assert load(tmp_path / "data/tokenizer").hash == first
    assert splits(tmp_path).items() <= before.items() and len(growth(tmp_path)) == 1
    kept = {path: path.read_bytes() for path in (tmp_path / "data").glob("*.bin")}
    assert prepare.run(FROZEN, tmp_path).n_in == 0  # stale no more
    assert {path: path.read_bytes() for path in (tmp_path / "data").glob("*.bin")} == kept


def test_new_documents_of_stale_bins_are_split_by_their_id(tmp_path: Path) -> None:
    add_clean(tmp_path, range(60))
    prepare.run(FROZEN, tmp_path)
    old = splits(tmp_path)
    add_clean(tmp_path, range(60, 120))
    make_stale(tmp_path, range(120))
    prepare.run(FROZEN, tmp_path)
    assert {i: s for i, s in splits(tmp_path).items() if i not in old} == {
        i: split_of(i) for i in splits(tmp_path) if i not in old}
    add_clean(tmp_path, range(120, 140))
    prepare.run(FROZEN, tmp_path)
    assert decoded(tmp_path) == sorted(story(n) for n in range(140)) and len(growth(tmp_path)) == 2


def test_stale_bins_that_are_missing_come_back_as_they_were(tmp_path: Path) -> None:
    for numbers in (range(60), range(60, 90)):
        add_clean(tmp_path, numbers)
        prepare.run(FROZEN, tmp_path)
    before = bins(tmp_path)
    make_stale(tmp_path, range(90))
    for split in before:
        (tmp_path / f"data/{split}.bin").unlink()
    prepare.run(FROZEN, tmp_path)
    assert all(np.array_equal(bins(tmp_path)[split], before[split]) for split in before)


def test_the_old_bins_stay_until_the_new_ones_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_clean(tmp_path, range(60))
    prepare.run(FROZEN, tmp_path)
    before = bins(tmp_path)
    make_stale(tmp_path, range(30))
    with monkeypatch.context() as broken, pytest.raises(ZeroDivisionError):
        broken.setattr(Catalog, "swap", lambda *_: 1 / 0)
        prepare.run(FROZEN, tmp_path)
    assert all(np.array_equal(bins(tmp_path)[split], before[split]) for split in before)
    prepare.run(FROZEN, tmp_path)
    assert len(decoded(tmp_path)) == 30


def test_a_stale_provisional_tokenizer_is_rebuilt(tmp_path: Path) -> None:
    add_clean(tmp_path, range(9))
    prepare.run(SMALL, tmp_path)
    make_stale(tmp_path, range(5))
    prepare.run(SMALL, tmp_path)
    assert len(decoded(tmp_path)) == 5 and load(tmp_path / "data/tokenizer").provisional


def test_stale_before_there_were_bins_is_no_error(tmp_path: Path) -> None:
    add_clean(tmp_path, range(60))
    make_stale(tmp_path, range(50))
    assert prepare.run(FROZEN, tmp_path).n_out == len(decoded(tmp_path)) == 50


def test_what_was_learned_from_joins_validation_only_if_that_were_empty(tmp_path: Path) -> None:
    add_clean(tmp_path, range(60))
    prepare.run(FROZEN, tmp_path)
    with Catalog(tmp_path) as catalog, catalog.record():
        catalog.execute("DELETE FROM clean_documents WHERE split = 'val'")
        catalog.set_state("prepare.stale", True)
    prepare.run(FROZEN, tmp_path)
    assert list(splits(tmp_path).values()).count("val") == 1


# --- drift ---------------------------------------------------------------------------------------


@pytest.fixture
def drifting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with a frozen tokenizer of English text, where drift is judged every 20 kB."""
    monkeypatch.setattr(prepare, "DRIFT_BYTES", 20_000)
    add_clean(tmp_path, range(60))
    prepare.run(FROZEN, tmp_path)
    return tmp_path


def test_text_of_another_kind_is_reported_once_with_the_fix(drifting: Path, caplog: pytest.LogCaptureFixture) -> None:
    add_clean_documents(drifting, [f"{GERMAN} {n}" for n in range(120)])
    report = prepare.run(FROZEN, drifting)
    assert report.facts["drift_frac"] > 0.3
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1 and "prepare.py --retokenize" in warnings[0] and "at most 15 %" in warnings[0]
    assert "drift_frac" not in prepare.run(FROZEN, drifting).facts and len(caplog.records) == len(warnings)


def test_more_of_the_same_text_is_no_drift(drifting: Path, caplog: pytest.LogCaptureFixture) -> None:
    add_clean(drifting, range(100, 180))
    assert abs(prepare.run(FROZEN, drifting).facts["drift_frac"]) < 0.1 and not caplog.records


def test_short_runs_add_up_to_one_measurement(drifting: Path) -> None:
    measured = []
    for run in range(4):  # 8 kB each
        add_clean(drifting, range(200 + 20 * run, 220 + 20 * run))
        measured.append("drift_frac" in prepare.run(FROZEN, drifting).facts)
    assert measured == [False, False, True, False]


# --- a new tokenizer ------------------------------------------------------------------------------


def bins_json(root: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((root / "data/bins.json").read_text())
    return content


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    """A root with a frozen tokenizer, bins in two steps, and text that the tokenizer has not learned from."""
    add_clean(tmp_path, range(60))
    prepare.run(FROZEN, tmp_path)
    add_clean_documents(tmp_path, [f"{GERMAN} {n}" for n in range(60)])
    prepare.run(FROZEN, tmp_path)
    return tmp_path


def test_retokenizing_rebuilds_everything_and_moves_no_document(frozen: Path) -> None:
    old, drawn, before = load(frozen / "data/tokenizer").hash, splits(frozen), prepare.run(FROZEN, frozen).facts
    add_clean(frozen, range(60, 70))  # what is new comes in with the rest
    report = prepare.run(FROZEN, frozen, retokenize=True)
    tokenizer = load(frozen / "data/tokenizer")
    assert tokenizer.hash != old and decoded(frozen) == clean_texts(frozen)
    assert drawn.items() <= splits(frozen).items()
    assert report.facts["bytes_per_token"] > 1.1 * before["bytes_per_token"]
    assert len(growth(frozen)) == 1 and report.n_in == report.n_out == 10
    assert (bins_json(frozen)["tokenizer_hash"], bins_json(frozen)["retokenized_from"]) == (tokenizer.hash, [old])
    assert "retokenized: " in report.summary() and not list((frozen / "data").rglob("*.new"))


def test_after_retokenizing_the_bins_grow_as_before(frozen: Path) -> None:
    assert bins_json(frozen)["retokenized_from"] == []
    hashes = []
    for numbers in (range(60, 90), range(90, 120)):
        hashes.append(bins_json(frozen)["tokenizer_hash"])
        prepare.run(FROZEN, frozen, retokenize=True)
        add_clean(frozen, numbers)
        prepare.run(FROZEN, frozen)
        assert decoded(frozen) == clean_texts(frozen) and len(growth(frozen)) == 2
    assert bins_json(frozen)["retokenized_from"] == hashes


def test_a_crash_before_the_swap_leaves_the_old_set(frozen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in (frozen / "data").rglob("*") if path.suffix in (".bin", ".json")}
    with monkeypatch.context() as broken, pytest.raises(ZeroDivisionError):
        broken.setattr(Catalog, "swap", lambda *_: 1 / 0)
        prepare.run(FROZEN, frozen, retokenize=True)
    prepare.run(FROZEN, frozen)
    assert {path: path.read_bytes() for path in before} == before and len(growth(frozen)) == 2


@pytest.mark.parametrize("renamed", range(4))
def test_a_crash_in_the_swap_ends_in_the_new_set(frozen: Path, monkeypatch: pytest.MonkeyPatch, renamed: int) -> None:
    replace, left, old = os.replace, iter(range(renamed)), load(frozen / "data/tokenizer").hash

    def crash(source: Path, target: Path) -> None:
        if str(source).endswith(".new") and next(left, None) is None:
            raise ZeroDivisionError
        replace(source, target)

    with monkeypatch.context() as broken, pytest.raises(ZeroDivisionError):
        broken.setattr(os, "replace", crash)
        prepare.run(FROZEN, frozen, retokenize=True)
    prepare.run(FROZEN, frozen)
    assert decoded(frozen) == clean_texts(frozen) and len(growth(frozen)) == 1
    assert load(frozen / "data/tokenizer").hash != old and bins_json(frozen)["retokenized_from"] == [old]


@pytest.mark.parametrize("damage", ["folder", "meta.json", "ranks.tiktoken"])
def test_a_lost_tokenizer_is_replaced_by_retokenizing(frozen: Path, damage: str) -> None:
    old, drawn, folder = load(frozen / "data/tokenizer").hash, splits(frozen), frozen / "data/tokenizer"
    for path in list(folder.iterdir()):
        if damage == "folder":
            path.unlink()
        elif path.name == damage:
            path.write_bytes(b"{}")
    with pytest.raises(StageError, match=r"prepare\.py --retokenize"):
        prepare.run(FROZEN, frozen)
    prepare.run(FROZEN, frozen, retokenize=True)
    assert decoded(frozen) == clean_texts(frozen) and splits(frozen) == drawn
    assert bins_json(frozen)["retokenized_from"] == [old]
    assert prepare.run(FROZEN, frozen).n_in == 0


def test_a_kind_that_learns_nothing_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    config = dataclasses.replace(FROZEN, tokenizer="byte")
    add_clean(tmp_path, range(30))
    prepare.run(config, tmp_path)
    add_clean(tmp_path, range(30, 40))
    report = prepare.run(config, tmp_path, retokenize=True)
    assert "byte is the same for every text" in caplog.text and "retokenized" not in report.summary()
    assert len(growth(tmp_path)) == 2 and decoded(tmp_path) == clean_texts(tmp_path)


def test_retokenizing_takes_the_kind_that_is_set_now(tmp_path: Path) -> None:
    add_clean(tmp_path, range(30))
    prepare.run(dataclasses.replace(FROZEN, tokenizer="byte"), tmp_path)
    prepare.run(FROZEN, tmp_path, retokenize=True)
    assert load(tmp_path / "data/tokenizer").kind == "bpe" and decoded(tmp_path) == clean_texts(tmp_path)


def test_a_provisional_tokenizer_is_rebuilt_even_without_retokenizing(
        tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    add_clean(tmp_path, range(30))
    prepare.run(SMALL, tmp_path)
    prepare.run(SMALL, tmp_path, retokenize=True)
    assert "rebuilt with every new document" in caplog.text and bins_json(tmp_path)["retokenized_from"] == []
    assert decoded(tmp_path) == clean_texts(tmp_path)


def test_the_flag_reaches_the_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_clean(tmp_path, range(60))
    prepare.run(FROZEN, tmp_path)
    old = load(tmp_path / "data/tokenizer").hash
    (tmp_path / "data/tokenizer/meta.json").unlink()
    assert prepare.main(["--root", str(tmp_path)]) == 1
    assert prepare.main(["--root", str(tmp_path), "--retokenize", "--json"]) == 0
    assert "retokenized: " in json.loads(capsys.readouterr().out.splitlines()[-1])["facts"]["summary"]
    assert bins_json(tmp_path)["retokenized_from"] == [old]


@pytest.mark.usefixtures("one_thread")
def test_after_a_rebuild_training_continues_with_a_new_plan(tmp_path: Path) -> None:
    tiny = TrainConfig(size="1x16", block_size=8, ngram_rows=512, batch_size=4, max_iters=10, max_minutes=0.0,
                       max_epochs=0, eval_minutes=60.0)
    add_clean(tmp_path, range(60))
    prepare.run(FROZEN, tmp_path)
    train(tiny, tmp_path, 0.0)
    first = load_state(tmp_path / "checkpoints/ckpt.pt")
    make_stale(tmp_path, range(40))
    prepare.run(FROZEN, tmp_path)
    losses: dict[int, float] = {}
    train(dataclasses.replace(tiny, max_iters=20), tmp_path, 0.0, losses.__setitem__)
    second = load_state(tmp_path / "checkpoints/ckpt.pt")
    assert first and second and min(losses) == first["iter_num"] + 1 and second["iter_num"] > first["iter_num"]
    assert (first["position"]["plan"], second["position"]["plan"], second["position"]["old_tokens"]) == (1, 2, 0)
    assert second["position"]["growth"] == [[step["train_tokens"], step["val_tokens"]] for step in growth(tmp_path)]


@pytest.mark.parametrize("override", ['prepare.tokenizer="bpee"', "prepare.vocab_size=100", "prepare.vocab_size=70000"])
def test_wrong_values_are_config_errors(tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigError, match="expected"):
        build_config(PrepareConfig, "prepare", read_tables(tmp_path, None, [override]))
