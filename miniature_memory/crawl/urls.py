"""One spelling for each URL."""

import re
from urllib.parse import urljoin, urlsplit, urlunsplit

from w3lib.url import canonicalize_url

MAX_URL_CHARS = 2000

# What most URLs look like, and is already canonical: plain letters, no query, no dot segment
PLAIN = re.compile(r"https?://[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){1,3}(/(?!\.{1,2}(/|$))[A-Za-z0-9._~(),:@!*'$&+=-]*)+")
_TRACKING = re.compile(r"(utm_\w*|fbclid|gclid|dclid|msclkid|yclid|igshid|mc_[ce]id|_ga|_gl|phpsessid|jsessionid"
                       r"|sessionid|aspsessionid\w*|cfid|cftoken)(=|$)", re.IGNORECASE)
_SESSION_IN_PATH = re.compile(r";jsessionid=[^/;]*", re.IGNORECASE)


def canonical_url(url: str) -> str:
    """One spelling for URLs that certainly mean one page; '' for anything but an http(s) URL.

    w3lib's form (dot segments resolved, query sorted, %XX only where needed), without fragment, credentials, default
    port, session ids and tracking parameters.
    """
    url = url.partition("#")[0].strip()
    if len(url) <= MAX_URL_CHARS and PLAIN.fullmatch(url):
        return url
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        if not host.isascii():
            host = host.encode("idna").decode("ascii").lower()
        port = parts.port
        if parts.scheme not in ("http", "https") or not re.fullmatch(r"[\w.-]{1,253}|[0-9a-f:.]+", host, re.ASCII):
            return ""
        if "." in host and max(map(len, host.split("."))) > 63:  # RFC 1035, section 2.3.4
            return ""
        host = f"[{host}]" if ":" in host else host
        if port is not None and port != {"http": 80, "https": 443}[parts.scheme]:
            host = f"{host}:{port}"
        query = parts.query
        if query and _TRACKING.search(query):
            query = "&".join(pair for pair in query.split("&") if not _TRACKING.match(pair))
        path = _SESSION_IN_PATH.sub("", parts.path) if ";" in parts.path else parts.path
        plain = canonicalize_url(urlunsplit((parts.scheme, host, path or "/", query, "")))
    except ValueError:  # also a UnicodeError, for a host name with an empty or too long label
        return ""
    return plain if len(plain) <= MAX_URL_CHARS and plain.isascii() and plain.isprintable() else ""


def joined(base: str, href: str) -> str:
    """`href` of the page `base` as an absolute URL; '' if it is malformed."""
    try:
        return urljoin(base, href.strip()) if href else ""
    except ValueError:
        return ""
