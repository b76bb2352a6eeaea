"""What the tests of scrape share: a run on loopback, and a look at what it left."""

from pathlib import Path

import pytest
from warcio.archiveiterator import ArchiveIterator
from warcio.cli import main as warcio

import scrape
from miniature_memory.crawl.config import ScrapeConfig, WebConfig
from miniature_memory.storage import urls
from miniature_memory.storage.catalog import Catalog


def config_for(*servers, **settings) -> ScrapeConfig:
    web = WebConfig(allow_private=[f"127.0.0.1:{server.port}" for server in servers], **settings.pop("web", {}))
    return ScrapeConfig(**{"delay_sec": 0.0, "web": web} | settings)


def add(root: Path, *addresses: str) -> None:
    with Catalog(root) as catalog, catalog.record():
        for url in addresses:
            urls.add(catalog, url, "test")


def run(config: ScrapeConfig, root: Path):
    stats = scrape.run(config, root)
    assert stats.n_in == stats.n_out + sum(stats.dropped.values())
    return stats


def states(root: Path) -> dict[str, str]:
    with Catalog(root) as catalog:
        return {row["url"]: row["state"] for row in catalog.execute("SELECT * FROM urls")}


def row_of(root: Path, url: str):
    with Catalog(root) as catalog:
        return urls.get(catalog, url)


def due_again(root: Path) -> None:
    with Catalog(root) as catalog, catalog.record():
        catalog.execute("UPDATE urls SET due_at = 1")


def records(root: Path) -> list[tuple[str, str, str, bytes]]:
    """(type, URL, its HTTP headers, unpacked payload) of every WARC record, in order; checks the files, too."""
    files = sorted((root / "data/pages").glob("*.warc.gz"))
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(warcio(["check", *map(str, files)]))
    assert not ended.value.code
    found = []
    for file in files:
        with open(file, "rb") as stream:
            found += [(record.rec_type, record.rec_headers.get_header("WARC-Target-URI") or "",
                       record.http_headers.to_str() if record.http_headers else "", record.content_stream().read())
                      for record in ArchiveIterator(stream, check_digests=True)]
    return found
