"""The recorder: writes what the visits brought: pages, revisits, redirects, links, and how each visit ended."""

import time
from collections import Counter
from itertools import islice
from pathlib import Path

from miniature_memory.core.stage import StageStats
from miniature_memory.core.text import host_of, strip_control, timestamp
from miniature_memory.crawl.blocklists import Blocklist, url_rejection
from miniature_memory.crawl.config import ScrapeConfig
from miniature_memory.crawl.frontier import next_visit
from miniature_memory.crawl.visits import Network, Page, Visit
from miniature_memory.crawl.warc import info_record, revisit_record
from miniature_memory.storage import pages, shells, urls, yields
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.record_reader import Place
from miniature_memory.storage.urls import NextVisit, Seen

LINKS_PER_RECORD = 100  # a signal waits for the end of a record


class Recorder:
    def __init__(self, config: ScrapeConfig, catalog: Catalog, stats: StageStats, agent: str,
                 blocklist: Blocklist, network: Network) -> None:
        self.config, self.catalog, self.stats, self.agent = config, catalog, stats, agent
        self.blocklist, self.network = blocklist, network
        self.shells: set[int] = set()  # the URLs whose visit a browser is still to end
        self.links: Counter[str] = Counter()  # of pages whose links are followed: "added", or why not

    def page(self, visit: Visit, page: Page) -> None:
        """Append a new page, as it came or as a browser rendered it; for a payload that is known, a revisit record."""
        row, answer, records = visit.row, page.answer, page.records
        assert records
        same_body = page.body_hash == row["payload_hash"]
        known = pages.with_payload(self.catalog, records.payload_digest)
        if known or same_body:
            revisit = b"" if not known or page.is_shell else records.request + revisit_record(
                answer, page.fetched_at, known["url"], known["fetched_at"])
            self.finish_visit(visit, "unchanged" if same_body else "duplicate_payload", page, revisit)
            return
        with self.catalog.record():
            file, offset, length = self._append(records.response + records.request)
            pages.add(self.catalog, row["id"], answer.url, page.fetched_at,
                      Place(file, offset, length - len(records.request)), records.payload_digest)
            self._update(visit, "fetched", page)
            if page.feed:
                urls.keep_feed(self.catalog, host_of(answer.url), page.feed)
        self.stats.n_in += 1
        self.stats.n_out += 1

    def finish_visit(self, visit: Visit, reason: str, page: Page | None = None, records: bytes = b"") -> None:
        """End a visit without a new page."""
        with self.catalog.record():
            if records:
                self._append(records)
            self._update(visit, reason, page)
        self.stats.n_in += 1
        self.stats.dropped[reason] += 1

    def shell(self, visit: Visit, page: Page) -> None:
        """Append the response of a page that says nothing without scripts; a browser is to end its visit."""
        assert page.records
        row = visit.row
        due_at = next_visit(row, "needs_js", self.config.revisit_days).due_at
        following = NextVisit(due_at, row["revisit_days"], row["failures"])  # as if it were not visited yet
        with self.catalog.record():
            file, offset, length = self._append(page.records.response + page.records.request)
            urls.finish_visit(self.catalog, row["id"], "needs_js", following)
            shells.add(self.catalog, row["id"], page.answer.url,
                       Place(file, offset, length - len(page.records.request)))
        self.shells.add(row["id"])

    def redirect(self, page: Page) -> None:
        """Append a redirect: together they are the chain that led to a page."""
        assert page.records
        with self.catalog.record():
            self._append(page.records.response + page.records.request)

    def add_links(self, visit: Visit, page: Page) -> list[str]:
        """Add a page's links to the frontier. Returns the new ones."""
        if not page.links:
            return []
        host, added = host_of(page.answer.url), list[str]()
        room = self.config.max_links_per_host - urls.links_added(self.catalog, host)
        left = iter(page.links.items())
        while block := list(islice(left, LINKS_PER_RECORD)):
            before = len(added)
            with self.catalog.record():
                for url, promise in block:
                    reason = "too_many_links" if len(added) >= room else url_rejection(url, self.blocklist)
                    reason = reason or urls.add(self.catalog, url, "links", page.answer.url, visit.row["depth"] + 1,
                                                promise=promise)
                    self.links[reason or "added"] += 1
                    added += [url] if not reason else []
                urls.count_links(self.catalog, host, len(added) - before)
        return added

    def _append(self, records: bytes) -> Place:
        """Append to the last WARC file, within a record() block."""
        shard = self.catalog.shard(pages.FOLDER, pages.SUFFIX, len(records))
        if not self.catalog.length(shard):
            info = info_record(Path(shard).name, self.agent, timestamp())
            self.stats.bytes_written += self.catalog.append_to(shard, info).length
        place = self.catalog.append_to(shard, records)
        self.stats.bytes_written += place.length
        return place

    def _update(self, visit: Visit, reason: str, page: Page | None) -> None:
        """Note how a visit ended, within a record() block."""
        row, following = visit.row, next_visit(visit.row, reason, self.config.revisit_days)
        no_network = reason == "unreachable" and not self.network.answered
        if no_network:
            # not this page's fault, but it goes to the end of the line: there may be a network after all
            following = NextVisit(time.time(), row["revisit_days"], row["failures"])
        seen = None
        if page:
            etag, modified = _short(page.answer.header("ETag")), _short(page.answer.header("Last-Modified"))
            seen = Seen(page.body_hash, "", "") if visit.refreshed else Seen(page.body_hash, etag, modified)
        urls.finish_visit(self.catalog, row["id"], reason, following, seen)
        if not no_network:
            yields.end_visit(self.catalog, row["id"], counts=reason != "fetched")
        shells.remove(self.catalog, row["id"])  # of this visit or an earlier one
        self.shells.discard(row["id"])


def _short(header: str) -> str:
    """A header to send back later; '' if it is unfit for that."""
    return header if len(header) <= 500 and header == strip_control(header) and header.isascii() else ""
