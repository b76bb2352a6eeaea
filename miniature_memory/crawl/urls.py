"""URLs as a browser would request them: what is asked for, archived, and matched against robots.txt.

Whatever outside address enters the program passes through browser_url(): links, feeds and sitemaps, results of search
engines, redirects, seeds. It changes the spelling as the WHATWG's URL standard does (url.spec.whatwg.org), and no
further: a site may tell `?x` from `?x=`, or one order of parameters from another. Which spellings mean one page is the
business of storage/url_keys.py.
"""

import contextlib
import ipaddress
import re
import socket
from urllib.parse import quote, unquote, urlsplit

import idna

from miniature_memory.storage.url_keys import PLAIN

# Twice what sitemaps may contain (2,048; sitemaps.org) and Internet Explorer accepted (2,083), to which sites keep.
# Checked before anything else looks at an address, so that no longer one costs time.
MAX_URL_CHARS = 4096

_C0_AND_SPACE = "".join(map(chr, range(0x21)))
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
_AUTHORITY_ENDS = re.compile(r"[/\\?]")
_HOST = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")  # RFC 1035, section 2.3.4, and the underscore
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_NOT_IN_PATH = re.compile(r"[^!$-;=@-\]_a-z|~]+")
_NOT_IN_QUERY = re.compile(r"[^!$-&(-;=?-~]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_PORTS = {"http": 80, "https": 443}


def browser_url(url: str, base: str = "", charset: str = "utf-8") -> str:
    """`url` as a browser would request it, without fragment and credentials; '' for anything but an http(s) URL.

    base: the address that it is relative to, as this function returns it. charset: of the page that contains the
    link, in which browsers send what is not ASCII in its query.
    """
    if len(url) <= MAX_URL_CHARS and PLAIN.fullmatch(url):
        return url
    url = url.strip(_C0_AND_SPACE).partition("#")[0]
    if len(url) > MAX_URL_CHARS:
        return ""
    url = _SURROGATE.sub("\ufffd", url.replace("\t", "").replace("\n", "").replace("\r", ""))
    scheme, authority, path, mark, query = _resolved(url, base)
    host = _host_and_port(scheme, authority) if scheme in _PORTS else ""
    if not host:
        return ""
    path = _without_dots(_NOT_IN_PATH.sub(lambda run: quote(run[0], safe=""), path.replace("\\", "/")))
    query = _NOT_IN_QUERY.sub(lambda run: quote(_encoded(run[0], charset), safe=""), query)
    url = f"{scheme}://{host}{path}{mark}{query}"
    return url if len(url) <= MAX_URL_CHARS else ""


def joined(base: str, href: str, charset: str = "utf-8") -> str:
    """`href` of the page or file at `base` as browser_url(); '' if it is malformed, or none."""
    return browser_url(href, browser_url(base), charset) if href else ""


def target_of(url: str) -> str:
    """What a request line names: path and query of a URL as browser_url() returns it."""
    return "/" + url.split("/", 3)[3]


def ascii_host(host: str) -> str:
    """A host name as DNS knows it, by IDNA 2008 with the mapping of UTS 46; '' if there can be no such host."""
    try:
        if "%" in host:
            host = unquote(host, errors="strict")
        if host.isascii():
            host = host.lower()
        else:
            mapped = idna.uts46_remap(host, std3_rules=False)
            host = ".".join(label if label.isascii() else _ascii_label(label) for label in mapped.split("."))
        host = host.removesuffix(".")
        if len(host) > 253 or not _HOST.fullmatch(host):
            return ""
        if _NUMBER.fullmatch(host.rpartition(".")[2]):
            return socket.inet_ntoa(socket.inet_aton(host))  # also of the forms 0x7f.1 and 2130706433
    except (ValueError, OSError):  # an IDNAError is a ValueError
        return ""
    return host


def _ascii_label(label: str) -> str:
    """The label of a host name for DNS; it has been mapped. Browsers also allow symbols, such as emoji."""
    try:
        return idna.alabel(label).decode()
    except idna.InvalidCodepoint:
        if "\u200c" in label or "\u200d" in label:  # joiners, which only some letters may have around them
            raise
        return "xn--" + label.encode("punycode").decode()


def _resolved(url: str, base: str) -> tuple[str, str, str, str, str]:
    """(scheme, authority, path, "?" or "", query) of `url` seen from `base`, not yet encoded."""
    named = _SCHEME.match(url)
    parts = urlsplit(base)
    scheme = named[1].lower() if named else parts.scheme
    rest = url[named.end():] if named else url
    if scheme != parts.scheme or (rest[:1] in ("/", "\\") and rest[1:2] in ("/", "\\")):
        rest = rest.lstrip("/\\")
        authority = _AUTHORITY_ENDS.split(rest, maxsplit=1)[0]
        path, mark, query = rest[len(authority):].partition("?")
        return scheme, authority, path if path else "/", mark, query
    path, mark, query = rest.partition("?")
    if not path:
        path, *own_query = target_of(base).split("?", 1) if base else [""]
        if not mark and own_query:
            mark, query = "?", own_query[0]
    elif path[0] not in "/\\":
        path = parts.path.rpartition("/")[0] + "/" + path
    return scheme, parts.netloc, path, mark, query


def _host_and_port(scheme: str, authority: str) -> str:
    """The host of an authority, with its port unless that is the default one; '' if either is invalid."""
    host = authority.rpartition("@")[2]
    if host.startswith("["):
        address, closed, port = host[1:].partition("]")
        if not closed or "%" in address or port[:1] not in ("", ":"):
            return ""
        try:
            host, port = f"[{ipaddress.IPv6Address(address)}]", port[1:]
        except ValueError:
            return ""
    else:
        name, _, port = host.partition(":")
        host = ascii_host(name)
    if not port:
        return host
    if not (port.isascii() and port.isdigit() and len(port) < 10 and int(port) < 1 << 16):
        return ""
    return host if not host or int(port) == _PORTS[scheme] else f"{host}:{int(port)}"


def _without_dots(path: str) -> str:
    """A path without `.` and `..`, also where these are percent-encoded."""
    if "/." not in path and "%2" not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for n, segment in enumerate(segments, 1):
        plain = segment.lower().replace("%2e", ".")
        if plain not in (".", ".."):
            kept.append(segment)
            continue
        if plain == "..":
            del kept[-1:]
        if n == len(segments):
            kept.append("")
    return "/" + "/".join(kept)


def _encoded(text: str, charset: str) -> bytes:
    if charset.lower().startswith("utf"):
        return text.encode()  # also for UTF-16: encoding.spec.whatwg.org, "get an output encoding"
    with contextlib.suppress(LookupError):
        return text.encode(charset, "xmlcharrefreplace")
    return text.encode()
