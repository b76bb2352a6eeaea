"""WARC files at an address, and long ones that a run does not finish.

.venv/bin/python -m pytest tests/extraction/test_warc_addresses.py
"""

import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import PROSE, lines, run_py, warc_member
from local_server import serve
from ranged import RangedFile

import extract
import run
from miniature_memory.core.errors import ConfigError, StageError
from miniature_memory.core.paths import PROJECT
from miniature_memory.crawl import ranges
from miniature_memory.crawl.config import WebConfig
from miniature_memory.extraction import workers
from miniature_memory.extraction.config import ExtractConfig

N = 24
NOISE = "".join(f"<!-- {os.urandom(900).hex()} -->" for _ in range(6))  # so that a file has several parts
PAGE = f"<html><head><title>A page</title></head><body><article><p>{PROSE}</p><p>{PROSE}</p></article></body></html>"


def members(n: int = N, noise: str = NOISE) -> list[bytes]:
    return [warc_member(f"http://a.example/{k}", PAGE.replace("ship", f"ship {k}").encode() + noise.encode())
            for k in range(n)]


def warc(n: int = N, noise: str = NOISE) -> bytes:
    return b"".join(members(n, noise))


@pytest.fixture
def in_this_process(monkeypatch):
    """Without worker processes, which take seconds to start."""
    monkeypatch.setattr(extract, "extract_all", lambda jobs, config: (
        (key, workers.extract_job(job, config)) for key, job in jobs))


@pytest.fixture
def server(monkeypatch, in_this_process):
    monkeypatch.setattr(ranges, "DELAY_SEC", 0.0)
    monkeypatch.setattr(ranges, "PAUSE_SEC", 0.01)
    with serve() as started:
        yield started


def settings(server, **changes) -> ExtractConfig:
    return ExtractConfig(workers=1, web=WebConfig(allow_private=[f"127.0.0.1:{server.port}"]), **changes)


def old(path: Path) -> Path:
    """The file, with a time that it certainly does not share with a later change."""
    os.utime(path, (1e9, 1e9))
    return path


def test_a_file_at_an_address_gives_what_it_gives_at_a_path(server, tmp_path):
    data = warc()
    (tmp_path / "x.warc.gz").write_bytes(data)
    server.routes["/x.warc.gz"] = RangedFile(data)
    address = f"{server.url}/x.warc.gz"
    of_path = extract.run(settings(server), tmp_path / "a", warc=[tmp_path / "x.warc.gz"])
    of_address = extract.run(settings(server), tmp_path / "b", warc=[f"{address}?signature=secret"])
    assert of_path.n_out == of_address.n_out == N
    places = []
    for one, other in zip(*(lines(tmp_path / name / "data/raw/000000.jsonl") for name in "ab"), strict=True):
        assert one["id"] == other["id"] and other["metadata"]["warc_file"] == other["metadata"]["source"] == address
        assert one["metadata"]["warc_offset"] == other["metadata"]["warc_offset"]
        places.append(int(other["metadata"]["warc_offset"]))
    assert places == sorted(set(places))
    assert not any(b"secret" in path.read_bytes() for path in (tmp_path / "b").rglob("*") if path.is_file())


def test_what_an_interrupted_run_has_read_is_not_read_again(server, tmp_path, caplog):
    caplog.set_level("INFO")
    server.routes["/x.warc.gz"] = file = RangedFile(warc())
    address, config = f"{server.url}/x.warc.gz", settings(server)
    file.last = 60_000
    with pytest.raises(StageError, match=r"cannot be read beyond byte .* \(HTTP 404\)"):
        extract.run(config, tmp_path, warc=[address])
    file.last = len(file.data)
    n_before = len(lines(tmp_path / "data/raw/000000.jsonl"))
    assert 5 < n_before < N
    file.asked.clear()
    stats = extract.run(config, tmp_path, warc=[address])
    assert (stats.n_out, stats.dropped) == (N - n_before, {"duplicate_text": 1})
    assert file.asked[0] == 0 and all(at > 60_000 for at in file.asked[1:]) and "continuing at byte" in caplog.text
    assert len(lines(tmp_path / "data/raw/000000.jsonl")) == N
    assert extract.run(config, tmp_path, warc=[address]).n_in == 0 and "skipped: 1 unchanged file" in caplog.text
    assert extract.run(settings(server, respect_noai=False), tmp_path, warc=[address]).dropped["duplicate_text"] == N
    file.etag = '"2"'
    assert extract.run(config, tmp_path, warc=[address]).dropped["duplicate_text"] == N


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.usefixtures("in_this_process")
def test_a_file_that_was_damaged_is_read_from_its_beginning_once_it_is_whole(tmp_path, packed):
    whole = members(12) if packed else [gzip.decompress(member) for member in members(12)]
    path = tmp_path / "x.warc"
    path.write_bytes(b"".join([*whole[:6], b"damage\r\n", *whole[6:]]))
    with pytest.raises(StageError, match="is not a whole WARC file"):
        extract.run(ExtractConfig(workers=1), tmp_path, warc=[old(path)])
    n_before = len(lines(tmp_path / "data/raw/000000.jsonl"))
    with pytest.raises(StageError, match="is not a whole WARC file"):
        extract.run(ExtractConfig(workers=1), tmp_path, warc=[path])
    assert 3 < n_before == len(lines(tmp_path / "data/raw/000000.jsonl"))
    path.write_bytes(b"".join(whole))
    stats = extract.run(ExtractConfig(workers=1), tmp_path, warc=[old(path)])
    assert (stats.n_out, stats.dropped) == (12 - n_before, {"duplicate_text": n_before})


def test_addresses_on_the_command_line():
    given = ["a/b.warc", "https://example.org/a//b.warc.gz", "s3://bucket/key", "HTTP://x/"]
    assert run.parse_args(["--only", "extract", "--warc", *given]).warc == [Path("a/b.warc"), *given[1:]]
    with pytest.raises(ConfigError, match="begins with https:// or s3://"):
        run.parse_args(["--only", "extract", "--warc", "ftp://example.org/a.warc"])


def test_an_address_that_cannot_be_read_is_a_sentence(tmp_path):
    done = run_py("--root", tmp_path, "--only", "extract", "--warc", "http://127.0.0.1:9/x.warc.gz")
    assert done.returncode == 1 and "not https" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_killed_run_continues_where_it_was(tmp_path):
    path = tmp_path / "x.warc.gz"
    path.write_bytes(warc(3000, ""))
    command = [sys.executable, PROJECT / "extract.py", "--root", tmp_path, "--quiet", "--warc", old(path)]
    running = subprocess.Popen(command, start_new_session=True)
    raw = tmp_path / "data/raw/000000.jsonl"
    while not raw.exists() or raw.read_bytes().count(b"\n") < 500:
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    stats = extract.run(ExtractConfig(), tmp_path, warc=[path])
    assert stats.n_in < 2600 and stats.dropped["duplicate_text"] <= 1
    assert len(lines(raw)) == 3000
