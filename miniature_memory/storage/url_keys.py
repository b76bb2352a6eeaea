"""URL keys: one form for all spellings of a URL that certainly mean one page. A key is compared, never requested."""

import re
from urllib.parse import urlsplit, urlunsplit

# What most URLs look like, and browsers request as it is: plain letters, no port, no dot segment, no number for a
# top-level domain, a query of pairs.
PLAIN = re.compile(r"https?://[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){0,2}\.[a-z][a-z0-9-]{0,62}"
                   r"(/(?!\.{1,2}(/|\?|$))[A-Za-z0-9._~(),:@!*'$&+=-]*)+"
                   r"(\?(?P<query>[A-Za-z0-9._~-]+=[A-Za-z0-9._~-]*(&[A-Za-z0-9._~-]+=[A-Za-z0-9._~-]*)*))?")
_TRACKING = frozenset(["fbclid", "gclid", "dclid", "msclkid", "yclid", "igshid", "mc_cid", "mc_eid", "_ga", "_gl",
                       "phpsessid", "jsessionid", "cfid", "cftoken"])
_TRACKING_BEGINNINGS = ("utm_", "aspsessionid")
SESSION_ID = "[0-9a-f]{32}"  # phpBB's sid and vBulletin's s; a shorter one may be of a story, or what is sought
_SESSION = re.compile(rf"(s|sid|sessionid|session_id|zenid|oscsid)={SESSION_ID}")
_SESSION_IN_PATH = re.compile(r";jsessionid=[^/;]*", re.IGNORECASE)


def url_key(url: str) -> str:
    """The key of a URL as crawl/urls.py spells it; a malformed one is its own key.

    w3lib's form (query sorted, %XX only where needed), without fragment, session ids and tracking parameters.
    """
    if plain := PLAIN.fullmatch(url):  # w3lib would make the same of it, in ten times the time
        if not (query := plain["query"]):
            return url
        pairs = sorted(pair.split("=") for pair in query.split("&") if not _is_tracking(pair))
        return url[:-len(query)].rstrip("?") + "?" * bool(pairs) + "&".join(map("=".join, pairs))
    from w3lib.url import canonicalize_url  # run.py shows the state of a catalog where nothing is installed

    try:
        parts = urlsplit(url)
        query = "&".join(pair for pair in parts.query.split("&") if not _is_tracking(pair))
        path = _SESSION_IN_PATH.sub("", parts.path) if ";" in parts.path else parts.path
        return str(canonicalize_url(urlunsplit((parts.scheme, parts.netloc, path or "/", query, ""))))
    except ValueError:
        return url


def _is_tracking(pair: str) -> bool:
    name = pair.partition("=")[0].lower()
    return name in _TRACKING or name.startswith(_TRACKING_BEGINNINGS) or (
        len(pair) > 32 and _SESSION.fullmatch(pair.lower()) is not None)
