"""Shards: which part of the web a root crawls. It is decided when the root is begun, and kept in its catalog."""

import shlex
from pathlib import Path

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import command, shown
from miniature_memory.core.shards import Shard
from miniature_memory.storage import urls
from miniature_memory.storage.catalog import Catalog

SHARD = "shard"  # state: such as "2/5"


def of(catalog: Catalog) -> Shard | None:
    """The shard of this root; None if it crawls the whole web."""
    if (text := catalog.state(SHARD)) is None:
        return None
    try:
        return Shard.parse(str(text))
    except ValueError as error:  # a catalog from elsewhere
        raise StageError(f"{shown(catalog.path)} names an invalid shard ({error}).", "the catalog of a shard.",
                         f"begin a new folder: {command('run.py', catalog.root.with_name('new'), '--shard K/N')}"
                         ) from None


def claim(root: Path, shard: Shard | None) -> None:
    """Let a root crawl `shard` from now on; None: what it crawled so far. Raises StageError if it was begun as another
    one, or without any: its URLs are of hosts that other machines crawl."""
    if not shard:
        return
    with Catalog(root) as catalog:
        known = of(catalog)
        if not known and not urls.count(catalog):
            with catalog.record():
                catalog.set_state(SHARD, str(shard))
        elif known != shard:
            how = f"as shard {known}" if known else "without --shard, and has URLs of hosts that other shards crawl"
            other = root.resolve().with_name(f"{root.resolve().name}-{shard.number}-of-{shard.total}")
            config, new = root / "config", shlex.quote(shown(other))
            copy = f"mkdir -p {new} && cp -r {shlex.quote(shown(config))} {new} && " if config.is_dir() else ""
            raise StageError(f"{shown(root)} was begun {how}.", f"a folder of its own for shard {shard}.",
                             f"{copy}{command('run.py', other, f'--shard {shard}')}; "
                             f"or continue this one: {command('run.py', root)}")
