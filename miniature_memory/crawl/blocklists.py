"""Which URLs are never fetched: files, services, adult hosts, block lists."""

from __future__ import annotations

import codecs
import ipaddress
import re
from array import array
from bisect import bisect_left
from collections.abc import Container, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote_plus, urlsplit

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import shown
from miniature_memory.core.shards import Shard
from miniature_memory.crawl.urls import ascii_host
from miniature_memory.storage.url_keys import SESSION_ID

# The content type decides what is a page; an ending only tells what is not worth a request. On most paths these are
# files. A wiki or a blog has pages with such names: /wiki/Cmd.exe, /wiki/File:Bridge.jpg.
_MEDIA_ENDINGS = """aac avi bmp flac gif ico jpeg jpg m3u m3u8 m4a m4v mid midi mkv mov mp3 mp4 mpeg mpg oga ogg ogv png
    psd svg svgz tif tiff wav webm webp wma wmv"""
_OTHER_ENDINGS = """7z apk atom bin bz2 deb dmg doc docx eot epub exe gz ics iso jar mobi msi odp ods odt otf pdf ppt
    pptx ps rar rpm rss rtf swf tar tgz torrent ttf wasm woff woff2 xls xlsx xz zip zst"""
_MEDIA = frozenset(_MEDIA_ENDINGS.split())  # next to an article they are its pictures
_FILES = _MEDIA | frozenset(_OTHER_ENDINGS.split())
# These are often the subject of a page (/guides/node.js), and files only where a site keeps its parts.
_TEXT_FILES = frozenset(["css", "csv", "js", "json", "mjs", "txt", "xml"])
_FOLDER_NAMES = """_next _nuxt asset assets bundles cdn css dist download downloads files fonts image images
    img js lib libs media node_modules scripts static styles themes upload uploads vendor wp-content wp-includes
    wp-json"""
_FILE_FOLDERS = frozenset(_FOLDER_NAMES.split())
_PAGES = "blogs?|posts?|articles?|news|stories|questions?|topics?|threads?"
_SCRIPT = r"\.(php\d?|f?cgi|pl)/"  # what follows its name is a title: /index.php/Cmd.exe
_PAGES_PATH = re.compile(rf"/wiki/|{_SCRIPT}|/({_PAGES})/")
_PAGES_FOLDER = re.compile(rf"/wiki/|{_SCRIPT}|/({_PAGES})(/\d{{1,4}}){{0,3}}/$")  # dates, too
_BUNDLE = re.compile(r"(\.min|\.bundle|[.-][0-9a-f]{8,64})\.m?(js|css)$")  # made by a program for a program
# Paths that serve a visitor rather than a reader. Lower case only: /wiki/Calendar is an article.
_SERVICE_PATH = re.compile(r"""/(log-?in|log-?out|sign-?in|sign-?up|signout|register|cart|basket|checkout|my-?account
    |wp-login|wp-admin|wp-json|xmlrpc|search|calendar)(/|$|\.(php|aspx?|html?|jsp|cgi)$)""", re.VERBOSE)
_SERVICE_QUERY = re.compile(rf"(^|&)((s|query|search|replytocom|add-to-cart|share)=(?!{SESSION_ID}(&|$))"
                            r"|action=(edit|history|raw|login)\b)")
_ADULT_NAMES = """adultfriendfinder beeg bongacams brazzers cam4 chaturbate eporner fansly literotica
    livejasmin motherless nhentai onlyfans pornhub redtube rule34 spankbang stripchat tube8 xhamster xnxx xvideos
    youjizz youporn"""
_ADULT_HOSTS = frozenset(_ADULT_NAMES.split())
_ADULT_DOMAINS = frozenset(["xxx", "porn", "adult", "sex"])  # top-level ones
_ABOUT = ("cams?|clips?|free|gay|girls?|hd|hot|hub|live|mature|movies|pics?|photos?|porno?|sex|sites?|stars?|teens?"
          "|tubes?|vids?|videos?|you")
# Whole words: not Pornic, a town, nor Siriporn, a name. In a host's name words are also written together.
_ADULT_WORD = re.compile(
    r"\b(pornos?|porn|hentai|nsfw|milfs|xvideos|camgirls?|sexcams?|blowjobs?|gangbangs?|pornstars?)\b"
    rf"|\bxxx[-_ ]({_ABOUT})\b|\b({_ABOUT})[-_ ]xxx\b")
_ADULT_HOST_WORD = re.compile(rf"\b({_ABOUT})?(porno?|xxx)({_ABOUT})\b|\b({_ABOUT})(porno?|xxx)\b")


