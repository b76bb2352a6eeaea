"""What several tests need: a dataset made without a network."""

import dataclasses
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from miniature_memory.core.paths import PROJECT
from miniature_memory.core.stage import StageStats
from miniature_memory.storage.catalog import Catalog
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.training.config import TrainConfig
from miniature_memory.training.tokenizer import load

PROSE = ("The ship lay in the harbour with all her sails furled, and the old captain walked on deck to look at the "
         "sky. It was a morning of still air and long light. He spoke to the mate of the cargo that they had to take "
         "in, and of the weather that was to be expected before the week had come to its end. The mate listened and "
         "said that the men were ready and that the water casks had been filled. So they waited for the tide. ")


def document(text: str, url: str = "http://example.org/") -> dict[str, object]:
    return {"id": hashlib.sha256(text.encode()).hexdigest(), "text": text,
            "metadata": {"url": url, "title": "", "author": "", "published": "", "language": "", "host": "example.org",
                         "fetched_at": "2026-01-01T00:00:00Z", "extractor": ""}}


def add_raw_documents(root: Path, texts: list[str]) -> None:
    """Append raw documents as extract does."""
    with Catalog(root) as catalog:
        for text in texts:
            add_raw_line(catalog, document(text))


def add_raw_line(catalog: Catalog, content: dict[str, object], line: bytes | None = None) -> None:
    line = line if line is not None else json.dumps(content, ensure_ascii=False).encode() + b"\n"
    with catalog.record():
        place = catalog.append("data/raw", ".jsonl", line)
        catalog.execute("INSERT INTO documents (id, url, file, offset, length) VALUES (?, ?, ?, ?, ?)",
                        [content["id"], content["metadata"]["url"], *place])  # type: ignore[index]


def add_clean_documents(root: Path, texts: list[str]) -> None:
    """Append documents to raw, as valid, and to clean, as the stages before prepare do."""
    with Catalog(root) as catalog:
        for text in texts:
            add_raw_line(catalog, document(text))
            add_clean_line(catalog, document(text))
        last = catalog.value("SELECT max(seq) FROM documents")
        with catalog.record():
            catalog.execute("UPDATE documents SET validation = 'valid', language = 'en' WHERE validation = ''")
            for stage in ("validate", "clean"):
                catalog.advance(stage, last)


def add_clean_line(catalog: Catalog, content: dict[str, object]) -> None:
    with catalog.record():
        place = catalog.append("data/clean", ".jsonl", json.dumps(content, ensure_ascii=False).encode() + b"\n")
        catalog.execute("INSERT INTO clean_documents (id, file, offset, length, text_bytes) VALUES (?, ?, ?, ?, ?)",
                        [content["id"], *place, len(str(content["text"]).encode())])


def warc_member(url: str, html: bytes, content_type: str = "text/html") -> bytes:
    """One gzip member: a WARC response record."""
    buffer = io.BytesIO()
    writer = WARCWriter(buffer, gzip=True)
    headers = StatusAndHeaders("200 OK", [("Content-Type", content_type)], protocol="HTTP/1.1")
    writer.write_record(writer.create_warc_record(url, "response", payload=io.BytesIO(html), http_headers=headers))
    return buffer.getvalue()


def add_pages(root: Path, pages: dict[str, bytes]) -> None:
    """Append pages as scrape does."""
    with Catalog(root) as catalog:
        for url, html in pages.items():
            with catalog.record():
                place = catalog.append("data/pages", ".warc.gz", warc_member(url, html))
                catalog.execute("INSERT INTO pages (url_id, url, fetched_at, file, offset, length) "
                                "VALUES (1, ?, '2026-01-01T00:00:00Z', ?, ?, ?)", [url, *place])


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def bins(root: Path) -> dict[str, np.ndarray]:
    return {split: np.fromfile(root / f"data/{split}.bin", dtype="<u2") for split in ("train", "val")}


