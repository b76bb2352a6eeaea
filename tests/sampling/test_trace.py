"""python3 -m pytest tests/sampling/test_trace.py: which training documents a text repeats word for word."""

import dataclasses
import json
import time
from pathlib import Path

import pytest
from helpers import TINY, add_clean_documents, follow, write_bins
from serving import write_models
from tracing import CONFIG, add_stories, in_training, learn, middle, story

import prepare
from miniature_memory.core.errors import StageError
from miniature_memory.counting.suffixes import paths_of
from miniature_memory.sampling import trace as module
from miniature_memory.sampling.kept_samples import trace_all
from miniature_memory.sampling.trace import Stretch, Tracer, open_tracer
from miniature_memory.storage.catalog import Catalog
from sample import main
from train import train


@pytest.fixture
def root(tmp_path: Path) -> Path:
    add_stories(tmp_path, range(100, 140))
    learn(tmp_path)
    return tmp_path


def traced(root: Path, text: str) -> list[Stretch]:
    tracer = Tracer(root)
    return tracer.trace(tracer.tokenizer.encode(text))


def assert_found(root: Path, numbers: list[int]) -> None:
    """Each of these stories is the one and only source of its own words."""
    for n in numbers:
        (stretch,) = traced(root, f"~~{middle(n)}~~")
        assert stretch.text == middle(n)
        assert [(source.title, source.url) for source in stretch.sources] == [(f"Story {n}", f"http://example.org/{n}")]


def test_each_stretch_leads_to_its_document_and_passage(root: Path) -> None:
    one, other = in_training(root)[3:5]
    text = f"New words: {middle(one)}, and{middle(other)[:20]}!"
    first, second = traced(root, text)
    data = text.encode()
    assert data[first.first:first.end].decode() == first.text == middle(one)
    assert data[second.first:second.end].decode() == second.text == middle(other)[:20]
    assert (first.tokens, second.tokens) == (41, 20)
    (source,) = first.sources
    assert source.title == f"Story {one}" and source.url == f"http://example.org/{one}" and len(source.id) == 64
    assert source.before.endswith("Crème brûlée «")
    assert story(one).endswith(f"{source.before}{first.text}{source.after}")


def test_what_many_documents_say_names_a_few(root: Path) -> None:
    (stretch,) = traced(root, "The ship lay in the harbour")
    assert [source.title for source in stretch.sources] == [f"Story {n}" for n in in_training(root)[:3]]


def test_seven_tokens_are_no_stretch_and_held_out_documents_no_source(root: Path) -> None:
    n = in_training(root)[0]
    assert not traced(root, f"~~{middle(n)[:7]}~~") and traced(root, f"~~{middle(n)[:8]}~~")
    (held_out, *_) = set(range(100, 140)) - set(in_training(root))
    assert all(len(stretch.text) < 41 for stretch in traced(root, f"~~{middle(held_out)}~~"))
    assert traced(root, "") == []


def test_a_stretch_that_ends_within_a_character_is_shown_without_it(root: Path) -> None:
    tracer = Tracer(root)
    (stretch,) = tracer.trace([ord("~"), *"sails furled. Crème br".encode(), "û".encode()[0], ord("~")])
    assert stretch.text == "sails furled. Crème br" and stretch.tokens == len(stretch.text.encode()) + 1
    assert stretch.sources


def test_tokens_of_overlapping_stretches_belong_to_the_longest(root: Path) -> None:
    add_clean_documents(root, ["abcdefghijklmnopqrst ABCDEFGHIJ", "ABCDEFGHIJ uvwxyz"])
    learn(root)
    longer, shorter = traced(root, "fghijklmnopqrst ABCDEFGHIJ uvwxyz")
    assert (longer.first, longer.end, longer.text) == (0, 26, "fghijklmnopqrst ABCDEFGHIJ")
    assert (shorter.first, shorter.end, shorter.text) == (26, 33, "ABCDEFGHIJ uvwxyz")


# --- the mapping stays right ---------------------------------------------------------------------


def test_a_growing_text_keeps_its_documents(root: Path) -> None:
    add_stories(root, range(140, 180))
    prepare.run(CONFIG, root)
    assert_found(root, in_training(root)[:5])  # before the new text is sorted
    assert "tokens of the training text are not looked at yet" in Tracer(root).note()
    learn(root)
    assert_found(root, [*in_training(root)[:5], *in_training(root)[-5:]])
    assert Tracer(root).note() == ""


def test_after_a_rebuild_the_old_array_is_refused_and_the_new_one_right(root: Path) -> None:
    stale = Tracer(root)
    with Catalog(root) as catalog, catalog.record():
        catalog.execute("DELETE FROM clean_documents WHERE seq < 11 OR seq = 20")
        catalog.advance("prepare", 0)
        catalog.set_state("prepare.stale", True)
    prepare.run(CONFIG, root)
    with pytest.raises(StageError, match="does not fit the training text"):
        Tracer(root)
    for n in in_training(root):  # a server that has not noticed yet
        for stretch in stale.trace(stale.tokenizer.encode(middle(n))):
            assert [source.title for source in stretch.sources] in ([], [f"Story {n}"])
    learn(root)
    assert_found(root, in_training(root))


