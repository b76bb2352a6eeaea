"""URLs: one spelling for each, and the ones that are not asked for at all. Pure functions, no network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from w3lib.url import canonicalize_url

from pipeline import StageError

MAX_URL_CHARS = 2000

# What most addresses look like, and is canonical as it stands: plain letters, no query, no dot segment
_PLAIN = re.compile(r"https?://[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){1,3}(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]*)+")
_TRACKING = re.compile(r"(utm_\w*|fbclid|gclid|dclid|msclkid|yclid|igshid|mc_[ce]id|_ga|_gl|phpsessid|jsessionid"
                       r"|sessionid|aspsessionid\w*|cfid|cftoken)(=|$)", re.IGNORECASE)
_SESSION_IN_PATH = re.compile(r";jsessionid=[^/;]*", re.IGNORECASE)
_NOT_HTML = re.compile(r"""\.(7z|aac|apk|atom|avi|bin|bmp|bz2|css|csv|deb|dmg|docx?|eot|epub|exe|flac|gif|gz|ico|ics|iso
    |jar|jpe?g|js|json|m3u8?|m4[av]|midi?|mkv|mobi|mov|mp[34]|mpe?g|msi|od[pst]|og[agv]|otf|pdf|png|pptx?|ps|psd|rar
    |rpm|rss|rtf|svgz?|swf|tar|tgz|tiff?|torrent|ttf|txt|wasm|wav|web[mp]|wm[av]|woff2?|xlsx?|xml|xz|zip|zst)$""",
                       re.IGNORECASE | re.VERBOSE)
# Paths that serve a visitor rather than a reader. Lower case only: /wiki/Calendar is an article.
_SERVICE_PATH = re.compile(r"""/(log-?in|log-?out|sign-?in|sign-?up|signout|register|cart|basket|checkout|my-?account
    |wp-login|wp-admin|wp-json|xmlrpc|search|calendar)(/|$|\.(php|aspx?|html?|jsp|cgi)$)""", re.VERBOSE)
_SERVICE_QUERY = re.compile(r"(^|&)((s|query|search|replytocom|add-to-cart|share)=|action=(edit|history|raw|login)\b)")
_ADULT_HOST = re.compile(r"""(^|\.)(adultfriendfinder|beeg|bongacams|brazzers|cam4|chaturbate|eporner|fansly|literotica
    |livejasmin|motherless|nhentai|onlyfans|redtube|rule34|spankbang|stripchat|tube8|xhamster|xnxx|xvideos|youjizz)
    \.\w+$|\.(xxx|porn|adult|sex)$""", re.VERBOSE)
_ADULT_WORD = re.compile(r"porn|hentai|xvideo|\b(nsfw|milfs?|camgirls?|sexcams?|blowjobs?|gangbangs?|xxx-\w+)\b",
                         re.IGNORECASE)


def canonical_url(url: str) -> str:
    """One spelling for what is surely one page; '' for what is no http(s) URL.

    w3lib's form (dot segments resolved, query sorted, %XX where needed and only there), without fragment, credentials,
    default port, session ids and parameters that only track.
    """
    if len(url) <= MAX_URL_CHARS and _PLAIN.fullmatch(url):
        return url
    try:
        parts = urlsplit(url.strip())
        host = (parts.hostname or "").rstrip(".")
        if not host.isascii():
            host = host.encode("idna").decode("ascii").lower()
        port = parts.port
        if parts.scheme not in ("http", "https") or not re.fullmatch(r"[\w.-]{1,253}|[0-9a-f:.]+", host, re.ASCII):
            return ""
        if "." in host and max(map(len, host.split("."))) > 63:  # a label is no longer, RFC 1035, section 2.3.4
            return ""
        host = f"[{host}]" if ":" in host else host
        if port is not None and port != {"http": 80, "https": 443}[parts.scheme]:
            host = f"{host}:{port}"
        query = parts.query
        if query and _TRACKING.search(query):
            query = "&".join(pair for pair in query.split("&") if not _TRACKING.match(pair))
        path = _SESSION_IN_PATH.sub("", parts.path) if ";" in parts.path else parts.path
        plain = canonicalize_url(urlunsplit((parts.scheme, host, path or "/", query, "")))
    except ValueError:  # a UnicodeError is one, too: a host name with a label that is empty or too long
        return ""
    return plain if len(plain) <= MAX_URL_CHARS and plain.isascii() and plain.isprintable() else ""


def host_of(url: str) -> str:
    """The host of a canonical URL, with its port unless that is the default one."""
    return url.split("/", 3)[2].partition("?")[0]


def url_refusal(url: str, blocklist: Blocklist | None = None) -> str:
    """Why a canonical URL is not asked for: '' when nothing speaks against it."""
    if not url:
        return "bad_url"
    parts = urlsplit(url)
    host = parts.hostname or ""
    if _ADULT_HOST.search(host) or (blocklist and host in blocklist):
        return "blocked_host"
    if _ADULT_WORD.search(f"{host} {parts.path}".replace("_", " ")):
        return "blocked_word"
    if _SERVICE_PATH.search(parts.path) or (parts.query and _SERVICE_QUERY.search(parts.query)):
        return "service_page"
    return "not_html_ending" if _NOT_HTML.search(parts.path) else ""


# --- block lists ---------------------------------------------------------------------------------


class Blocklist:
    """Hosts that are refused together with what is below them, from files of millions of lines.

    Kept as 8 bytes a host: a set of Python strings would take fifteen times as much.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        import numpy as np  # takes a while, which a run without block lists need not wait for

        hosts = (hash(host) for path in paths for host in _listed_hosts(path))
        self._hashes = np.unique(np.fromiter(hosts, dtype=np.int64))

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, host: str) -> bool:
        labels = host.split(".")
        return any(self._has(".".join(labels[n:])) for n in range(len(labels)))

    def _has(self, domain: str) -> bool:
        n = self._hashes.searchsorted(hash(domain))
        return bool(n < len(self._hashes) and self._hashes[n] == hash(domain))


def _listed_hosts(path: Path) -> Iterator[str]:
    """The hosts of a list: a domain a line, or a hosts file, which has an address before it; # begins a comment."""
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                words = line.partition("#")[0].split()
                if words:
                    yield words[-1 if len(words) == 1 else 1].lower().strip(".").removeprefix("*.")
    except OSError as error:
        raise StageError(f"The block list {path} cannot be read ({error.strerror}).", "a file of search.blocklists.",
                         "correct its path, which counts from the folder of --root, or remove it.") from None
