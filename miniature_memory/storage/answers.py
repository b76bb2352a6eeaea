"""Answers: what each provider was asked, so that it is not asked again too soon."""

from __future__ import annotations

from miniature_memory.storage.catalog import Catalog


def count(catalog: Catalog, provider: str) -> int:
    return int(catalog.value("SELECT count(*) FROM answers WHERE provider = ?", [provider]))
