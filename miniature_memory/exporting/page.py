"""Page: the model in one HTML file, which generates text in any browser, offline.

Reads   checkpoints/release.pt (ckpt.pt while there is no release yet), data/tokenizer/, data/catalog.sqlite3, config/
Writes  the named file, whole or not at all

page.html, page.css and page.js are filled in: what the page says, the tokenizer, and the weights in float16. The counts
of the training text stay behind because their array is too large. The page allows itself its own script and style and
nothing else; what came from outside is escaped.
"""

import base64
import hashlib
import json
import logging
import math
import shlex
import sqlite3
import string
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from miniature_memory.core.config import build_config, read_tables
from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import command, shown
from miniature_memory.core.text import counted, strip_control
from miniature_memory.exporting.aside import written_aside
from miniature_memory.exporting.patterns import in_javascript
from miniature_memory.sampling.config import SampleConfig
from miniature_memory.sampling.decoder import EPSILON
from miniature_memory.sampling.generation import Network, load_network
from miniature_memory.sampling.playground import MOST_PROMPT_CHARS, examples
from miniature_memory.sampling.playground import style as playground_style
from miniature_memory.storage import documents
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.files import QUERIES, read_list
from miniature_memory.training.checkpoint import move_aside
from miniature_memory.training.tokenizer import Tokenizer, retokenize
from model import GPT, HASH_MIX, HASH_STEP, MATCHES, ROTARY_BASE

logger = logging.getLogger(__name__)

MOST_MB = 300  # of a page: browsers keep it as one string of 512 MB at most, and phones have little more memory
MOST_LICENSES = 5  # that are named
MOST_TITLE_CHARS = 120
SETTINGS = ("temperature", "max_new_tokens", "top_k", "top_p", "min_p", "repetition_penalty")


def write_page(root: Path, target: Path, config_file: Path | None = None, overrides: list[str] | None = None) -> int:
    """Write the page of the model in `root`. Returns its size in bytes. Raises StageError."""
    if target.suffix.lower() not in (".html", ".htm"):
        raise StageError(f"{shown(target)} does not end in .html.", "the ending by which browsers recognize a page.",
                         f"name it {shlex.quote(f'{shown(target)}.html')}")
    tables = read_tables(root, config_file, overrides)
    config: SampleConfig = build_config(SampleConfig, "sample", tables)
    if config.stop or config.max_copied_tokens:
        logger.warning("sample.stop and sample.max_copied_tokens have no effect in a page.")
    content = page(root, load_network(root), config, tables["run"]["topic"])
    with written_aside(target) as path:
        path.write_bytes(content)
    return len(content)


