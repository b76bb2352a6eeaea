"""What --demo sets up: the sample site as the web of a run."""

import contextlib
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from miniature_memory.core.errors import StageError
from miniature_memory.core.interpreter import setup_command
from miniature_memory.core.paths import PROJECT
from miniature_memory.storage.files import is_blank, write_aside

DEMO_SITE = "http://sample-site.invalid"
DEMO_FILES = {"queries.txt": "love\nrevenge\nthe sea\nkings and crowns\nmistaken identity\n",
              "seeds.txt": f"sitemap {DEMO_SITE}/sitemap.xml\nfeed {DEMO_SITE}/feed.xml\n"}


@contextlib.contextmanager
def demo_web(root: Path) -> Iterator[list[str]]:
    """Serve the sample site on loopback; yield the settings that make it the web of this run."""
    for name, content in DEMO_FILES.items():
        if is_blank(path := root / "config" / name):
            write_aside(path, content.encode())
    command = [sys.executable, "-m", "miniature_memory.demo_site.site", "--port", "0", "--until-stdin-closes"]
    site = subprocess.Popen(command, cwd=PROJECT,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert site.stdin and site.stdout
    try:
        line = site.stdout.readline()
        if not line:
            raise StageError("The sample site did not start.", "its address on the first line.",
                             f"see why with cd {shlex.quote(str(PROJECT))} && {shlex.quote(sys.executable)} -m "
                             f"miniature_memory.demo_site.site, or repair the packages with {setup_command()}")
        yield [f'web.connect_to=["sample-site.invalid=127.0.0.1:{json.loads(line)["port"]}"]',
               'search.providers=["searxng", "feeds", "sitemaps"]', f'search.searxng_url="{DEMO_SITE}/search"']
    finally:
        site.stdin.close()
        site.terminate()
        site.wait()
