"""The text that bench.page_text makes of pages.   python3 -m pytest -m slow tests/test_page_text.py"""

import json
import lzma
import random
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bench.many_hosts import make_page, make_paragraphs
from bench.real_text import comparable
from bench.vocabulary import documents_of
from miniature_memory.core.paths import PROJECT

PAGES = 12


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("openssl"), reason="the simulated web needs a certificate from openssl")
def test_pages_of_both_schemes_become_bins(tmp_path: Path) -> None:
    paragraphs, rng = make_paragraphs(), random.Random(1)
    urls = [f"{rng.choice(['http', 'https'])}://host-{n}.example/ä?q={n}" for n in range(PAGES)] + [None]
    with lzma.open(tmp_path / "pages.xz", "wt", encoding="utf-8") as lines:
        for url in urls:
            html = b"".join(make_page(urlsplit(url or "").netloc, "/", 3, paragraphs)).decode()
            lines.write(json.dumps({"url": url, "html": html}) + "\n")
    command = ["-m", "bench.page_text", "--data", tmp_path / "pages.xz", "--root", tmp_path / "root"]
    done = subprocess.run([sys.executable, *command], cwd=PROJECT, stdout=subprocess.PIPE, text=True, timeout=240,
                          check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    texts = {split: documents_of(tmp_path / "root", split) for split in ("train", "val")}
    assert result["pages"] == result["fetched"] == result["kept"] == PAGES, done.stdout
    assert sum(map(len, texts.values())) == PAGES
    for split, of_split in texts.items():
        assert result[f"{split}_bytes"] == sum(len(text.encode()) for text in of_split)


@pytest.mark.parametrize(("length", "added", "padded"), [(10_000, 10, 10_000), (2**20 - 9, 10, 2**20 + 1),
                                                         (2**20 - 5000, 10, 2**20 - 5000), (2**20, 10, 2**20 + 1)])
def test_compressors_read_both_texts_on_the_same_side_of_a_power_of_two(length: int, added: int, padded: int) -> None:
    text = comparable(b"x" * length, added)
    assert len(text) == padded and text.strip() == b"x" * length
