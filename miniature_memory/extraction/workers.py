"""Worker processes, so that a page that kills its process does no harm to the stage."""

import contextlib
import io
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import TypeVar

from warcio.archiveiterator import ArchiveIterator

from miniature_memory.core.errors import StageError
from miniature_memory.extraction.config import ExtractConfig
from miniature_memory.extraction.file_kinds import read_document
from miniature_memory.extraction.metadata import one_line
from miniature_memory.extraction.page import Extracted, extract_page
from miniature_memory.extraction.reading import Input
from miniature_memory.responses.coding import unpack
from miniature_memory.responses.media_type import media_type
from miniature_memory.responses.signals import read_signals

PAGES_PER_WORKER = 1000  # guess; then a fresh process takes over: extractors leak memory (adbar/trafilatura#216)
START_DEADLINE_SEC = 60.0  # guess: the imports of a worker take about a second
MOST_BYTES = 100_000_000  # of a page that scrape has kept, unpacked

Job = bytes | Input  # the gzip member of a WARC response record, or what came from elsewhere
Key = TypeVar("Key")
Serve = Callable[[Connection, ExtractConfig], None]


def is_text(job: Job) -> bool:
    """Whether it is taken as it is: nothing is parsed."""
    return isinstance(job, Input) and job.html is None and not job.kind


def extract_job(job: Job, config: ExtractConfig) -> Extracted:
    """The main text of one page; a text from elsewhere is taken as it is."""
    if isinstance(job, bytes):
        record = next(iter(ArchiveIterator(io.BytesIO(job))))
        headers = record.http_headers or record.rec_headers  # a page that was rendered has no HTTP headers
        content_type = headers.get_header("Content-Type") or ""
        url = record.rec_headers.get_header("WARC-Target-URI") or ""
        encoding = record.http_headers.get_header("Content-Encoding") or "" if record.http_headers else ""
        body = unpack(record.raw_stream.read(), encoding, MOST_BYTES, truncate=True)  # scrape has kept its limit
        return extract_page(body, url, media_type([content_type])[1], config)
    if job.kind:
        return read_document(job)
    if job.html is None:
        reason = job.reason or ("" if job.text.strip() else "no_text")
        return Extracted(job.text, one_line(job.title), one_line(job.author), one_line(job.published),
                         one_line(job.language), job.license, extractor="as_it_is", reason=reason)
    if config.respect_noai and (reason := read_signals(job.headers, job.html).rejection):
        return Extracted(reason=reason)
    extracted = extract_page(job.html, job.url, job.charset, config)
    return replace(extracted, license=job.license) if job.license else extracted


def serve(connection: Connection, config: ExtractConfig,
          extract: Callable[[Job, ExtractConfig], Extracted] = extract_job) -> None:
    """A worker's life: send None when ready; then receive a page, send its Extracted, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes the pipe
    with contextlib.suppress(OSError):  # the parent has ended; recv() sees it too
        connection.send(None)
    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):  # the parent has ended, or needs no more workers; a reset where it never listened
            return
        try:
            connection.send(extract(job, config))
        except Exception as error:  # one bad page is a counted reason, whatever a parser raised
            connection.send(Extracted(reason=f"extractor_{type(error).__name__}"))


class Worker:
    """One worker process with one page in flight; replaced after a failure and after PAGES_PER_WORKER pages."""

    def __init__(self, config: ExtractConfig, serve: Serve) -> None:
        self.config, self.serve = config, serve
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # not fork: the parent has threads and an open database
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=self.serve, args=(theirs, self.config), daemon=True)
        self.process.start()
        theirs.close()
        self.pages, self.ready = 0, False

    def submit(self, job: Job) -> None:
        if self.pages >= PAGES_PER_WORKER:
            self.stop()
            self._start()
        self.pages += not is_text(job)
        with contextlib.suppress(OSError):  # the process died; result() reports it
            self.connection.send(job)

    def result(self) -> Extracted:
        try:
            if not self.ready:  # the deadline of a page does not include the start of its process
                self.ready = self.connection.poll(START_DEADLINE_SEC) and self.connection.recv() is None
            if self.ready and self.connection.poll(self.config.page_deadline_sec):
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


def extract_all(jobs: Iterable[tuple[Key, Job]], config: ExtractConfig,
                serve: Serve = serve) -> Iterator[tuple[Key, Extracted]]:
    """(key, Extracted) for each (key, job), in order, with one page in flight per worker.

    A StageError of `jobs` is raised again once the pages before it are done.
    """
    workers: list[Worker] = []  # started with the first jobs: where nothing is new, none is
    most = config.workers or os.cpu_count() or 1
    waiting: list[tuple[Key, Worker]] = []
    failure: StageError | None = None
    try:
        try:
            for i, (key, job) in enumerate(jobs):
                if len(workers) < most:
                    workers.append(Worker(config, serve))
                worker = workers[i % most]
                if len(waiting) == most:
                    first_key, first = waiting.pop(0)
                    yield first_key, first.result()
                worker.submit(job)
                waiting.append((key, worker))
        except StageError as error:
            failure = error
        for key, worker in waiting:
            yield key, worker.result()
        if failure:
            raise failure
    finally:
        for worker in workers:
            worker.stop()