def decoded(root: Path) -> list[str]:
    """The documents in both bins, sorted."""
    tokenizer = load(root / "data/tokenizer")
    texts: list[str] = []
    for ids in bins(root).values():
        ends = np.flatnonzero(ids == tokenizer.eot_token)
        assert not len(ids) or ends[-1] == len(ids) - 1
        texts += [tokenizer.decode(part) for part in np.split(ids, ends + 1)[:-1]]
    return sorted(texts)


def run_py(*arguments: str | Path, script: str = "run.py", timeout: float = 240) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, PROJECT / script, *arguments], capture_output=True, text=True,
                          timeout=timeout, check=False)


def copy_project(folder: Path) -> Path:
    """The program's files in a folder without .venv. Returns its run.py."""
    inner = (path for path in PROJECT.glob("miniature_memory/**/*.*") if path.suffix != ".pyc")
    for path in [*PROJECT.glob("*.py"), *PROJECT.glob("*.txt"), *PROJECT.glob("config/*"), *inner]:
        target = folder / path.relative_to(PROJECT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return folder / "run.py"


def add_run(root: Path, *stages: StageStats, exit_code: int | None = 0, day: int = 1) -> None:
    (root / "data").mkdir(parents=True, exist_ok=True)
    line = {"started": f"2026-01-{day:02}T02:00:00Z", "finished": f"2026-01-{day:02}T03:00:00Z",
            "exit_code": exit_code, "stages": [stats.to_dict() for stats in stages]}
    with open(root / "data/runs.jsonl", "a") as stream:
        stream.write(json.dumps(line) + "\n")


def trained(bits: float | None, old: float | None = None, new: float | None = None) -> StageStats:
    return StageStats("train", facts={"val_bpb": bits, "val_bpb_old": old, "val_bpb_new": new, "parameters": 1_500_000})


# --- training ------------------------------------------------------------------------------------

TINY = TrainConfig(size="1x16", block_size=8, ngram_rows=512, batch_size=4, warmup_iters=5, max_iters=20,
                   max_minutes=0.0, max_epochs=0, eval_minutes=60.0, decay_frac=0.2)


def write_bins(root: Path, train_tokens: list[int], n_val: int = 100, provisional: bool = False,
               seed: int = 0) -> tokenizers.Tokenizer:
    """Bins as prepare.py writes them, of `train_tokens[i]` tokens after growth step i + 1, with a byte tokenizer."""
    rng, data = np.random.default_rng(seed), root / "data"
    (data / "tokenizer").mkdir(parents=True, exist_ok=True)
    tokenizer = dataclasses.replace(tokenizers.train("byte", [], 257), provisional=provisional)
    if seed:  # another tokenizer: two bytes changed places
        tokenizer = dataclasses.replace(tokenizer, ranks=tokenizer.ranks | {b"a": 98, b"b": 97})
    for name, content in tokenizer.files().items():
        (data / "tokenizer" / name).write_bytes(content)
    text = np.tile(np.arange(97, 117), max(train_tokens) // 20 + 1)[:max(train_tokens)]
    text[rng.random(len(text)) < 0.1] = tokenizer.eot_token
    text.astype("<u2").tofile(data / "train.bin")
    text[:n_val * max(train_tokens) // 1000].astype("<u2").tofile(data / "val.bin")
    growth = [{"step": i + 1, "train_tokens": n, "val_tokens": n_val * n // 1000}
              for i, n in enumerate(train_tokens)]
    (data / "bins.json").write_text(json.dumps(
        {"tokenizer_hash": tokenizer.hash, "vocab_size": tokenizer.vocab_size, "growth": growth}))
    return tokenizer


def follow(fix: str) -> None:
    """Run the shell commands of a fix in the project's folder."""
    subprocess.run(fix, shell=True, cwd=PROJECT, check=True, capture_output=True, timeout=240)


def synced_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that takes the name of each file and folder that is synced from now on."""
    names, fsync = list[str](), os.fsync

    def note(descriptor: int) -> None:
        names.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    return names
