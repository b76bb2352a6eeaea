"""python3 -m pytest tests/forgetting"""

import argparse
import dataclasses
import io
import json
import os
import random
import re
import shutil
import signal
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import TINY, decoded, lines, run_py, warc_member
from scraping import records as warc_records

import clean
import extract
import prepare
import run
import validate
from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.cleaning.explain import explain
from miniature_memory.collection.search import search
from miniature_memory.core.errors import ConfigError, StageError
from miniature_memory.core.shards import Shard
from miniature_memory.core.stage import StageStats
from miniature_memory.crawl import handover
from miniature_memory.crawl.blocklists import Blocklist, host_rejection, url_rejection
from miniature_memory.exporting.bundle import write_bundle
from miniature_memory.exporting.restore import restore_bundle
from miniature_memory.extraction.config import ExtractConfig
from miniature_memory.forgetting import command, forget
from miniature_memory.forgetting.targets import near, read_targets, target_of
from miniature_memory.providers.config import SearchConfig
from miniature_memory.providers.discovery import Discovery
from miniature_memory.providers.provider import Found
from miniature_memory.storage import documents, forgotten, last_asked, pages, rewriting, shards, urls
from miniature_memory.storage.catalog import Catalog
from miniature_memory.training.checkpoint import load_state, save_state
from miniature_memory.training.config import PrepareConfig
from miniature_memory.validation.config import ValidateConfig
from train import train

N = 24  # documents
SECRET = "http://example.org/4"
EXTRACT, VALIDATE, CLEAN = ExtractConfig(workers=1), ValidateConfig(languages=["*"]), CleanConfig(
    preset="off", mask_personal_data=False, validate=ValidateConfig(languages=["*"]))
PREPARE = PrepareConfig(vocab_size=400, freeze_bytes=1000)


def story(n: int, seed: int = 0) -> str:
    """Words that no other story has: secret4x17."""
    words = [f"secret{n}x{i}" for i in random.Random(n).sample(range(100), 80)]
    words = [f"changed{i}" if seed and i == 40 else word for i, word in enumerate(words)]
    return ". ".join(" ".join(words[i:i + 10]) for i in range(0, 80, 10)) + "."


def page(text: str) -> bytes:
    return f"<html><body><article><p>{text}</p></article></body></html>".encode()


def add_page(root: Path, url: str, html: bytes, requested: str = "") -> None:
    """A page as scrape adds it. requested: what was redirected to its URL."""
    with Catalog(root) as catalog, catalog.record():
        urls.add(catalog, requested or url, "test")
        row, member = urls.get(catalog, requested or url), warc_member(url, html)
        assert row
        payload = next(line for line in zlib.decompress(member, 31).decode().splitlines() if "Payload-Digest" in line)
        pages.add(catalog, row["id"], url, "2026-01-01T00:00:00Z", catalog.append("data/pages", ".warc.gz", member),
                  payload.partition(": ")[2])
        catalog.append("data/pages", ".warc.gz", warc_member(f"{url}?of-no-row", b"request"))


def run_stages(root: Path) -> StageStats:
    """Returns the StageStats of clean."""
    extract.run(EXTRACT, root)
    validate.run(VALIDATE, root)
    stats = clean.run(CLEAN, root)
    prepare.run(PREPARE, root)
    return stats


