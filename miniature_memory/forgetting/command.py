"""Command: what run.py --forget and --purge do, and what they print: as lines for people, or as JSON."""

import argparse
import json
import shlex
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from miniature_memory.core.errors import EXIT_DONE
from miniature_memory.core.paths import command, shown
from miniature_memory.core.text import counted, hostname, strip_control
from miniature_memory.counting.suffixes import MOST_TOKENS, update_suffixes
from miniature_memory.crawl import handover
from miniature_memory.crawl.seeds import seed_of
from miniature_memory.forgetting import forget, purge, targets
from miniature_memory.forgetting.targets import Target
from miniature_memory.storage import clean_documents, documents, forgotten, full_text
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.disk import in_words
from miniature_memory.storage.files import SEEDS, read_list
from miniature_memory.storage.forgotten import ADDRESS, HOST, TEXT, Entry, Forgotten, Found

MOST_SHOWN = 5  # addresses of one kind


class Outcome(NamedTuple):
    """What was found of some targets."""

    targets: list[dict[str, Any]]
    raw_documents: int
    clean_documents: int
    pages: int
    also_at: list[str]  # addresses with the same text, which may be fetched again
    duplicates: list[str]  # addresses whose documents were rejected as duplicates, and stay rejected
    similar: list[str]  # addresses of documents that stay, and of which these were duplicates
    seeds: list[str]  # lines of config/seeds.txt
    is_remembered: bool  # by a model
    left: int  # clean documents


def run(args: argparse.Namespace, run_stages: Callable[[list[str]], int]) -> int:
    """Forget and purge what the command line names, then bring all that is derived up to it. Returns the exit code.

    run_stages: runs these stages and returns the exit code.
    """
    wanted, result = targets.read_targets(args.forget), dict[str, Any]()
    with Catalog(args.root) as catalog:
        if wanted:
            found = forgotten.find(catalog, [target.entry for target in wanted])
            outcome = describe(catalog, wanted, found)
            forget.forget(catalog, found, args.retrain)
            result |= outcome._replace(is_remembered=outcome.is_remembered and not args.retrain)._asdict()
            show(lines_of(outcome, args), args)
        if args.purge:
            purged = purge.purge(catalog)
            result["purged"] = purged._asdict()
            show([f"{'purged':<12}{in_words(purged.n_bytes)} from {counted(purged.files, 'file')}" if purged.files else
                  f"{'purged':<12}nothing: of what was forgotten, nothing is on the disk"], args)
        full_text.grow(catalog)
        handover.write(catalog)
        is_stale, is_any_left = catalog.state("prepare.stale"), clean_documents.are_there_any(catalog)
    if args.json:
        print(json.dumps(result, ensure_ascii=False), flush=True)
    code = run_stages(["prepare", "train"] if args.retrain and is_any_left else ["prepare"] if is_stale else [])
    if code == EXIT_DONE:
        recount(args.root)
    return code


def preview(args: argparse.Namespace) -> int:
    """Show what would be forgotten."""
    wanted = targets.read_targets(args.forget)
    with Catalog(args.root, read_only=True) as catalog:
        outcome = describe(catalog, wanted, forgotten.find(catalog, [target.entry for target in wanted]))
    show(lines_of(outcome, args), args)
    if args.json:
        print(json.dumps(outcome._asdict(), ensure_ascii=False))
    return EXIT_DONE


def show(lines: list[str], args: argparse.Namespace) -> None:
    if not (args.json or args.quiet):
        print("\n".join(map(strip_control, lines)), flush=True)


# --- what it says --------------------------------------------------------------------------------


