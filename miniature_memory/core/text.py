"""Small text helpers that every package shares: control characters, times, host names."""

import re
import time
from urllib.parse import urlsplit


def timestamp(seconds: float | None = None) -> str:
    """A time as every file here has it, in UTC; now, if none is given."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def counted(n: int, noun: str) -> str:
    """A number and what it counts: "1 page", "1,234 pages"."""
    return f"{n:,} {noun}{'s' * (n != 1)}"


def rounded(n: int) -> str:
    """A large number in few digits: "53 k", "1.2 M"."""
    return f"{n / 1e6:.1f} M" if n >= 1e6 else f"{n / 1e3:.0f} k"


def strip_control(text: str) -> str:
    """`text` without control characters, save tab and newline: what came from outside may hold terminal commands."""
    return _CONTROL.sub("", text)


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def hostname(url: str) -> str:
    """The host of any URL, without its port; '' for what has none or is no address."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def host_of(url: str) -> str:
    """The host of a canonical URL, with its port unless that is the default one."""
    return url.split("/", 3)[2].partition("?")[0]
