"""Command: what run.py --forget and --purge do, and what they print: as lines for people, or as JSON."""

import argparse
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from miniature_memory.core.errors import EXIT_DONE
from miniature_memory.core.paths import command, shown
from miniature_memory.core.text import counted, strip_control
from miniature_memory.counting.suffixes import MOST_TOKENS, update_suffixes
from miniature_memory.forgetting import forget, purge, targets
from miniature_memory.forgetting.targets import Target
from miniature_memory.storage import documents, forgotten
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.disk import in_words
from miniature_memory.storage.forgotten import HOST, TEXT, Entry, Found

MOST_SHOWN = 5  # addresses of one kind


class Outcome(NamedTuple):
    """What was found of some targets, or would be."""

    targets: list[dict[str, Any]]
    raw_documents: int
    clean_documents: int
    pages: int
    also_at: list[str]  # addresses with the same text, which may still be fetched
    duplicates: list[str]  # addresses whose documents were rejected as duplicates, and stay rejected
    originals: list[str]  # addresses of documents that stay, and have nearly the same text
    is_remembered: bool  # by a model


def run(args: argparse.Namespace, run_stages: Callable[[list[str]], int]) -> int:
    """Forget and purge what the command line names, then bring bins and counts up to it. Returns the exit code.

    run_stages: runs these stages and returns the exit code.
    """
    wanted, result = targets.read_targets(args.forget), dict[str, Any]()
    with Catalog(args.root) as catalog:
        if wanted:
            found = forgotten.find(catalog, [target.entry for target in wanted])
            outcome = describe(catalog, wanted, found)
            forget.forget(catalog, found, args.retrain)
            result |= outcome._asdict()
            show(lines_of(outcome, args), args)
        if args.purge:
            purged = purge.purge(catalog)
            result["purged"] = purged._asdict()
            show([f"{'purged':<12}{in_words(purged.n_bytes)} of {counted(purged.files, 'file')}"], args)
        is_stale = catalog.state("prepare.stale")
    if args.json:
        print(json.dumps(result, ensure_ascii=False), flush=True)
    code = run_stages(["prepare", "train"] if args.retrain else ["prepare"] if is_stale else [])
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


def describe(catalog: Catalog, wanted: list[Target], found: Found) -> Outcome:
    sifted, of_entry = forget.sift_rejections(catalog, found), Counter[Entry]()
    addresses = {row["id"]: [row["url"]] for row in found.documents}
    for id, url in found.also_at:
        addresses[id].append(url)
    for id, urls in addresses.items():
        of_entry.update({(TEXT, id), *(entry for url in urls for entry in forgotten.entries_of(url))})
    gone = forgotten.Forgotten(found.entries)
    rows = [documents.find(catalog, id) for id in dict.fromkeys(sifted.originals)]
    each = [{"target": target.name, "kind": target.entry[0], "documents": of_entry[target.entry],
             "forgotten_at": forgotten.since(catalog, target.entry),
             "near": [] if of_entry[target.entry] else targets.near(catalog, target)} for target in wanted]
    return Outcome(each, len(found.documents), len(found.clean), len(found.pages),
                   [url for _, url in found.also_at if url not in gone], sifted.duplicates,
                   [row["url"] for row in rows if row], bool(
                       forget.models(catalog.root)) and any(row["split"] == "train" for row in found.clean))


def lines_of(outcome: Outcome, args: argparse.Namespace) -> list[str]:
    """What a person reads of it."""
    lines = [f"{'would be' if args.dry_run else 'forgotten':<12}{in_one_line(target)}" for target in outcome.targets]
    if outcome.raw_documents or outcome.pages:
        lines.append(f"{'in all':<12}{counted(outcome.raw_documents, 'document')}, {outcome.clean_documents:,} of "
                     f"them in the clean set; {counted(outcome.pages, 'page')}")
    for label, urls, text in (
            ("also at", outcome.also_at, "the same text, gone with it; the address may be fetched again"),
            ("duplicates", outcome.duplicates, "rejected because of it, and still; in raw until you forget them, too"),
            ("similar", outcome.originals, "stays, with nearly the same text; forget it, too, if it must go")):
        lines += [f"{label:<12}{url}: {text}" for url in urls[:MOST_SHOWN]]
        lines += [f"{label:<12}and {len(urls) - MOST_SHOWN:,} more"] if len(urls) > MOST_SHOWN else []
    again = f"--forget {' '.join(args.forget)}"
    if (outcome.raw_documents or outcome.pages) and not (args.purge or args.dry_run):
        lines.append(f"{'on disk':<12}raw texts and pages stay there, unused, until "
                     + command("run.py", args.root, "--purge"))
    if outcome.is_remembered and not args.retrain:
        lines.append(f"{'model':<12}it was trained on this and still remembers; "
                     f"{command('run.py', args.root, again, '--retrain')} begins a new model on what is left")
    elif args.retrain:
        lines.append(f"{'model':<12}a new one begins on what is left; {shown(args.root / 'checkpoints')} is emptied")
    return lines


def in_one_line(target: dict[str, Any]) -> str:
    """What became of one target, with what may have been meant if there is nothing of it."""
    name, n, kind, near = (target[key] for key in ("target", "documents", "kind", "near"))
    since = f"; forgotten since {target['forgotten_at'][:10]}" if target["forgotten_at"] else ""
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    if kind == TEXT:
        return f"{name}: " + (f"{counted(n, 'document')}, never stored again" if n else
                              f"no document has this id{since}{meant}")
    what = "host, with its subdomains" if kind == HOST else "address"
    return f"{name}: {counted(n, 'document') if n else f'no document has this {what.partition(chr(44))[0]}{meant}'}; " \
           f"this {what}, is never fetched or imported again{since}"


def recount(root: Path) -> None:
    """Let the counts next to the network be those of the new bins; train does it otherwise, with its next release."""
    if not (root / "checkpoints/release.pt").exists():
        return
    try:
        info = json.loads((root / "data/bins.json").read_text(encoding="utf-8"))
        update_suffixes(root, min(info["growth"][-1]["train_tokens"], MOST_TOKENS), info["vocab_size"])
    except (OSError, ValueError, LookupError, TypeError):
        return  # no bins are left
