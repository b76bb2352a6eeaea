"""License names: what a license is called in an address or a text, as SPDX's short name where it has one.

SPDX (spdx.org/licenses) is the list that package registries, GitHub and data set cards use. Pure and linear.
"""

import re
from collections.abc import Callable
from urllib.parse import urljoin

from miniature_memory.extraction.metadata import one_line

MOST_CHARS = 400  # of an address or a text that names a license; guess: a longer one is something else

# Where a license has its address, each with its name
_CREATIVE_COMMONS = re.compile(
    r"\bcreativecommons\.org/licenses/([a-z+-]{2,20})(?:/(\d\.\d))?(?:/(?!deed|legalcode|rdf)([a-z]{2,8})(?![a-z]))?")
_PUBLIC_DOMAIN = re.compile(r"\bcreativecommons\.org/publicdomain/(zero|mark)(?:/(\d\.\d))?")
_ADDRESSES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"\bspdx\.org/licenses/([A-Za-z0-9.+-]{2,40}?)(?:\.html|\.json)?(?:[/?#]|\Z)"), lambda found: found[1]),
    (re.compile(r"\bopensource\.org/licenses/([A-Z][A-Za-z0-9.+-]{1,40}?)(?:\.php|\.html)?(?:[/?#]|\Z)"),
     lambda found: found[1]),
    (re.compile(r"\bgnu\.org/(?:licenses|copyleft)/(?:old-licenses/)?(fdl|gpl|lgpl|agpl)(?:-(\d\.\d))?(?![\w-])"),
     lambda found: _versioned("GFDL" if found[1] == "fdl" else found[1].upper(), found[2])),
    (re.compile(r"\bapache\.org/licenses/LICENSE-(\d\.\d)"), lambda found: f"Apache-{found[1]}"),
    (re.compile(r"\bnationalarchives\.gov\.uk/doc/open-government-licence/version/(\d)"),
     lambda found: f"OGL-UK-{found[1]}.0"),
    (re.compile(r"\bopendatacommons\.org/licenses/(odbl|by|pddl)(?:/(\d)[.-](\d))?"),
     lambda found: _versioned({"odbl": "ODbL", "by": "ODC-By", "pddl": "PDDL"}[found[1]],
                              f"{found[2]}.{found[3]}" if found[2] else "1.0")),
)
# In words: "CC BY-SA 4.0", "CC0"; "Creative Commons Attribution-ShareAlike 4.0"
_SHORT = re.compile(r"\bcc[ _-]?(by(?:[ _-](?:nc|nd|sa)\b){0,2})(?![a-z])(?:[ _/-]?v?(\d\.\d))?")
_ZERO = re.compile(r"\b(?:cc[ _-]?(?:0|zero)|creative commons zero)\b")
_VERSION = re.compile(r"\b(\d\.\d)\b")
_IN_WORDS = {"nc": re.compile(r"\bnon[ -]?commercial"), "nd": re.compile(r"\bno[ -]?deriv"),
             "sa": re.compile(r"\bshare[ -]?alike")}
_SPDX_FORM = re.compile(r"[A-Za-z][A-Za-z0-9.+-]{1,39}")
_ORDER = ("by", "nc", "nd", "sa")
_OTHERS = {"publicdomain": "CC-PDDC", "mit": "MIT", "bsd": "BSD"}  # which Creative Commons hosted, too


def of_address(address: str, base: str = "") -> str:
    """The license at an address: its name, or else the whole address; '' for what is no web address."""
    if len(address) > MOST_CHARS:
        return ""
    try:
        address = urljoin(base, one_line(address))
    except ValueError:
        return ""
    if len(address) > MOST_CHARS or not re.match(r"https?://[^\s/]", address, re.IGNORECASE):
        return ""
    return _known_address(address) or address


def of_text(text: str, is_license: bool = True) -> str:
    """The license that a text names: Creative Commons' in words or by address, an address alone, or a name in SPDX's
    form if the text is said to be a license. '' for anything else, such as a copyright notice."""
    if len(text) > MOST_CHARS:
        return ""
    text = one_line(text)
    if name := _known_address(text) or _in_words(text.lower()):
        return name
    if " " not in text and (address := of_address(text)):
        return address
    has_form = _SPDX_FORM.fullmatch(text) and (text.isupper() or any(map(str.isdigit, text)))
    return text if is_license and has_form and text.upper() not in ("NONE", "COPYRIGHT") else ""


def is_creative_commons(name: str) -> bool:
    return name.startswith(("CC-", "CC0"))


def _known_address(text: str) -> str:
    lower = text.lower()
    if found := _CREATIVE_COMMONS.search(lower):
        return _creative_commons(*found.groups())
    if found := _PUBLIC_DOMAIN.search(lower):
        return _versioned("CC0" if found[1] == "zero" else "CC-PDM", found[2] or "1.0")
    return next((name(found) for pattern, name in _ADDRESSES if (found := pattern.search(text))), "")


def _creative_commons(kind: str, version: str | None, port: str | None) -> str:
    """The name for the last parts of an address: by-nc, 3.0, de. Versions from 4.0 on have no ports."""
    parts = kind.split("-")
    if not set(parts) <= set(_ORDER):
        return _OTHERS.get(kind) or (_versioned(kind.upper(), version) if kind in ("gpl", "lgpl") else "")
    name = _versioned("-".join(["CC", *sorted(map(str.upper, parts))]), version)
    return f"{name}-{port.upper()}" if port and version and version < "4" else name


def _in_words(text: str) -> str:
    version = _VERSION.search(text)
    if _ZERO.search(text):
        return "CC0-1.0"
    if found := _SHORT.search(text):
        return _creative_commons(re.sub("[ _]", "-", found[1]), found[2], None)
    if "creative commons" in text and "attribution" in text:
        parts = ["by", *(part for part, pattern in _IN_WORDS.items() if pattern.search(text))]
        return _creative_commons("-".join(parts), version[1] if version else None, None)
    return ""


def _versioned(name: str, version: str | None) -> str:
    return f"{name}-{version}" if version else name
