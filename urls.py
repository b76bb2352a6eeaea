"""URLs: one spelling for each, and the ones that are not asked for at all. Pure functions, no network."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

import requests

MAX_URL_CHARS = 2000

_TRACKING = re.compile(r"(utm_\w*|fbclid|gclid|dclid|msclkid|yclid|igshid|mc_[ce]id|_ga|_gl|phpsessid|jsessionid)(=|$)",
                       re.IGNORECASE)
_NOT_HTML = re.compile(r"""\.(7z|aac|apk|atom|avi|bin|bmp|bz2|css|csv|deb|dmg|docx?|eot|epub|exe|flac|gif|gz|ico|ics|iso
    |jar|jpe?g|js|json|m3u8?|m4[av]|midi?|mkv|mobi|mov|mp[34]|mpe?g|msi|od[pst]|og[agv]|otf|pdf|png|pptx?|ps|psd|rar
    |rpm|rss|rtf|svgz?|swf|tar|tgz|tiff?|torrent|ttf|txt|wasm|wav|web[mp]|wm[av]|woff2?|xlsx?|xml|xz|zip|zst)$""",
                       re.IGNORECASE | re.VERBOSE)
_ADULT_HOST = re.compile(r"""(^|\.)(adultfriendfinder|beeg|bongacams|brazzers|cam4|chaturbate|eporner|fansly|literotica
    |livejasmin|motherless|nhentai|onlyfans|redtube|rule34|spankbang|stripchat|tube8|xhamster|xnxx|xvideos|youjizz)
    \.\w+$|\.(xxx|porn|adult|sex)$""", re.VERBOSE)
_ADULT_WORD = re.compile(r"porn|hentai|xvideo|\b(nsfw|milfs?|camgirls?|sexcams?|blowjobs?|gangbangs?|xxx-\w+)\b",
                         re.IGNORECASE)


def canonical_url(url: str) -> str:
    """One spelling for what is surely one page; '' for what is no http(s) URL.

    Scheme and host in lower case; without fragment, credentials, default port, and parameters that only track.
    """
    try:
        parts = urlsplit(url.strip())
        host = (parts.hostname or "").rstrip(".")
        host = f"[{host}]" if ":" in host else host.encode("idna").decode("ascii").lower()
        port = parts.port
    except ValueError:  # a UnicodeError is one, too: a host name with a label that is empty or too long
        return ""
    if parts.scheme not in ("http", "https") or not re.fullmatch(r"[\w.-]+|\[[0-9a-f:.]+]", host, re.ASCII):
        return ""
    if port is not None and port != {"http": 80, "https": 443}[parts.scheme]:
        host = f"{host}:{port}"
    query = "&".join(pair for pair in parts.query.split("&") if not _TRACKING.match(pair))
    plain = urlunsplit((parts.scheme, host, parts.path or "/", query, ""))
    plain = requests.utils.requote_uri(plain)  # spaces and letters beyond ASCII as %XX, what is quoted already stays
    return plain if len(plain) <= MAX_URL_CHARS and plain.isascii() and plain.isprintable() else ""


def host_of(url: str) -> str:
    """The host of a canonical URL, with its port unless that is the default one."""
    return urlsplit(url).netloc


def url_refusal(url: str) -> str:
    """Why a canonical URL is not asked for: '' when nothing speaks against it."""
    if not url:
        return "bad_url"
    parts = urlsplit(url)
    if _ADULT_HOST.search(parts.hostname or ""):
        return "blocked_host"
    if _ADULT_WORD.search(f"{parts.hostname} {parts.path}".replace("_", " ")):
        return "blocked_word"
    return "not_html_ending" if _NOT_HTML.search(parts.path) else ""
