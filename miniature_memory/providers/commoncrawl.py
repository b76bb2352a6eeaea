"""Common Crawl: what its index has of a host."""

import json
import re
import time
from urllib.parse import urlencode, urlsplit

from miniature_memory.crawl.guard import FetchError
from miniature_memory.providers.json_api import fetch_json, result
from miniature_memory.providers.provider import Ask, Found, ProviderError
from miniature_memory.storage.urls import Archived

COMMONCRAWL = "https://index.commoncrawl.org/collinfo.json"
COMMONCRAWL_PAUSE_SEC = 1.0  # between two requests: "no faster than once a second" (its status page)


def commoncrawl(ask: Ask) -> list[Found]:
    """Pages of a seed's host in Common Crawl's newest crawl, which need not be fetched from that host.

    The index (github.com/webrecorder/pywb/wiki/CDX-Server-API) answers with one JSON object per line.
    """
    if "api" not in ask.memory:
        try:
            ask.memory["api"] = str(fetch_json(ask, COMMONCRAWL)[0]["cdx-api"])
        except (LookupError, TypeError):
            raise ProviderError("bad_answer") from None
        time.sleep(COMMONCRAWL_PAUSE_SEC)
    url = ask.memory["api"] + "?" + urlencode({
        "url": f"{urlsplit(ask.what).hostname}/*", "output": "json", "fl": "url,filename,offset,length",
        "filter": ["=status:200", "=mime:text/html"], "page": ask.page, "pageSize": 1}, doseq=True)
    try:
        body = ask.web.fetch(url, truncate=True).body
    except FetchError as error:
        if error.reason in ("http_404", "http_400"):  # nothing of that host; no such page of the index
            return []
        raise ProviderError.of(error) from None
    found = []
    for line in body.splitlines():
        try:
            row = json.loads(line)
            place = Archived(str(row["filename"]), int(row["offset"]), int(row["length"]))
        except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
            continue  # the last line may be cut off
        if (re.fullmatch(r"[\w./-]+\.warc\.gz", place.file) and 0 < place.length <= ask.config.web.max_bytes
                and 0 <= place.offset < 1 << 63):
            found += [one._replace(archived=place) for one in result(row, "url")]
    if body.strip() and not found:
        raise ProviderError("bad_answer")
    return found
