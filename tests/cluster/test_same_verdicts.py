"""cluster.py keeps what the small pipeline keeps.   .venv/bin/python -m pytest tests/cluster/test_same_verdicts.py"""

import gzip
import random

import pytest
from clustering import assert_same, assert_same_counts, new_job, page, run_here, small_pipeline, text_of, write_inputs
from helpers import warc_member

from miniature_memory.cluster import records
from miniature_memory.cluster.job import Source, divided


def test_the_documents_their_texts_the_rejections_and_the_bins_are_the_same(tmp_path):
    inputs = write_inputs(tmp_path / "inputs")
    small = small_pipeline(tmp_path, inputs)
    counted = run_here(new_job(tmp_path / "out", inputs, buckets=5, workers=8))
    assert_same(tmp_path / "out", tmp_path)
    assert_same_counts(counted, small)
    assert small["clean"].facts["lines_dropped"]["recurring"] > 3  # the footers of two sites
    assert small["clean"].facts == counted[2].facts | {"indexed": small["clean"].n_out}
    assert {"near_duplicate", "exact_duplicate"} <= set(small["clean"].dropped)


def test_the_fit_to_a_topic_is_the_same(tmp_path):
    inputs = write_inputs(tmp_path / "inputs", 80)
    settings = ["run.topic=\"lantern\"", "clean.min_topic_fit=0.95"]
    small = small_pipeline(tmp_path, inputs, *settings)
    counted = run_here(new_job(tmp_path / "out", inputs, *settings, buckets=2))
    assert small["clean"].dropped["off_topic"] and small["clean"].n_out > 10
    assert_same(tmp_path / "out", tmp_path)
    assert_same_counts(counted, small)


def test_other_settings_count(tmp_path):
    inputs = write_inputs(tmp_path / "inputs", 30)
    settings = ["validate.languages=[\"de\"]", "clean.preset=\"off\"", "prepare.tokenizer=\"char\"",
                "clean.require_license=[\"CC*\"]"]
    small = small_pipeline(tmp_path, inputs, *settings)
    assert_same_counts(run_here(new_job(tmp_path / "out", inputs, *settings)), small)
    assert small["clean"].dropped["no_license"]


def test_hostile_files_are_rejected_for_the_same_reasons(tmp_path):
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    whole = b"".join(warc_member(f"http://a.example/{n}", page(text_of(n))) for n in range(6))
    (inputs / "a.warc.gz").write_bytes(whole[:-100])
    (inputs / "b.warc").write_bytes(random.Random(1).randbytes(5000))
    (inputs / "c.warc.gz").write_bytes(b"")
    (inputs / "d.jsonl.gz").write_bytes(gzip.compress(b"\x00" * 60_000_000))
    (inputs / "e.jsonl").write_bytes(b'[[[[[[\n{"text": 5}\n\xff\xfe\n{"text": "a", "metadata": [1]}\n' + b"[" * 9999)
    (inputs / "f.parquet").write_bytes(b"PAR1 and nothing else")
    (inputs / "g.html").write_bytes(b"<p>" * 400_000)
    (inputs / "h.zip").write_bytes(b"PK\x03\x04")
    (inputs / "i.txt").symlink_to("/nowhere")
    small = small_pipeline(tmp_path, inputs)
    assert_same_counts(run_here(new_job(tmp_path / "out", inputs, workers=8)), small)
    assert small["extract"].n_out == 6 and small["extract"].dropped["expands_too_much"]


def test_nothing_to_keep_gives_no_bins(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/empty.warc").write_bytes(b"")
    counted = run_here(new_job(tmp_path / "out", tmp_path / "in"))
    assert [stats.n_out for stats in counted] == [0, 0, 0, 0]
    assert not (tmp_path / "out/train.bin").exists()


def test_tasks_are_neighbors_of_about_the_same_size():
    sources = [Source(str(n), size, False) for n, size in enumerate([10, 10, 10, 10, 0, 0, 100, 1])]
    tasks = divided(sources, 4)
    assert [i for first, end in tasks for i in range(first, end)] == list(range(8))
    assert len(tasks) <= 4 and max(sum(sources[i].n_bytes for i in range(*task)) for task in tasks) <= 101
    assert divided(sources[:1], 1) == [(0, 1)]


def test_a_file_that_was_half_written_never_appears(tmp_path):
    with pytest.raises(ValueError), records.written(tmp_path / "file") as stream:
        stream.write(b"half")
        raise ValueError
    assert not list(tmp_path.iterdir())