def make(root: Path, n: int = N) -> None:
    for i in range(n):
        add_page(root, f"http://example.org/{i}", page(story(i)))
    run_stages(root)
    samples = [{"time": "t", "val_bpb": 1.0, "prompts": ["a"], "originals": ["b"], "texts": [text]}
               for text in (story(4)[100:400], "nobody wrote this " * 9, "x " + story(5)[:200])]
    (root / "data/samples.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    for name in ("suffixes.bin", "index.sqlite3", "report.html"):
        (root / "data" / name).write_text("secret4x17")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    make(root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def forget_them(root: Path, *words: str, purge: bool = False, retrain: bool = False, as_json: bool = True) -> int:
    args = argparse.Namespace(root=root, forget=list(words), purge=purge, retrain=retrain, dry_run=False, json=as_json,
                              quiet=False)

    def run_prepare(stages: list[str]) -> int:
        assert stages in ([], ["prepare"])
        if stages:
            prepare.run(PREPARE, root)
        return 0

    return command.run(args, run_prepare)


def outcome(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    found: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def kept(root: Path) -> list[str]:
    return [str(line["text"]) for line in lines(root / "data/clean/000000.jsonl")]


def problems(root: Path) -> object:
    return validate.run(VALIDATE, root, full=True).facts["problems"]


def on_disk(root: Path) -> bytes:
    """All bytes of data/, WARC files unpacked; not the tokenizer, whose tokens are parts of words."""
    found = b""
    for path in sorted((root / "data").rglob("*")):
        if path.is_file() and path.parent.name != "tokenizer" and path.name != "meta.pkl":
            data = path.read_bytes()
            while path.suffix == ".gz" and data:
                unpacker = zlib.decompressobj(wbits=31)
                found += unpacker.decompress(data)
                data = unpacker.unused_data
            found += data
    return found


# --- what goes -----------------------------------------------------------------------------------


def test_a_document_leaves_everything_that_is_used_and_the_others_stay(root: Path, made: Path) -> None:
    before, splits = kept(root), split_by_id(root)
    assert forget_them(root, SECRET) == 0
    assert kept(root) == [text for text in before if "secret4x" not in text] and len(kept(root)) == N - 1
    assert decoded(root) == sorted(kept(root))
    assert split_by_id(root).items() <= splits.items()
    assert [line["texts"] for line in lines(root / "data/samples.jsonl")] == [
        line["texts"] for line in lines(made / "data/samples.jsonl")][1:]
    assert not any((root / "data" / name).exists() for name in ("suffixes.bin", "report.html"))
    assert (search(root, "secret4x*").total, search(root, "secret5x*").total) == (0, 1)
    with Catalog(root, read_only=True) as catalog:
        assert documents.count(catalog) == pages.count(catalog) == N - 1
        assert urls.get(catalog, SECRET) is None and urls.count(catalog) == N - 1
    assert problems(root) == 0


def split_by_id(root: Path) -> dict[str, str]:
    with Catalog(root, read_only=True) as catalog:
        return dict(catalog.execute("SELECT id, split FROM clean_documents").fetchall())


def test_purged_it_is_in_no_file_and_nothing_else_has_moved(root: Path) -> None:
    size, before = (root / "data/pages/000000.warc.gz").stat().st_size, warc_records(root)
    forget_them(root, SECRET)
    assert b"secret4x" in on_disk(root)
    forget_them(root, purge=True)
    left = on_disk(root)
    assert b"secret4x" not in left and b"example.org/4\r" not in left and SECRET.encode() + b'"' not in left
    assert b"secret5x" in left
    after = warc_records(root)
    assert (root / "data/pages/000000.warc.gz").stat().st_size == size and len(after) == len(before)
    assert [record for record in after if record[0] != "metadata"] == [
        record for record in before if record[1] != SECRET]
    for document in lines(root / "data/raw/000000.jsonl"):
        place = document["metadata"]["warc_offset"]  # type: ignore[index]
        with open(root / "data/pages/000000.warc.gz", "rb") as stream:
            stream.seek(int(place))
            assert str(document["text"])[:20].encode() in zlib.decompressobj(wbits=31).decompress(stream.read())
    assert problems(root) == 0


def test_an_id_means_its_address_and_a_host_its_subdomains(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_page(root, "http://www.example.org/x", page(story(50)))
    add_page(root, "http://other.example/x", page(story(51)))
    run_stages(root)
    document_id = lines(root / "data/clean/000000.jsonl")[3]["id"]
    forget_them(root, str(document_id))
    assert len(kept(root)) == N + 1 and not any("secret3x" in text for text in kept(root))
    assert url_rejection("https://example.org/3", blocklist(root)) == "forgotten"
    forget_them(root, "example.org")
    assert outcome(capsys)["clean_documents"] == N
    assert kept(root) == [story(51)] == decoded(root)
    assert host_rejection("http://a.b.example.org/feed", blocklist(root)) == "forgotten"
    assert not url_rejection("http://notexample.org/", blocklist(root))


def blocklist(root: Path) -> Blocklist:
    with Catalog(root, read_only=True) as catalog:
        return Blocklist(forgotten=forgotten.load(catalog))


def test_an_address_means_where_it_was_redirected_to(root: Path) -> None:
    add_page(root, "http://example.org/final", page(story(60)), requested="http://short.example/a")
    add_page(root, "http://example.org/else", page(story(61)), requested="http://short.example/b")
    run_stages(root)
    forget_them(root, "short.example/a", purge=True)
    assert story(60) not in kept(root) and story(61) in kept(root)
    assert url_rejection("http://example.org/final", blocklist(root)) == "forgotten"
    forget_them(root, "short.example")  # a host means its own pages
    assert story(61) in kept(root)
    assert b"secret60x" not in on_disk(root) and problems(root) == 0


def test_everything_can_be_forgotten_and_another_document_begins_again(root: Path) -> None:
    forget_them(root, "example.org", purge=True)
    assert kept(root) == [] and not (root / "data/train.bin").exists() and b"secret" not in on_disk(root)
    assert problems(root) == 0
    for n in range(70, 75):
        add_page(root, f"http://other.example/{n}", page(story(n)))
    run_stages(root)
    assert len(kept(root)) == 5 and decoded(root) == sorted(kept(root)) and problems(root) == 0


def test_the_next_run_adds_only_what_is_new(root: Path) -> None:
    forget_them(root, "http://example.org/23", SECRET, purge=True)  # the last one, and one in the middle
    assert run_stages(root).n_in == 0
    add_page(root, "http://example.org/new", page(story(80)))
    assert run_stages(root).n_out == 1
    assert kept(root)[-1] == story(80) and decoded(root) == sorted(kept(root)) and problems(root) == 0


# --- what does not come back ---------------------------------------------------------------------


def test_the_address_is_refused_by_search_links_and_import(root: Path, tmp_path: Path) -> None:
    forget_them(root, SECRET)
    with Catalog(root) as catalog:
        stats = StageStats("search")
        discovery = Discovery(SearchConfig(providers=[]), catalog, stats)
        for url in ("http://EXAMPLE.org/4#top", "https://example.org/4?utm_source=x", "http://example.org/44"):
            discovery.add([Found(url)], "seeds")
        assert (stats.n_out, stats.dropped) == (1, {"forgotten": 2})
    warc = tmp_path / "theirs.warc.gz"
    warc.write_bytes(warc_member(SECRET, page(story(90))))
    assert extract.run(EXTRACT, root, warc=[warc]).dropped == {"forgotten": 1}


def test_the_text_is_refused_at_any_address_and_its_near_duplicates_too(root: Path, tmp_path: Path) -> None:
    near_one = "http://mirror.example/near"
    add_page(root, near_one, page(story(4, seed=1)))
    assert run_stages(root).dropped == {"near_duplicate": 1}
    forget_them(root, SECRET)
    assert not (root / "data/rejected.jsonl").read_text()  # it quoted the duplicate
    file = tmp_path / "copy.html"
    file.write_bytes(page(story(4)))
    assert extract.run(EXTRACT, root, files=[file]).dropped == {"forgotten": 1}
    stats = clean.run(CLEAN, root, rebuild=True)
    assert (stats.n_out, stats.dropped) == (N - 1, {"forgotten": 1})
    assert "secret4x" not in (root / "data/rejected.jsonl").read_text()
    add_page(root, f"{near_one}er", page(story(4, seed=1) + " And more."))
    assert run_stages(root).dropped == {"forgotten": 1}
    assert not url_rejection("http://mirror.example/near", blocklist(root))


def test_duplicates_are_named_both_ways(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_page(root, "http://mirror.example/near", page(story(4, seed=1)))
    add_page(root, "http://mirror.example/same", page(story(5)) + b"<!-- other bytes -->")
    run_stages(root)
    forget_them(root, "http://mirror.example/near")
    found = outcome(capsys)
    assert (found["similar"], found["duplicates"], found["clean_documents"]) == ([SECRET], [], 0)
    forget_them(root, "http://example.org/5", purge=True)
    assert outcome(capsys)["also_at"] == ["http://mirror.example/same"]
    assert b"secret5x" not in on_disk(root) and not url_rejection("http://mirror.example/same", blocklist(root))


def test_a_local_file_goes_with_all_places_in_it_and_one_place_alone(tmp_path: Path) -> None:
    root, file = tmp_path / "root", tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"text": story(n)}) + "\n" for n in range(9)))
    assert extract.run(EXTRACT, root, files=[file]).n_out == 9
    run_stages(root)
    with Catalog(root, read_only=True) as catalog:
        address = catalog.value("SELECT url FROM documents WHERE seq = 3")
    forget_them(root, address)
    assert len(kept(root)) == 8
    forget_them(root, file.as_uri(), purge=True)
    assert kept(root) == [] and b"secret" not in on_disk(root)
    assert extract.run(EXTRACT, root, files=[file]).dropped == {"forgotten": 9}


def test_a_host_that_another_shard_crawls_leaves_the_hand_over(tmp_path: Path) -> None:
    shards.claim(tmp_path, Shard(1, 2))
    with Catalog(tmp_path) as catalog:
        with catalog.record():
            for host in ("example.org", "other.example"):
                urls.add_foreign(catalog, f"http://{host}/", "seeds")
                last_asked.note(catalog, host)
        handover.write(catalog)
    forget_them(tmp_path, "example.org")
    assert [one.url for one in handover.read([tmp_path / handover.FILE])] == ["http://other.example/"]
    with Catalog(tmp_path, read_only=True) as catalog:
        assert not catalog.state(last_asked.ASKED)


def test_a_root_of_which_nothing_was_found_to_forget_can_be_bundled(root: Path, tmp_path: Path) -> None:
    forget_them(root, "nowhere.example")
    args = argparse.Namespace()
    write_bundle(root, tmp_path / "x.tar.gz", args)
    restore_bundle(tmp_path / "new", tmp_path / "x.tar.gz", args)
    shards = sorted((root / "data/clean").iterdir())
    assert shards and [(tmp_path / "new/data/clean" / one.name).read_bytes() for one in shards] == [
        one.read_bytes() for one in shards]


def test_an_interrupted_rebuild_does_not_bring_it_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "data/rebuild/data/clean").mkdir(parents=True)
    (root / "data/rebuild/data/clean/000000.jsonl").write_text(story(4))
    forget_them(root, SECRET)
    assert not (root / "data/rebuild").exists()