def describe(catalog: Catalog, wanted: list[Target], found: Found) -> Outcome:
    rejections, gone = forget.rejections_of(catalog, found), Forgotten(found.entries)
    addresses, of_entry = {row["id"]: [row["url"]] for row in found.documents}, Counter[Entry]()
    for id, url in found.also_at:
        addresses[id].append(url)
    for id, urls in addresses.items():
        of_entry.update({(TEXT, id), *(entry for url in urls for entry in forgotten.entries_of(url))})
    each, n_unknown = [], 0
    for target in wanted:
        n, since = of_entry[target.entry], forgotten.since(catalog, target.covering())
        n_unknown += not (n or since)
        near = [] if n or since or n_unknown > MOST_SHOWN else targets.near(catalog, target)
        each.append({"target": target.name, "kind": target.entry[0], "documents": n, "since": since, "near": near,
                     "is_start_page": targets.is_start_page(target)})
    similar = [row["url"] for id in dict.fromkeys(rejections.originals) if (row := documents.find(catalog, id))]
    seeds = [line for line in read_list(catalog.root / SEEDS) if (seed := seed_of(line)) and seed.url in gone]
    is_trained = any(row["split"] == "train" for row in found.clean)
    return Outcome(each, len(found.documents), len(found.clean), len(found.pages),
                   [url for urls in addresses.values() for url in urls if url not in gone], rejections.duplicates,
                   similar, seeds, is_trained and bool(forget.models(catalog.root)),
                   clean_documents.count(catalog) - len(found.clean))


def lines_of(outcome: Outcome, args: argparse.Namespace) -> list[str]:
    """The same for people."""
    rows = [("" if n else "would go" if args.dry_run else "forgotten", line) for target in outcome.targets
            for n, line in enumerate(about_target(target))]
    if outcome.raw_documents or outcome.pages:
        rows.append(("in all", f"{counted(outcome.raw_documents, 'document')}, {outcome.clean_documents:,} of them in "
                               f"the clean set; {counted(outcome.pages, 'page')}"))
    for label, urls, text in (
            ("also at", outcome.also_at, "the same text, which goes; the address itself may be fetched again"),
            ("duplicate", outcome.duplicates, "was rejected as a duplicate and stays rejected; its raw text is kept "
                                              "until you forget it, too"),
            ("similar", outcome.similar, "stays, with nearly the same text, until you forget it, too")):
        rows += [(label, f"{url}: {text}") for url in urls[:MOST_SHOWN]]
        rows += [(label, f"and {len(urls) - MOST_SHOWN:,} more")] if len(urls) > MOST_SHOWN else []
    if outcome.seeds:
        n, more = counted(len(outcome.seeds), "line"), ", ..." * (len(outcome.seeds) > MOST_SHOWN)
        rows.append(("seeds", f"{n} of {shown(args.root / SEEDS)} will be refused, so delete: "
                              f"{', '.join(outcome.seeds[:MOST_SHOWN])}{more}"))
    if (outcome.raw_documents or outcome.pages) and not args.purge:
        rows.append(("on disk", f"raw text and pages, unused, until {command('run.py', args.root, '--purge')}"))
    again = command("run.py", args.root, f"--forget {shlex.join(args.forget)}", "--retrain")
    if args.retrain:
        rows.append(("model", "a new one begins on what is left; all earlier ones are deleted" if outcome.left else
                     "all are deleted, and nothing is left for a new one"))
    elif outcome.is_remembered:
        rows.append(("model", f"was trained on it and still remembers; "
                     f"{'a new model on what is left' if outcome.left else 'to delete it'}: {again}"))
    return [f"{label:<12}{text}" for label, text in rows]


def about_target(target: dict[str, Any]) -> list[str]:
    name, kind, n, since = (target[key] for key in ("target", "kind", "documents", "since"))
    known = (counted(n, "document") if n else f"already forgotten on {since[:10]}" if since else
             f"no document has this {'id' if kind == TEXT else kind}")
    refused = {TEXT: "its address is never fetched or imported again" if n else "nothing to forget",
               ADDRESS: "never fetched or imported again",
               HOST: "never fetched or imported again, nor are its subdomains"}[kind]
    lines = [f"{name}: {known}" + f"; {refused}" * (not since)]
    if target["near"]:
        lines.append(f"did you mean {' or '.join(target['near'])}?")
    if target["is_start_page"]:
        lines.append(f"that is one page; all of its site is {hostname(name)}")
    return lines


def recount(root: Path) -> None:
    """Let the counts next to the network be those of the new bins; else train does it, with its next release."""
    if (root / "checkpoints/release.pt").exists() and (root / "data/train.bin").exists():
        info = json.loads((root / "data/bins.json").read_text(encoding="utf-8"))
        update_suffixes(root, min(info["growth"][-1]["train_tokens"], MOST_TOKENS), info["vocab_size"])
