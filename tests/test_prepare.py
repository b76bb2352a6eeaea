"""python3 -m pytest tests/test_prepare.py"""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers import PROSE, add_raw_documents, lines

import clean
import prepare
import validate
from catalog import Catalog
from clean import CleanConfig
from pipeline import ConfigError, StageError, build_config, read_tables
from prepare import PrepareConfig, split_of
from tokenizer import load
from validate import ValidateConfig

SMALL = PrepareConfig(vocab_size=400, min_val_tokens=20)
FROZEN = PrepareConfig(vocab_size=400, min_val_tokens=20, freeze_bytes=1000)


def story(n: int) -> str:
    return PROSE.replace("captain", f"captain number {n}").replace("cargo", f"cargo of {n} casks")


def add_clean(root: Path, numbers: range) -> None:
    add_raw_documents(root, [story(n) for n in numbers])
    validate.run(ValidateConfig(), root)
    clean.run(CleanConfig(), root)


def bins(root: Path) -> dict[str, np.ndarray]:
    return {split: np.fromfile(root / f"data/{split}.bin", dtype="<u2") for split in ("train", "val")}


def decoded(root: Path) -> list[str]:
    """The documents in both bins, sorted."""
    tokenizer = load(root / "data/tokenizer")
    texts: list[str] = []
    for ids in bins(root).values():
        ends = np.flatnonzero(ids == tokenizer.eot_token)
        assert not len(ids) or ends[-1] == len(ids) - 1
        texts += [tokenizer.decode(part) for part in np.split(ids, ends + 1)[:-1]]
    return sorted(texts)


def clean_texts(root: Path) -> list[str]:
    return sorted(str(d["text"]) for d in lines(root / "data/clean/000000.jsonl"))


def test_the_bins_decode_to_the_clean_text(tmp_path: Path) -> None:
    add_clean(tmp_path, range(100))
    report = prepare.run(SMALL, tmp_path)
    assert report.n_out == 100 and decoded(tmp_path) == clean_texts(tmp_path)


@pytest.mark.parametrize("kind", ["char", "byte"])
def test_other_tokenizers_decode_too(tmp_path: Path, kind: str) -> None:
    add_clean(tmp_path, range(40))
    prepare.run(PrepareConfig(tokenizer=kind, min_val_tokens=20), tmp_path)
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


def test_a_provisional_tokenizer_is_made_anew(tmp_path: Path) -> None:
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


def test_without_documents_nothing_is_made(tmp_path: Path) -> None:
    assert prepare.run(SMALL, tmp_path).n_in == 0 and not (tmp_path / "data/train.bin").exists()


def test_the_split_is_the_id_s_alone_and_about_one_in_twenty() -> None:
    splits = [split_of(f"{n * 2654435761 % 2**32:08x}") for n in range(10_000)]
    assert 400 < splits.count("val") < 600
    assert (split_of("00000031" + "f" * 56), split_of("00000032" + "0" * 56)) == ("val", "train")


def test_a_short_validation_split_is_filled_by_the_lowest_ids(tmp_path: Path) -> None:
    add_clean(tmp_path, range(12))
    prepare.run(PrepareConfig(vocab_size=400, min_val_tokens=100), tmp_path)
    assert len(bins(tmp_path)["val"]) >= 100
    with Catalog(tmp_path, read_only=True) as catalog:
        rows = catalog.execute("SELECT id, split FROM clean_documents ORDER BY id").fetchall()
    joined = [row["split"] for row in rows if split_of(row["id"]) == "train"]
    assert joined == sorted(joined, reverse=True)  # val before train


def test_one_document_is_left_to_train_on(tmp_path: Path) -> None:
    add_clean(tmp_path, range(2))
    prepare.run(PrepareConfig(vocab_size=400, min_val_tokens=100_000), tmp_path)
    assert len(bins(tmp_path)["train"]) > 0


def test_a_crash_between_documents_and_growth_row_is_made_good(tmp_path: Path) -> None:
    add_clean(tmp_path, range(60))
    prepare.run(FROZEN, tmp_path)
    add_clean(tmp_path, range(60, 80))
    with Catalog(tmp_path) as catalog:
        prepare.extend(catalog, load(tmp_path / "data/tokenizer"), 20, prepare.Report("prepare"))
    prepare.run(FROZEN, tmp_path)
    growth = json.loads((tmp_path / "data/bins.json").read_text())["growth"]
    assert len(growth) == 2 and growth[-1]["documents"] == 80


def test_a_missing_tokenizer_beside_bins_is_an_error(tmp_path: Path) -> None:
    add_clean(tmp_path, range(60))
    prepare.run(FROZEN, tmp_path)
    (tmp_path / "data/tokenizer/meta.json").unlink()
    with pytest.raises(StageError, match=r"no .*meta\.json"):
        prepare.run(FROZEN, tmp_path)


@pytest.mark.parametrize("override", ['prepare.tokenizer="bpee"', "prepare.vocab_size=100", "prepare.vocab_size=70000"])
def test_wrong_values_are_config_errors(tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigError, match="expected"):
        build_config(PrepareConfig, "prepare", read_tables(tmp_path, None, [override]))
