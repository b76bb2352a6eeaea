"""Local files as they were when extract last read them, so that an unchanged one is not read again."""

from miniature_memory.storage.catalog import Catalog


def is_known(catalog: Catalog, address: str, mark: str) -> bool:
    return catalog.value("SELECT 1 FROM local_files WHERE address = ? AND mark = ?", [address, mark]) is not None


def remember(catalog: Catalog, address: str, mark: str) -> None:
    """Within a record() block, after that of the file's last document."""
    catalog.execute("INSERT OR REPLACE INTO local_files VALUES (?, ?)", [address, mark])