# --- kills ---------------------------------------------------------------------------------------


def killed_at(root: Path, point: int, work: Callable[[], object]) -> bool:
    """Do the work in another process, which SIGKILL ends at its `point`-th commit, renaming or removal: before it if
    `point` is even, else after it. Returns whether it came so far."""
    if child := os.fork():
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    seen = 0

    def pass_point() -> None:
        nonlocal seen
        if seen == point:
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 1

    original = Catalog.commit

    def commit(self: Catalog) -> None:
        pass_point()
        original(self)
        pass_point()

    try:
        Catalog.commit = commit  # type: ignore[method-assign]
        sys.addaudithook(lambda event, _: pass_point() if event in ("os.rename", "os.remove", "os.rmdir") else None)
        work()
    finally:
        os._exit(0)


def every_kill(made: Path, folder: Path, work: Callable[[Path], object]) -> Iterator[Path]:
    """A root for each point at which the work was killed."""
    for point in range(1000):
        root = folder / str(point)
        shutil.copytree(made, root)
        if not killed_at(root, point, lambda root=root: work(root)):  # type: ignore[misc]
            assert point > 5
            return
        yield root
        shutil.rmtree(root)


@pytest.mark.slow
def test_killed_anywhere_it_is_forgotten_or_not(made: Path, tmp_path: Path) -> None:
    outcomes = set()
    for root in every_kill(made, tmp_path, lambda root: forget_them(root, SECRET)):
        run_stages(root)
        is_gone = len(kept(root)) == N - 1
        outcomes.add(is_gone)
        assert kept(root) == [text for text in kept(made) if not (is_gone and "secret4x" in text)]
        assert decoded(root) == sorted(kept(root)) and problems(root) == 0
        assert len(lines(root / "data/samples.jsonl")) == 3 - is_gone
        assert bool(url_rejection(SECRET, blocklist(root))) == is_gone
        index = root / "data/index.sqlite3"  # of words that made() put there
        assert not (is_gone and index.exists() and b"secret4x" in index.read_bytes())
    assert outcomes == {False, True}


