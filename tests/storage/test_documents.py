"""documents.py: how a document is found again.   .venv/bin/python3 -m pytest tests/storage/test_documents.py"""

from pathlib import Path

from miniature_memory.storage import documents
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.record_reader import Place


def test_a_document_is_found_by_its_id_and_by_any_spelling_of_its_url(tmp_path: Path) -> None:
    url = "http://a.example/index.php?topic/3&utm_source=mail"
    with Catalog(tmp_path) as catalog:
        with catalog.record():
            for n, address in enumerate(["file:///a.html", "http://[x", url, "http://a.example/"]):
                documents.add(catalog, f"{n}" * 64, address, Place("data/raw/000000.jsonl", 0, 1))
        for wanted in ("22222", url, "http://a.example/index.php?topic/3", "HTTP://A.example/index.php?topic%2f3=#top"):
            found = documents.find(catalog, wanted)
            assert found and found["url"] == url
        for unknown in ("4", "http://a.example/index.php", "http://b.example/index.php?topic/3", "http://[", "x"):
            assert documents.find(catalog, unknown) is None
