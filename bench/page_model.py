"""The model in a page: how large is it, how fast does it open and write, and does it write as Python does?

    .venv/bin/python -m bench.page_model --root demo     about a minute

Needs Debian's chromium and playwright. Writes the page of the model in --root into a temporary folder and opens it from
there. open_sec: until Continue can be clicked. tok_per_sec: of a text of --tokens tokens, shown as it is written, after
a prompt that fills the context, which counts as time but not as tokens; tok_per_cpu_sec: by the CPU time of the page's
thread, so it holds on a busy machine too. greedy_equal: of --prompts beginnings of validation documents, how many have
the same --tokens most likely tokens in Python, with the same weights in float16. largest_difference: of any probability
of a token, over the first --positions tokens of val.bin. Ends in one JSON line.
"""

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import CDPSession, Page, sync_playwright

from miniature_memory.exporting.page import write_page
from miniature_memory.sampling.config import SampleConfig
from miniature_memory.sampling.decoder import Decoder, softmax
from miniature_memory.sampling.generation import Network, generate, load_network

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SETTINGS = {"top_k": 50, "top_p": 1, "min_p": 0, "repetition_penalty": 1}
GENERATE = "([ids, settings]) => [...generate(ids, settings)].filter(id => id !== null)"
# To write on for as long as is asked for, without the end of text
SPEED = """async ([ids, settings]) => {
    const among = candidates, began = performance.now()
    candidates = (logits, ...rest) => { logits[eot_token] = -Infinity; return among(logits, ...rest) }
    encode = () => ids.slice(1)
    await answer("", settings)
    return settings.max_new_tokens * 1000 / (performance.now() - began)
}"""
READ = """ids => {
    const decoder = new Decoder()
    return JSON.stringify(ids.map(id => { decoder.read(id); return [...decoder.next()] }))
}"""


def opened(page: Page, path: Path) -> float:
    """Seconds until the page can write."""
    began = time.perf_counter()
    page.goto(path.as_uri())
    page.wait_for_function("!document.getElementById('go').disabled")
    return time.perf_counter() - began


def cpu_sec(devtools: CDPSession) -> float:
    """CPU time of the page's thread so far."""
    metrics = {metric["name"]: metric["value"] for metric in devtools.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])


def same_texts(page: Page, network: Network, prompts: list[list[int]], n_tokens: int) -> int:
    n = 0
    for prompt in prompts:
        config = SampleConfig(temperature=0.0, max_new_tokens=n_tokens)
        ours = [token for token, _ in generate(network.model, prompt, config, network.tokenizer.eot_token)]
        n += ours == page.evaluate(GENERATE, [prompt, SETTINGS | {"temperature": 0, "max_new_tokens": n_tokens}])
    return n


def largest_difference(page: Page, network: Network, ids: list[int]) -> float:
    decoder = Decoder(network.model)
    return max(float(np.abs(softmax(np.array(theirs)) - softmax(decoder.read([token]).astype(np.float64))).max())
               for token, theirs in zip(ids, json.loads(page.evaluate(READ, ids)), strict=True))


def measure(page: Page, root: Path, path: Path, args: argparse.Namespace) -> dict[str, Any]:
    network = load_network(root)
    for weights in network.model.parameters():
        weights.data = weights.data.half().float()
    ids = np.fromfile(root / "data/val.bin", dtype="<u2", count=1_000_000)
    ends = np.flatnonzero(ids == network.tokenizer.eot_token)[:args.prompts]
    prompts = [ids[end:end + 1 + i % 40].tolist() for i, end in enumerate(ends)]  # of 0 to 39 tokens
    result: dict[str, Any] = {"open_sec": round(opened(page, path), 2)}
    settings = SETTINGS | {"temperature": 0.8, "max_new_tokens": args.tokens}
    context = ids[:network.model.config.block_size].tolist()
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = cpu_sec(devtools)
    result["tok_per_sec"] = round(page.evaluate(SPEED, [context, settings]))
    result["tok_per_cpu_sec"] = round(args.tokens / (cpu_sec(devtools) - before))
    opened(page, path)
    return result | {"greedy_equal": f"{same_texts(page, network, prompts, args.tokens)}/{len(prompts)}",
                     "largest_difference": largest_difference(page, network, ids[:args.positions].tolist())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, metavar="DIR", help="the folder of a trained model")
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--positions", type=int, default=1000)
    args = parser.parse_args()
    program = next(filter(None, map(shutil.which, NAMES)), None) or parser.error("there is no chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "page.html"
        size = write_page(args.root, path)
        browser = playwright.chromium.launch(executable_path=program)
        page = browser.new_page()
        page.set_default_timeout(300_000)
        result = measure(page, args.root, path, args)
        browser.close()
    print(json.dumps({"bench": "page_model", "mb": round(size / 1e6, 1), **result}))


if __name__ == "__main__":
    main()