def test_killed_anywhere_a_purge_is_done_by_the_next_one(made: Path, tmp_path: Path) -> None:
    start = tmp_path / "start"
    shutil.copytree(made, start)
    forget_them(start, SECRET)
    for root in every_kill(start, tmp_path, lambda root: forget_them(root, purge=True)):
        assert run_stages(root).n_in == 0 and problems(root) == 0
        forget_them(root, purge=True)
        assert b"secret4x" not in on_disk(root) and problems(root) == 0 and len(kept(root)) == N - 1


# --- what is asked for ---------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "name", "kind"), [
    ("https://Example.org/a b", "https://example.org/a%20b", "address"), ("example.org/x", "https://example.org/x",
                                                                          "address"),
    ("Example.ORG", "example.org", "host"), ("bücher.example", "xn--bcher-kva.example", "host"),
    ("A" * 64, "a" * 64, "text"), ("file:///a/b.txt#part=3", "file:///a/b.txt#part=3", "address"),
    ("/a/./b c.txt", "file:///a/b%20c.txt", "address")])
def test_what_is_named_is_an_address_a_host_or_an_id(word: str, name: str, kind: str) -> None:
    target = target_of(word)
    assert (target.name, target.entry[0]) == (name, kind)


@pytest.mark.parametrize("word", ["", "com", "two words", "ab12" * 10, "ftp://a.example/", "@nothing", "http://"])
def test_what_is_none_of_them_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match="--forget"):
        read_targets([word])


