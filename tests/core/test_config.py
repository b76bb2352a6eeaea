"""python3 -m pytest tests/core/test_config.py"""

import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import pytest

from miniature_memory.core import config
from miniature_memory.core.config import build_config, meant, read_tables, setting
from miniature_memory.core.errors import ConfigError
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.renamed_settings import RENAMED_SETTINGS
from miniature_memory.crawl.config import WebConfig
from miniature_memory.views import settings
from miniature_memory.views.settings import CONFIGS


def test_default_toml_and_the_docs_are_generated() -> None:
    assert (PROJECT / "config/default.toml").read_text(encoding="utf-8") == settings.default_toml()
    assert (PROJECT / "docs/configuration.md").read_text(encoding="utf-8") == settings.configuration_md()


@pytest.mark.parametrize(("override", "message"), [
    ("train.max_minuts=1", "Did you mean max_minutes"),
    ("trian.max_minutes=1", "Did you mean train"),
    ("train.size.x=1", "no key train.size.x"),
    ("train.max_minutes=true", "of type bool, expected float"),
    ("train.max_minutes=soon", "Text needs quotes"),
    ("max_minutes=1", "expected table.key=value"),
    ("train.max_minutes=nan", "not a finite number"),
    ("train.max_minutes=1" + "0" * 400, "not a finite number"),
    ('search.blocklists=["\\u0000"]', "NUL character"),
    ("train.seed=1" + "0" * 20, "train.seed is a number of more than 64 bits; expected 9223372036854775807 at most"),
    ("train.seed=" + "9" * 5000, "is not a TOML value"),
    ("train.seed=" + "[" * 5000, "is not a TOML value"),
    ("validate.languages=[1]", "expected"),
    ("clean.min_words=1", "clean.min_words is now clean.thresholds.min_words"),
    ("web.max_redirects=1", "web.max_redirects is gone: it is always 5"),
])
def test_a_wrong_setting_is_an_error_that_names_the_right_one(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_config(CONFIGS["validate"], "validate", read_tables(tmp_path, None, [override]))


def test_no_setting_is_named_that_still_exists(tmp_path: Path) -> None:
    tables = read_tables(tmp_path)
    assert not [old for old in RENAMED_SETTINGS if old.partition(".")[2] in tables[old.partition(".")[0]]]


def test_later_layers_win(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/default.toml").write_text("[validate]\nmin_chars = 7\nmax_chars = 70\n")
    (tmp_path / "mine.toml").write_text("[validate]\nmax_chars = 80\n", encoding="utf-8-sig")  # as Notepad writes it
    tables = read_tables(tmp_path, tmp_path / "mine.toml", ["validate.min_letters_frac=1"])
    assert [tables["validate"][k] for k in ("min_chars", "max_chars", "min_letters_frac")] == [7, 80, 1]


@pytest.mark.parametrize("content", [
    "[train]\r\nseed = 5\r\n".encode("utf-8-sig"), b"[train]\r\nseed = 5", b"[train]\nseed = 5  # \xc3\xbc"])
def test_marks_and_line_ends_of_other_systems_are_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.toml").write_bytes(content)
    assert read_tables(tmp_path, tmp_path / "mine.toml")["train"]["seed"] == 5


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_a_file_that_is_not_utf8_is_a_sentence(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "mine.toml").write_bytes("# für\n[train]\nseed = 5\n".encode(encoding))
    with pytest.raises(ConfigError, match="is not UTF-8"):
        read_tables(tmp_path, tmp_path / "mine.toml")


@pytest.mark.parametrize(("seed", "is_right"), [(-1, False), (0, True), ((1 << 63) - 1, True)])
def test_a_seed_is_within_63_bits(tmp_path: Path, seed: int, is_right: bool) -> None:
    tables = read_tables(tmp_path, None, [f"train.seed={seed}"])
    if is_right:
        assert build_config(CONFIGS["train"], "train", tables).seed == seed
    else:
        with pytest.raises(ConfigError, match="expected a whole number from 0 to 9223372036854775807"):
            build_config(CONFIGS["train"], "train", tables)


@dataclass(frozen=True)
class ShelfConfig:
    limits: dict[str, float] = setting({}, "for the tests")

    def __post_init__(self) -> None:
        if unknown := self.limits.keys() - {"least", "most"}:
            raise ValueError(f"limits.{unknown.pop()} is unknown")


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose one setting is a table."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/default.toml").write_text("[shelf]\n[shelf.limits]\n")
    monkeypatch.setattr(config, "PROJECT", tmp_path)
    return tmp_path


@pytest.mark.parametrize("override", ["shelf.limits.most=9", "shelf.limits={most=9}"])
def test_a_table_within_a_table_is_merged_key_by_key(shelf: Path, override: str) -> None:
    (shelf / "mine.toml").write_text("[shelf.limits]\nleast = 1\nmost = 5\n")
    tables = read_tables(shelf, shelf / "mine.toml", [override])
    assert build_config(ShelfConfig, "shelf", tables).limits == {"least": 1, "most": 9}


@pytest.mark.parametrize(("override", "message"), [
    ("shelf.limits.middle=1", r"\[shelf\] limits.middle is unknown"),
    ("shelf.limits=1", "of type int, expected dict")])
def test_a_table_within_a_table_is_checked(shelf: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_config(ShelfConfig, "shelf", read_tables(shelf, None, [override]))


def test_a_config_file_that_is_not_toml_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[clean\n")
    with pytest.raises(ConfigError, match=r"bad\.toml is not TOML"):
        read_tables(tmp_path, tmp_path / "bad.toml")


def test_an_integer_fits_a_float_key(tmp_path: Path) -> None:
    assert read_tables(tmp_path, None, ["scrape.max_minutes=2"])["scrape"]["max_minutes"] == 2.0


@pytest.mark.parametrize("text", [".".join(["a"] * 20_000) + " = 1", "[" + " . ".join(["'a'"] * 20_000) + "]",
                                  "a = " + "[" * 100_000, "[train]\nsize = '" + "x" * 2_000_000 + "'"],
                         ids=["dots", "quoted", "deep", "huge"])
def test_a_file_of_settings_that_is_deep_or_huge_is_rejected(tmp_path: Path, text: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match=r"is (not TOML|larger than)"):
            read_tables(tmp_path, path)
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("typed", "names", "hint"), [
    ("--ste", ["--set", "--root"], " Did you mean --set?"), ("--out", ["--root", "--set"], ""),
    ("--url", ["--purge"], ""),
    ("rebuild", ["--rebuild"], " Did you mean --rebuild?"), ("max-mins", ["max_minutes"], " Did you mean max_minutes?"),
    ("Max", ["max_minutes", "min_lr", "max_iters"], " Did you mean max_minutes or max_iters?"),
    ("tpo", ["top", "temperature"], " Did you mean top?"), ("", ["a"], ""), ("--", ["--a"], "")])
def test_what_was_meant_is_told_by_the_letters_of_a_name(typed: str, names: list[str], hint: str) -> None:
    assert meant(typed, names) == hint


@pytest.mark.parametrize("proxy", ["http://[::1", "http://:3128", "http://h:0", "http://h:99999", "http://a..b:1",
                                   ":::", "socks5://x:1", "http://h/path"])
def test_a_proxy_that_is_no_address_is_rejected(proxy: str) -> None:
    with pytest.raises(ValueError, match="expected an address"):
        WebConfig(proxy=proxy)
    assert WebConfig(proxy="http://user:word@proxy.lan:3128/").proxy
