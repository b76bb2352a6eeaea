"""Worker processes, which may be killed by a page without harm to the stage."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection
from typing import Any

from warcio.archiveiterator import ArchiveIterator

from miniature_memory.extraction.config import ExtractConfig
from miniature_memory.extraction.inputs import Input, charset_of
from miniature_memory.extraction.page import Extracted, _one_line, extract_page

# --- worker processes ----------------------------------------------------------------------------


Job = bytes | Input  # the gzip member of a WARC response record, or what came from elsewhere


def extract_job(job: Job, config: ExtractConfig) -> Extracted:
    """The main text of one page; a text from elsewhere is taken as it is."""
    if isinstance(job, bytes):
        record = next(iter(ArchiveIterator(io.BytesIO(job))))
        content_type = record.http_headers.get_header("Content-Type") or "" if record.http_headers else ""
        url = record.rec_headers.get_header("WARC-Target-URI") or ""
        return extract_page(record.content_stream().read(), url, charset_of(content_type), config)
    if job.html is None:
        reason = job.reason or ("" if job.text.strip() else "no_text")
        return Extracted(job.text, _one_line(job.title), extractor="as_it_is", reason=reason)
    return extract_page(job.html, job.url, job.charset, config)


def serve(connection: Connection, config: ExtractConfig) -> None:
    """A worker's life: a page in, its Extracted out, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes the pipe
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        try:
            connection.send(extract_job(job, config))
        except Exception as error:  # one bad page is a counted reason, whatever a parser raised
            connection.send(Extracted(reason=f"extractor_{type(error).__name__}"))


WORKER_TARGET = serve  # a test puts a page that crashes in its place


class Worker:
    """One worker process with one page in flight; replaced after a failure and after `pages_per_worker` pages."""

    def __init__(self, config: ExtractConfig) -> None:
        self.config = config
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # not fork: the parent has threads and an open database
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=WORKER_TARGET, args=(theirs, self.config), daemon=True)
        self.process.start()
        theirs.close()
        self.pages = 0

    def submit(self, job: Job) -> None:
        if self.pages >= self.config.pages_per_worker:
            self.stop()
            self._start()
        self.pages += 1
        with contextlib.suppress(OSError):  # it died; result() says so
            self.connection.send(job)

    def result(self) -> Extracted:
        try:
            if self.connection.poll(self.config.page_deadline_sec):
                answer: Extracted = self.connection.recv()
                return answer
            reason = "extraction_timeout"
        except (EOFError, OSError):
            reason = "extraction_crashed"
        self.stop()
        self._start()
        return Extracted(reason=reason)

    def stop(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


def extract_all(jobs: Iterable[tuple[Any, Job]], config: ExtractConfig) -> Iterator[tuple[Any, Extracted]]:
    """(key, Extracted) for each (key, job), in order, with one page in flight a worker."""
    workers = [Worker(config) for _ in range(config.workers or os.cpu_count() or 1)]
    waiting: list[tuple[Any, Worker]] = []
    try:
        for i, (key, job) in enumerate(jobs):
            worker = workers[i % len(workers)]
            if len(waiting) == len(workers):
                first_key, first = waiting.pop(0)
                yield first_key, first.result()
            worker.submit(job)
            waiting.append((key, worker))
        for key, worker in waiting:
            yield key, worker.result()
    finally:
        for worker in workers:
            worker.stop()