OTHER_SHARD = "other_shard"  # the one reason that does not mean never: another machine fetches it


def url_rejection(url: str, blocklist: Blocklist) -> str:
    """Why a URL, as crawl/urls.py spells it, is not fetched; '' if it may be."""
    if not url:
        return "bad_url"
    if url in blocklist.forgotten:
        return "forgotten"
    parts = urlsplit(url)
    host, path = parts.hostname or "", parts.path
    if host in blocklist:
        return "blocked_host"
    if blocklist.adult and (reason := _adult_rejection(host, f"{path}?{parts.query}")):
        return reason
    if _SERVICE_PATH.search(path) or (parts.query and _SERVICE_QUERY.search(parts.query)):
        return "service_page"
    if _is_file(path):
        return "not_html_ending"
    return OTHER_SHARD if blocklist.is_of_other_shard(host) else ""


def host_rejection(url: str, blocklist: Blocklist) -> str:
    """Why neither a URL nor anything else of its host is fetched, not even a list of pages; '' if it may be."""
    if url in blocklist.forgotten:
        return "forgotten"
    host = urlsplit(url).hostname or ""
    return "blocked_host" if host in blocklist else _adult_rejection(host) if blocklist.adult else ""


def _adult_rejection(host: str, path: str = "") -> str:
    labels = host.split(".")
    if labels[-1] in _ADULT_DOMAINS or _ADULT_HOSTS.intersection(labels[-2:-1]):
        return "blocked_host"
    path = (unquote_plus(path) if "%" in path or "+" in path else path).replace("_", " ").lower()
    return "blocked_word" if _ADULT_HOST_WORD.search(host) or _ADULT_WORD.search(f"{host} {path}") else ""


def _is_file(path: str) -> bool:
    """Whether a path certainly leads to no page."""
    folder, _, name = path.rpartition("/")
    ending = name.rpartition(".")[2].lower()
    if ending == name.lower() or ending not in _FILES | _TEXT_FILES:
        return False
    if not _FILE_FOLDERS.isdisjoint(folder.split("/")) or _BUNDLE.search(name):
        return True
    pages = _PAGES_FOLDER if ending in _MEDIA else _PAGES_PATH
    return ending in _FILES and ":" not in name and not pages.search(f"{folder}/")


class Blocklist:
    """Hosts that are rejected together with their subdomains, from files of millions of lines.

    Kept in 8 bytes per host: a set of Python strings would take fifteen times as much. adult: whether adult hosts and
    words are rejected, too. forgotten: the addresses that were taken back. shard: whose hosts alone are fetched.
    """

    def __init__(self, paths: Sequence[Path] = (), adult: bool = True, forgotten: Container[str] = (),
                 shard: Shard | None = None) -> None:
        self._hashes = array("q")
        self.adult, self.forgotten, self.shard = adult, forgotten, shard
        if paths:
            import numpy as np  # takes a while

            hosts = (hash(host) for path in paths for host in _listed_hosts(path))
            self._hashes.frombytes(np.unique(np.fromiter(hosts, dtype=np.int64)).tobytes())

    @classmethod
    def load(cls, root: Path, names: list[str], adult: bool = True, forgotten: Container[str] = (),
             shard: Shard | None = None) -> Blocklist:
        """The lists of search.blocklists, with paths relative to the root."""
        return cls([root / name for name in names], adult, forgotten, shard)

    def is_of_other_shard(self, host: str) -> bool:
        return self.shard is not None and not self.shard.has(host)

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, host: str) -> bool:
        labels = host.split(".") if self._hashes else []
        return any(self._has(".".join(labels[n:])) for n in range(len(labels)))

    def _has(self, domain: str) -> bool:
        n = bisect_left(self._hashes, hash(domain))
        return n < len(self._hashes) and self._hashes[n] == hash(domain)


def _listed_hosts(path: Path) -> Iterator[str]:
    """The hosts of a list: one domain per line, or a hosts file with several after an address; # begins a comment."""
    try:
        with open(path, "rb") as stream:
            wide = stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        with open(path, encoding="utf-16" if wide else "utf-8-sig", errors="replace") as lines:
            for line in lines:
                words = line.partition("#")[0].split()
                for word in words[len(words) > 1 and _is_address(words[0]):]:
                    if host := ascii_host(word.removeprefix("*").removeprefix(".")):
                        yield host
    except OSError as error:
        raise StageError(f"The block list {shown(path)} cannot be read ({error.strerror}).",
                         "a file, since search.blocklists names it.", "correct its path in search.blocklists, relative "
                         "to the folder of --root, or remove it from there.") from None


@lru_cache(maxsize=64)
def _is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return True