def test_without_some_clean_documents_the_others_are_found(root: Path) -> None:
    numbers = in_training(root)
    with Catalog(root) as catalog, catalog.record():  # as a repair does: the bins keep their tokens
        catalog.execute("DELETE FROM clean_documents WHERE seq IN (3, 4, 5, 20)")
    kept = in_training(root)
    assert_found(root, kept)
    for n in set(numbers) - set(kept):
        (stretch,) = traced(root, f"~~{middle(n)}~~")
        assert stretch.sources == []


def test_a_document_with_another_text_is_no_source(root: Path) -> None:
    path, n = root / "data/clean/000000.jsonl", in_training(root)[0]
    content = path.read_text()
    path.write_text(content.replace(f"{middle(n)}", middle(n)[::-1]))
    (stretch,) = traced(root, f"~~{middle(n)}~~")
    assert stretch.sources == []


def test_bins_of_another_origin_have_no_documents(root: Path) -> None:
    n = in_training(root)[0]
    for path in (root / "data").glob("catalog*"):
        path.unlink()
    (stretch,) = traced(root, f"~~{middle(n)}~~")
    assert stretch.sources == []


def test_a_tracer_is_opened_again_once_its_files_change(root: Path) -> None:
    first = open_tracer(root)
    assert open_tracer(root) is first
    add_stories(root, range(140, 180))
    learn(root)
    assert open_tracer(root) is not first


# --- what is said --------------------------------------------------------------------------------


def test_more_text_than_is_sorted_is_pointed_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TOKENS", 100)
    add_stories(root, range(140, 150))
    prepare.run(CONFIG, root)
    assert Tracer(root).note().startswith("Only the first")


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.usefixtures("one_thread")
def test_without_an_array_the_fix_writes_one(tmp_path: Path, counts: bool) -> None:
    write_bins(tmp_path, [2000])  # too little for counts
    (tmp_path / "config").mkdir()
    settings = {**vars(dataclasses.replace(TINY, max_iters=5)), "counts": counts}
    (tmp_path / "config/default.toml").write_text("[train]\n" + "".join(
        f"{name} = {json.dumps(value)}\n" for name, value in settings.items()))
    train(dataclasses.replace(TINY, max_iters=5, counts=counts), tmp_path, time.monotonic())
    assert paths_of(tmp_path)[1].exists() == counts
    for path in paths_of(tmp_path):
        path.unlink(missing_ok=True)
    with pytest.raises(StageError, match="is missing") as error:
        Tracer(tmp_path)
    follow(error.value.fix)
    assert Tracer(tmp_path).trace(list(range(97, 117)))


def test_without_a_training_text_the_run_that_makes_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"there is no training text in .* Fix: python3 run.py --root"):
        Tracer(tmp_path)


def test_a_text_is_traced_without_a_model(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    n = in_training(root)[0]
    assert main(["--root", str(root), "--trace", f"~~{middle(n)}~~"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "91 % of 45 tokens occur in training documents, 8 or more in a row:", f"  41 tokens  {middle(n)}",
        f"             Story {n} · http://example.org/{n}"]
    assert main(["--root", str(root), "--trace", "nothing of it"]) == 0
    assert capsys.readouterr().out == "No 8 tokens in a row occur in a training document.\n"


def test_after_each_sample_follows_its_trace(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_models(root)
    assert main(["--root", str(root), "--trace", "-n", "2", "--length", "10", "--prompt", "ab"]) == 0
    assert capsys.readouterr().out.count("\n\nNo 8 tokens in a row occur in a training document.\n") == 2


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--trace", "--serve"], "the playground always traces"), (["--trace", "a", "b"], "expected no beginning"),
    (["--trace", "a", "--prompt", "b"], "expected no beginning")])
def test_a_trace_that_would_be_ignored_is_an_error(arguments: list[str], sentence: str,
                                                   caplog: pytest.LogCaptureFixture) -> None:
    assert main(arguments) == 2
    assert sentence in caplog.text


def test_the_report_gets_the_share_and_the_sources(root: Path) -> None:
    one, other = in_training(root)[3:5]
    texts = [f"~~{middle(other)[:20]}~~", f"~~{middle(one)}~~~~~~~~~~~~"]
    found = trace_all(root, [list(text.encode()) for text in texts])
    assert found == {"share": 61 / 79, "longest": 41, "sources": [
        (f"Story {one}", f"http://example.org/{one}"), (f"Story {other}", f"http://example.org/{other}")]}
    assert trace_all(root, []) == {"share": 0, "longest": 0, "sources": []}