def test_a_file_names_one_target_per_line(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("# asked for on Monday\nexample.org\n\nhttps://example.org/a\nexample.org\n")
    assert [target.name for target in read_targets([f"@{tmp_path / 'list'}"])] == ["example.org",
                                                                                  "https://example.org/a"]


def test_a_file_that_names_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("# nothing\n")
    with pytest.raises(ConfigError, match="it names nothing"):
        read_targets([f"@{tmp_path / 'list'}"])


def test_where_there_is_nothing_near_misses_are_named_and_the_address_is_refused(
        root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Catalog(root, read_only=True) as catalog:
        assert SECRET in near(catalog, target_of("http://example.org/4/"))
        assert near(catalog, target_of("exampel.org")) == ["example.org"]
        some = str(catalog.value("SELECT id FROM documents"))
        assert near(catalog, target_of(some[:8] + "0" * 56)) == [some]
    forget_them(root, "http://example.org/4/", "0" * 64, as_json=False)
    said = capsys.readouterr().out
    assert "no document has this address; never fetched or imported again" in said and f"did you mean {SECRET}" in said
    assert "no document has this id; nothing to forget" in said
    assert url_rejection("http://example.org/4/", blocklist(root)) == "forgotten" and len(kept(root)) == N


def test_what_the_hash_tells(root: Path) -> None:
    forget_them(root, SECRET, "other.example")
    with Catalog(root, read_only=True) as catalog:
        rows = catalog.execute("SELECT kind, hash FROM forgotten").fetchall()
        assert sorted(row["kind"] for row in rows) == ["address", "host", "payload", "text"]
        assert all(len(row["hash"]) == 64 for row in rows)


def test_damage_is_not_copied_into_the_new_shard(root: Path) -> None:
    path = root / "data/clean/000000.jsonl"
    path.write_bytes(path.read_bytes().replace(b"secret9x", b"SECRET9x"))
    with pytest.raises(StageError, match="--repair"):
        forget_them(root, SECRET)
    with Catalog(root, read_only=True) as catalog:
        assert urls.get(catalog, SECRET) and not forgotten.counts(catalog)


def test_other_bytes_at_some_offsets(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog:
        with catalog.record():
            catalog.append_to("data/pages/0.warc.gz", b"0123456789")
        catalog.commit()
        file = rewriting.with_parts(catalog, "data/pages/0.warc.gz", {8: b"yz", 0: b"a", 3: b"bcd"})
        assert (tmp_path / file.new).read_bytes() == b"a12bcd67yz"


# --- the model, and the command ------------------------------------------------------------------


@pytest.mark.usefixtures("one_thread")
def test_training_continues_with_fewer_tokens_or_begins_again(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(TINY, root, 0.0)
    first = load_state(root / "checkpoints/ckpt.pt")
    forget_them(root, SECRET)
    assert outcome(capsys)["is_remembered"] is True
    train(TINY.__class__(**{**vars(TINY), "max_iters": 40}), root, 0.0)
    second = load_state(root / "checkpoints/ckpt.pt")
    assert first and second and second["iter_num"] > first["iter_num"]
    assert second["position"]["growth"][-1][0] < first["position"]["growth"][-1][0]
    with Catalog(root) as catalog:
        forget.forget(catalog, forgotten.find(catalog, []), new_model=True)
    assert not forget.models(root)


def test_after_everything_was_forgotten_no_plain_run_is_advised(root: Path) -> None:
    done = run_py("--root", root, "--forget", "example.org", "--retrain")
    assert done.returncode == 0 and "all are deleted, and nothing is left for a new one" in done.stdout
    for arguments in (["train.py"], ["export.py", "dataset", str(root / "out"), "--json-lines"]):
        done = run_py(*arguments[1:], "--root", root, script=arguments[0])
        assert done.returncode == 1 and "Fix: all its documents were forgotten: add other queries to" in done.stderr


def test_the_command_prints_json_and_a_dry_run_changes_nothing(root: Path) -> None:
    before = {path: path.read_bytes() for path in root.rglob("*.*") if path.is_file() and path.suffix != ".sqlite3-shm"}
    done = run_py("--root", root, "--forget", SECRET, "--dry-run")
    assert done.returncode == 0 and f"would go    {SECRET}: 1 document" in done.stdout
    assert before == {path: path.read_bytes() for path in before}
    done = run_py("--root", root, "--forget", SECRET, "--purge", "--json", "--set", "prepare.freeze_bytes=1000")
    found = json.loads(done.stdout)
    assert (done.returncode, found["clean_documents"], found["purged"]["files"]) == (0, 1, 2)
    assert SECRET not in (root / "data/run.log").read_text() and (root / "data/report.html").exists()
    assert "already forgotten on" in run_py("--root", root, "--forget", SECRET, "--dry-run").stdout


@pytest.mark.parametrize(("arguments", "message"), [
    (["--retrain"], "--retrain needs --forget"), (["--dry-run", "--purge"], "--dry-run needs --forget"),
    (["--forget", "a.example", "--only", "clean"], "cannot be combined"),
    (["--forget", "com"], "expected a web address"),
    (["--purge", "--topic", "none such"], "There is no topic")])
def test_a_sentence_for_what_makes_no_sense(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = run_py(*([] if "--topic" in arguments else ["--root", tmp_path]), *arguments)
    assert done.returncode == 2 and message in done.stderr


def test_a_target_that_is_none_is_no_failed_run(root: Path) -> None:
    assert run.main(["--root", str(root), "--forget", "@none", "--quiet"]) == 2
    assert not (root / "data/runs.jsonl").exists()


@pytest.mark.parametrize("wanted", [SECRET, "id", "the beginning of an id"])
def test_explain_says_that_a_document_was_forgotten(root: Path, wanted: str) -> None:
    with Catalog(root) as catalog:
        row = documents.find(catalog, SECRET)
        document_id = str(row["id"]) if row else ""
    forget_them(root, SECRET)
    if wanted == "the beginning of an id":  # of which no hash is kept
        with pytest.raises(StageError, match="No document has the id"):
            explain(CleanConfig(), root, document_id[:12])
    else:
        assert re.fullmatch(r"forgotten  on \d{4}-\d\d-\d\d; .* again",
                            explain(CleanConfig(), root, document_id if wanted == "id" else wanted))


@pytest.mark.usefixtures("one_thread")
def test_after_forgetting_the_next_release_takes_the_place_of_a_better_one(root: Path) -> None:
    train(TINY, root, 0.0)
    path = root / "checkpoints/release.pt"
    release = load_state(path)
    assert release
    save_state(path, release | {"entry": release["entry"] | {"val_loss": 0.0, "val_bpb": 0.0}})
    forget_them(root, SECRET)
    train(dataclasses.replace(TINY, max_iters=40), root, 0.0)
    new = load_state(path)
    assert new and new["iter_num"] > release["iter_num"] and new["entry"]["val_loss"] > 0


def test_an_empty_member_has_any_length() -> None:
    from warcio.archiveiterator import ArchiveIterator

    from miniature_memory.forgetting.purge import empty_member

    for n in (200, 65_536, 1_000_001):
        member = empty_member(n, "2026-01-01T00:00:00Z")
        assert len(member) == n
        assert [record.rec_type for record in ArchiveIterator(io.BytesIO(member * 2))] == ["metadata"] * 2
