"""URLs and hosts: what is known of the web, and when to ask again."""

from __future__ import annotations

from miniature_memory.storage.catalog import Catalog


def count(catalog: Catalog) -> int:
    return int(catalog.value("SELECT count(*) FROM urls"))
