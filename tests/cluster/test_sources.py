"""Where cluster.py reads from.   .venv/bin/python -m pytest tests/cluster/test_sources.py"""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest
from clustering import documents, run_here, small_pipeline, write_inputs

from miniature_memory.cluster import job as jobs
from miniature_memory.cluster.sources import list_sources, read_source
from miniature_memory.core.config import read_tables
from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import PROJECT


class S3(BaseHTTPRequestHandler):
    """As much of S3 as a reader needs: HEAD, GET with a range, and ListObjectsV2. One bucket: `folder`."""

    folder: Path
    breaks = False  # every GET of an object fails

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        url = urlsplit(self.path)
        key = unquote(url.path).removeprefix("/bucket").lstrip("/")
        if "list-type" in (query := parse_qs(url.query, keep_blank_values=True)):
            self._send(200, self._listing(query.get("prefix", [""])[0], "delimiter" in query).encode(), with_body)
            return
        if not key:
            self._send(200, b"", with_body)
            return
        file = self.folder / key
        if not file.is_file() or (self.breaks and with_body):
            self._send(403 if file.is_file() else 404, b"", with_body)
            return
        data, first, end = file.read_bytes(), 0, file.stat().st_size
        if spec := self.headers.get("Range"):
            first, last = spec.removeprefix("bytes=").split("-")
            first, end = int(first), min(int(last or end) + 1, end)
        self._send(206 if spec else 200, data[first:end], with_body, f"bytes {first}-{end - 1}/{len(data)}")

    def _listing(self, prefix: str, only_children: bool) -> str:
        found, folders = [], set()
        for file in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            key = str(file.relative_to(self.folder))
            if not key.startswith(prefix):
                continue
            child, slash, _ = key[len(prefix):].partition("/")
            if slash and only_children:
                folders.add(f"{prefix}{child}/")
            else:
                found.append(f"<Contents><Key>{escape(key)}</Key><Size>{file.stat().st_size}</Size>"
                             "<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"0\"</ETag></Contents>")
        inner = "".join(found) + "".join(f"<CommonPrefixes><Prefix>{one}</Prefix></CommonPrefixes>" for one in folders)
        return ('<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
                f"<Name>bucket</Name><IsTruncated>false</IsTruncated><KeyCount>{len(found) + len(folders)}</KeyCount>"
                f"{inner}</ListBucketResult>")

    def _send(self, status: int, body: bytes, with_body: bool, content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[S3]]:
    """A bucket that holds what write_inputs() writes."""
    handler = type("Bucket", (S3,), {"folder": write_inputs(tmp_path / "inputs", 30)})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1",
                            "AWS_EC2_METADATA_DISABLED": "true"}.items():
            monkeypatch.setenv(name, value)
        yield handler
        server.shutdown()


def run_on(address: str, out: Path) -> jobs.Job:
    job = jobs.begin(jobs.plan(out, list(list_sources([address])), 2, read_tables(PROJECT), []))
    run_here(job)
    return job


@pytest.mark.slow
def test_a_bucket_of_s3_gives_what_the_same_folder_gives(tmp_path, bucket):
    small_pipeline(tmp_path, bucket.folder)
    job = run_on("s3://bucket", tmp_path / "out")
    assert [source.address for source in job.sources] == [
        "s3://bucket/0.warc.gz", "s3://bucket/1.jsonl", "s3://bucket/2.warc.gz", "s3://bucket/notes.xyz",
        "s3://bucket/more/3.warc.gz"]
    found, expected = documents(tmp_path / "out/clean"), documents(tmp_path / "data/clean")
    assert [(one["id"], one["text"]) for one in found] == [(one["id"], one["text"]) for one in expected]
    assert [source.n_bytes for source in list_sources(["s3://bucket/more"])] == [
        (bucket.folder / "more/3.warc.gz").stat().st_size]


def test_storage_that_fails_is_no_damage_of_the_file(bucket):
    sources = list(list_sources(["s3://bucket/more/3.warc.gz"]))
    assert sources[0].named
    bucket.breaks = True
    with pytest.raises(StageError, match=r"3\.warc\.gz cannot be read"):
        list(read_source(sources[0]))
    with pytest.raises(StageError, match="cannot be read"):
        list(list_sources(["s3://bucket/nowhere.warc.gz"]))
    with pytest.raises(StageError, match="cannot be read"):
        list(list_sources(["unknown://bucket/nowhere"]))


@pytest.mark.slow
def test_other_file_systems_of_fsspec_are_read(tmp_path):
    import fsspec

    inputs = write_inputs(tmp_path / "inputs", 20)
    fsspec.filesystem("memory").put(f"{inputs}/", "/pages/", recursive=True)
    small_pipeline(tmp_path, inputs)
    run_on("memory://pages", tmp_path / "out")
    found, expected = documents(tmp_path / "out/clean"), documents(tmp_path / "data/clean")
    assert [one["text"] for one in found] == [one["text"] for one in expected] != []
