"""What the tests of cluster.py share: pages in several files, and what the small pipeline makes of them."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from helpers import warc_member

import clean
import extract
import prepare
import validate
from miniature_memory.cluster import job as jobs
from miniature_memory.cluster.counts import results
from miniature_memory.cluster.sources import list_sources
from miniature_memory.cluster.stages import STAGES, run_stage
from miniature_memory.core.config import build_config, read_tables
from miniature_memory.core.paths import PROJECT, make_folder
from miniature_memory.core.stage import StageStats

NOUNS, VERBS, ADJECTIVES = (words.split() for words in (
    "harbour captain vessel lantern market village river castle garden merchant teacher winter island forest window "
    "letter kitchen soldier valley bridge orchard station library machine engine farmer doctor",
    "carried watched followed mended painted answered remembered crossed measured visited opened",
    "quiet broken distant golden narrow ancient crowded gentle bitter hollow silver patient"))
FOOTERS = ("Read more stories of the harbour in our weekly letter", "Members of the sailing club may reply here")


def text_of(seed: int, n_sentences: int = 14) -> list[str]:
    """Sentences that no other seed has."""
    rng = random.Random(seed)
    return [f"The {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)} {rng.choice(VERBS)} the {rng.choice(ADJECTIVES)} "
            f"{rng.choice(NOUNS)} while a {rng.choice(NOUNS)} of the {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)} "
            f"{rng.choice(VERBS)} and was not to be {rng.choice(VERBS)} that {rng.choice(NOUNS)}."
            for _ in range(n_sentences)]


def page(sentences: list[str], footer: str = "") -> bytes:
    paragraphs = [" ".join(sentences[i:i + 4]) for i in range(0, len(sentences), 4)]
    body = "".join(f"<p>{paragraph}</p>" for paragraph in [*paragraphs, footer] if paragraph)
    return (f"<html lang=en><head><title>{sentences[0][:30]}</title></head><body><article><h1>{sentences[0][:30]}</h1>"
            f"{body}</article></body></html>").encode()


def pages(n: int) -> list[tuple[str, bytes]]:
    """Pages of four hosts: most are texts of their own, others repeat earlier ones, nearly or wholly, or are no text;
    footers recur on two of the hosts."""
    rng, found = random.Random(n), []
    for number in range(n):
        kind, seed, host = rng.random(), number, rng.randrange(4)
        sentences = text_of(seed)
        if kind < 0.3 and number > 5:
            sentences = text_of(rng.randrange(number))
            if kind < 0.2:
                sentences[-1] = text_of(seed + 10_000)[0]  # a near duplicate
        elif kind > 0.93:
            sentences = ["Nur ein kurzer Satz auf Deutsch, der nicht zu den anderen passt, weil er so ist."] * 8
        footer = FOOTERS[host] if host < 2 and rng.random() < 0.8 else ""
        html = b"%PDF-1.4 no page" if kind > 0.98 else page(sentences, footer)
        found.append((f"http://host{host}.example/{number}.html", html))
    return found


def write_inputs(folder: Path, n: int = 60, n_files: int = 4) -> Path:
    """`n` pages in WARC files and one file of JSON lines."""
    (folder / "more").mkdir(parents=True, exist_ok=True)
    all_pages = pages(n)
    for number in range(n_files):
        part = all_pages[number * n // n_files:(number + 1) * n // n_files]
        if number == 1:
            lines = [json.dumps({"html": html.decode(), "url": url}) for url, html in part]
            (folder / "1.jsonl").write_text("\n".join([*lines, "{", ""]), encoding="utf-8")
        else:
            place = folder / "more" if number == 3 else folder
            (place / f"{number}.warc.gz").write_bytes(b"".join(warc_member(*one) for one in part))
    (folder / "notes.xyz").write_text("a file of an unknown kind")
    return folder


def new_job(out: Path, inputs: Path, *overrides: str, buckets: int = 0, workers: int = 2,
            queries: Sequence[str] = ()) -> jobs.Job:
    settings = read_tables(PROJECT, None, list(overrides))
    return jobs.begin(jobs.plan(out, list(list_sources([str(inputs)])), workers, settings, list(queries), buckets))


def run_here(job: jobs.Job) -> list[StageStats]:
    """Each task one after the other in this process."""
    for name, stage in STAGES.items():
        for rank in range(stage.count(job)):
            make_folder(job.folder(name, "done"))
            counts = [stats.to_dict() for stats in run_stage(job, name, rank)]
            (job.folder(name, "done") / f"{rank:06d}.json").write_text(
                json.dumps({"counts": counts, "sec": 0, "peak_mb": 0}))
    return results(job)


def small_pipeline(root: Path, inputs: Path, *overrides: str) -> dict[str, StageStats]:
    """extract --import, validate, clean and prepare."""
    tables = read_tables(root, None, list(overrides))
    configs = {script: build_config(kind, script.__name__, tables) for script, kind in (
        (extract, extract.ExtractConfig), (validate, validate.ValidateConfig), (clean, clean.CleanConfig),
        (prepare, prepare.PrepareConfig))}
    return {script.__name__: script.run(config, root, **({"files": [inputs]} if script is extract else {}))
            for script, config in configs.items()}


def documents(path: Path) -> list[dict[str, object]]:
    """The documents of a folder of shards, in order."""
    return [json.loads(line) for file in sorted(path.glob("*.jsonl")) for line in file.read_bytes().splitlines()]


def rejections(*paths: Path) -> Counter[str]:
    return Counter(line.decode() for path in paths for line in path.read_bytes().splitlines())


def assert_same(out: Path, root: Path) -> None:
    """cluster.py's result in `out` is the small pipeline's in `root`, to the byte."""
    for folder in ("raw", "clean"):
        assert documents(out / folder) == documents(root / "data" / folder)
    assert rejections(*sorted((out / "rejected").glob("*"))) == rejections(root / "data/rejected.jsonl")
    for name in ("train.bin", "val.bin", "meta.pkl", "tokenizer/ranks.tiktoken", "tokenizer/meta.json"):
        assert (out / name).read_bytes() == (root / "data" / name).read_bytes(), name


def assert_same_counts(found: list[StageStats], small: dict[str, StageStats]) -> None:
    for stats in found:
        expected = small[stats.stage]
        assert (stats.n_in, stats.n_out, stats.dropped) == (expected.n_in, expected.n_out, expected.dropped), stats