def page(root: Path, network: Network, config: SampleConfig, topic: str) -> bytes:
    own_style, script = (Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    style = playground_style() + own_style
    weights = base64.b64encode(float16_weights(network.model, root))
    facts = facts_of(root, network, config) | {"weights": len(weights)}
    said = {name: escape(strip_control(text)) for name, text in sentences(root, network, topic).items()}
    template = string.Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    before, after = template.substitute(
        said, style=style, script=script, facts=json.dumps(facts).replace("<", "\\u003c"),
        policy=f"default-src 'none'; style-src '{sha256(style)}'; script-src '{sha256(script)}'; img-src data:; "
               "base-uri 'none'; form-action 'none'", weights="\0").split("\0")
    return before.encode() + weights + after.encode()


def sha256(content: str) -> str:
    """The hash by which the policy recognizes a script or style of the page."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


# --- what the script needs -----------------------------------------------------------------------


def float16_weights(model: GPT, root: Path) -> bytes:
    """Little-endian, row by row, in the order of the model's parts: the embedding table; of each block the matrices
    qkv, proj, up, proj; the head. Raises StageError for a model that no page holds."""
    mb = 2 * model.num_parameters() * 4 / 3 / 1e6
    if mb > MOST_MB:
        raise StageError(f"The page would be {mb:,.0f} MB large.", f"at most {MOST_MB} MB, which browsers can open.",
                         f"a smaller train.ngram_rows or train.size, after {move_aside(root / 'checkpoints/ckpt.pt')}")
    with np.errstate(over="ignore"):
        weights = [tensor.numpy().astype("<f2") for tensor in model.state_dict().values()]
    if not all(np.isfinite(array).all() for array in weights):
        raise StageError("The model has weights that are not finite, or too large for float16.", "finite weights.",
                         f"start a new one: {move_aside(root / 'checkpoints/ckpt.pt')} && "
                         + command("run.py", root, "--only train"))
    return b"".join(array.tobytes() for array in weights)


def facts_of(root: Path, network: Network, config: SampleConfig) -> dict[str, Any]:
    model, prompts = network.model.config, [config.prompt] if config.prompt else examples(config, root)
    hs = model.n_embd // model.n_head
    return {
        "config": vars(model) | {"table_rows": model.table_rows},
        "tokens": base64_tokens(network.tokenizer), "pattern": pattern_of(network.tokenizer, root),
        "constants": {"epsilon": EPSILON, "matches": MATCHES, "hash_step": str(HASH_STEP), "hash_mix": str(HASH_MIX),
                      "frequency": [ROTARY_BASE ** (-i / hs) for i in range(0, hs, 2)]},
        "settings": {name: getattr(config, name) for name in SETTINGS},
        "prompt": strip_control(next(iter(prompts), "")), "most_prompt_chars": MOST_PROMPT_CHARS}


def base64_tokens(tokenizer: Tokenizer) -> list[str]:
    """The bytes of each token but the last, end of text, in the order of their ids."""
    return [base64.b64encode(token).decode() for token in sorted(tokenizer.ranks, key=lambda one: tokenizer.ranks[one])]


def pattern_of(tokenizer: Tokenizer, root: Path) -> str:
    try:
        return in_javascript(tokenizer.pattern)
    except ValueError as error:
        raise StageError(f"The tokenizer's pattern has a part that browsers do not know: {error}.",
                         "a pattern such as this project's or GPT-2's.",
                         f"{retokenize(root)} && {command('run.py', root, '--only train')}") from None


# --- what the page says --------------------------------------------------------------------------


def sentences(root: Path, network: Network, topic: str) -> dict[str, str]:
    made = datetime.fromtimestamp(network.path.stat().st_mtime, UTC)
    return {"title": title(topic, root), "made": f"{made.day} {made:%B %Y}",
            "parameters": f"{network.model.num_parameters() / 1e6:.1f} million", "text": learned_from(network.state),
            "bits": bits_per_byte(network.state), "licenses": licenses(root)}


def title(topic: str, root: Path) -> str:
    """The topic, or else the first queries, which say what the model is about."""
    words = topic or ", ".join(read_list(root / QUERIES)[:3]) or "A miniature memory"
    return f"{words[:1].upper()}{words[1:MOST_TITLE_CHARS]}{'…' if len(words) > MOST_TITLE_CHARS else ''}"


def learned_from(state: Mapping[str, Any]) -> str:
    """How much text it learned from. A token is as long as in validation text: nats per token over nats per byte."""
    tokens, scores = state.get("entry", {}).get("tokens"), state.get("scores", {})
    if not isinstance(tokens, list) or not tokens or not isinstance(tokens[0], int):
        return "still in training"
    loss, bits = number(scores.get("val_loss")), number(scores.get("val_bpb"))
    size = f" (about {tokens[0] * loss / math.log(2) / bits / 1e6:,.1f} MB)" if loss and bits else ""
    return f"trained on {counted(tokens[0], 'token')} of text{size}"


def bits_per_byte(state: Mapping[str, Any]) -> str:
    """The figure of the network, which is all that the page has, and that of the release with its counts."""
    scores = state.get("scores", {})
    both, network = number(scores.get("val_bpb")), number(scores.get("val_bpb_network"))
    if not both:
        return "How well it predicts text was not measured."
    return f"On text that it has never seen, it reaches {network or both:.3f} bits per byte; lower is better." + (
        f" With its index of the training text, which is too large for this page, it reaches {both:.3f}."
        if network else "")


def number(value: object) -> float | None:
    """A figure from a file, if it is one and more than zero."""
    return value if isinstance(value, int | float) and 0 < value < math.inf else None


def licenses(root: Path) -> str:
    """The licenses that the documents name, as far as the catalog can be read."""
    try:
        with Catalog(root, read_only=True) as catalog:
            found = documents.licenses(catalog, MOST_LICENSES + 1)
    except (StageError, sqlite3.Error):
        found = {}
    if not found:
        return "The licenses of its texts are not known here."
    named = [f"{name[:100]} ({counted(n, 'document')})" for name, n in found.items()]
    more = " and others" if len(named) > MOST_LICENSES else ""
    return f"Licenses of its texts: {', '.join(named[:MOST_LICENSES])}{more}."
