"""Which URLs are never fetched: those that are not HTML, services, adult hosts, block lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import shown

_ENDINGS = """7z aac apk atom avi bin bmp bz2 css csv deb dmg doc docx eot epub exe flac gif gz ico ics iso
    jar jpeg jpg js json m3u m3u8 m4a m4v mid midi mkv mobi mov mp3 mp4 mpeg mpg msi odp ods odt oga ogg ogv otf pdf png
    ppt pptx ps psd rar rpm rss rtf svg svgz swf tar tgz tif tiff torrent ttf txt wasm wav webm webp wma wmv woff woff2
    xls xlsx xml xz zip zst"""
_NOT_HTML = frozenset(_ENDINGS.split())
# Paths that serve a visitor rather than a reader. Lower case only: /wiki/Calendar is an article.
_SERVICE_PATH = re.compile(r"""/(log-?in|log-?out|sign-?in|sign-?up|signout|register|cart|basket|checkout|my-?account
    |wp-login|wp-admin|wp-json|xmlrpc|search|calendar)(/|$|\.(php|aspx?|html?|jsp|cgi)$)""", re.VERBOSE)
_SERVICE_QUERY = re.compile(r"(^|&)((s|query|search|replytocom|add-to-cart|share)=|action=(edit|history|raw|login)\b)")
_ADULT_NAMES = """adultfriendfinder beeg bongacams brazzers cam4 chaturbate eporner fansly literotica
    livejasmin motherless nhentai onlyfans redtube rule34 spankbang stripchat tube8 xhamster xnxx xvideos youjizz"""
_ADULT_HOSTS = frozenset(_ADULT_NAMES.split())
_ADULT_DOMAINS = frozenset(["xxx", "porn", "adult", "sex"])  # top-level ones
_ADULT_WORD = re.compile(r"porn|hentai|xvideo|\b(nsfw|milfs?|camgirls?|sexcams?|blowjobs?|gangbangs?|xxx-\w+)\b")


def url_rejection(url: str, blocklist: Blocklist | None = None) -> str:
    """Why a canonical URL is not fetched; '' if it may be."""
    if not url:
        return "bad_url"
    parts = urlsplit(url)
    host, path = parts.hostname or "", parts.path
    labels = host.split(".")
    if labels[-1] in _ADULT_DOMAINS or _ADULT_HOSTS.intersection(labels[-2:-1]) or (blocklist and host in blocklist):
        return "blocked_host"
    if _ADULT_WORD.search(f"{host} {path}".replace("_", " ").lower()):
        return "blocked_word"
    if _SERVICE_PATH.search(path) or (parts.query and _SERVICE_QUERY.search(parts.query)):
        return "service_page"
    ending = path.rpartition("/")[2].rpartition(".")
    return "not_html_ending" if ending[1] and ending[2].lower() in _NOT_HTML else ""


class Blocklist:
    """Hosts that are rejected together with their subdomains, from files of millions of lines.

    Kept in 8 bytes per host: a set of Python strings would take fifteen times as much.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        import numpy as np  # takes a while, and only block lists need it

        hosts = (hash(host) for path in paths for host in _listed_hosts(path))
        self._hashes = np.unique(np.fromiter(hosts, dtype=np.int64))

    @classmethod
    def load(cls, root: Path, names: list[str]) -> Blocklist | None:
        """The lists of search.blocklists, with paths relative to the root; None if there is none."""
        return cls(root / name for name in names) if names else None

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, host: str) -> bool:
        labels = host.split(".")
        return any(self._has(".".join(labels[n:])) for n in range(len(labels)))

    def _has(self, domain: str) -> bool:
        n = self._hashes.searchsorted(hash(domain))
        return bool(n < len(self._hashes) and self._hashes[n] == hash(domain))


def _listed_hosts(path: Path) -> Iterator[str]:
    """The hosts of a list: one domain per line, or a hosts file with an address before each; # begins a comment."""
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                words = line.partition("#")[0].split()
                if words:
                    yield words[-1 if len(words) == 1 else 1].lower().strip(".").removeprefix("*.")
    except OSError as error:
        raise StageError(f"The block list {shown(path)} cannot be read ({error.strerror}).",
                         "a file, since search.blocklists names it.", "correct its path in search.blocklists, relative "
                         "to the folder of --root, or remove it from there.") from None
