"""Browser: Debian's Chromium, driven by Playwright, for the tests of what a person sees. If one of the two is missing,
these tests are skipped with the reason.

    @pytest.mark.browser
    def test_page(chromium: Chromium) -> None:                       # the fixture is in conftest.py
        with chromium.open(path_or_url, width=PHONE, dark=True) as view:
            view.page.get_by_label("Prompt").fill("To be")           # Playwright's own page
            assert not view.errors and not view.accessibility_faults() and not view.overflow_px()

Alone   .venv/bin/python tests/browser.py data/report.html FOLDER    screenshots: phone and desktop, light and dark
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PHONE, DESKTOP = 390, 1280  # width of the window, CSS pixels
HEIGHT = 844  # of the window
TIMEOUT_SEC = 60  # to start, and for each step on a page: a busy machine is no fault
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class View:
    """An open page and its errors so far."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []  # on the console, uncaught exceptions, failed requests
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("requestfailed", lambda request: self.errors.append(f"{request.url}: {request.failure}"))

    def overflow_px(self) -> int:
        """How much wider the page is than its window: 0 if nothing scrolls sideways."""
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return int(wide)

    def accessibility_faults(self) -> list[str]:
        """What axe finds, one line per fault, including contrast, the order of headings and best practices."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [f"{fault['id']}: {fault['help']}: {node['target']} {node['html'][:200]}"
                for fault in found for node in fault["nodes"]]

    def save(self, path: Path) -> None:
        """A screenshot of the whole page."""
        self.page.screenshot(path=path, full_page=True)


class Chromium:
    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    @contextlib.contextmanager
    def open(self, address: Path | str, width: int = DESKTOP, dark: bool = False,
             javascript: bool = True) -> Iterator[View]:
        """A page from a file or a URL, in a context of its own: no cookies, no cache."""
        context = self._browser.new_context(viewport={"width": width, "height": HEIGHT}, reduced_motion="reduce",
                                            color_scheme="dark" if dark else "light", java_script_enabled=javascript)
        try:
            context.set_default_timeout(1000 * TIMEOUT_SEC)
            view = View(context.new_page())
            view.page.goto(address.resolve().as_uri() if isinstance(address, Path) else address)
            yield view
        finally:
            context.close()


@contextlib.contextmanager
def start_chromium() -> Iterator[Chromium]:
    """Start the browser; skip the test that needs it if there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright; install it: ./setup.sh --dev")
    pytest.importorskip("axe_playwright_python", reason="no axe-playwright-python; install it: ./setup.sh --dev")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if not program:
        pytest.skip("no chromium; install it: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, timeout=1000 * TIMEOUT_SEC)
        try:
            yield Chromium(browser)
        finally:
            browser.close()


def main() -> None:
    page, folder = map(Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    with start_chromium() as chromium:
        for width, name in ((PHONE, "phone"), (DESKTOP, "desktop")):
            for dark in (False, True):
                with chromium.open(page, width, dark) as view:
                    view.save(folder / f"{name}-{'dark' if dark else 'light'}.png")
                    print(name, "dark" if dark else "light", view.errors, view.overflow_px(),
                          *view.accessibility_faults(), sep="\n    ")


if __name__ == "__main__":
    main()
