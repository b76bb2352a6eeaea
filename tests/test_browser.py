"""python3 -m pytest tests/test_browser.py: the tests' own browser finds faults."""

from pathlib import Path

import pytest
from browser import PHONE, Chromium

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>
<meta name="viewport" content="width=device-width">
<style>body {{ color: #222; background: #fff }}
@media (prefers-color-scheme: dark) {{ body {{ color: #eee; background: #111 }} }}</style></head>
<body><main><h1>A page</h1>{}</main></body></html>"""

pytestmark = pytest.mark.browser


def page_with(folder: Path, body: str) -> Path:
    path = folder / "page.html"
    path.write_text(PAGE.format(body), encoding="utf-8")
    return path


def test_a_sound_page_has_no_fault(tmp_path: Path, chromium: Chromium) -> None:
    with chromium.open(page_with(tmp_path, "<h2>Good</h2><p>Words.</p>"), PHONE) as view:
        assert not view.errors and not view.accessibility_faults() and view.overflow_px() == 0
        view.save(tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("body", "fault"), [
    ('<p style="color: #999; background: #fff">Pale words.</p>', "color-contrast"),
    ("<h4>Three steps down</h4>", "heading-order"),
    ('<img src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=">', "image-alt"),
])
def test_accessibility_faults_are_found(tmp_path: Path, chromium: Chromium, body: str, fault: str) -> None:
    with chromium.open(page_with(tmp_path, body)) as view:
        assert any(found.startswith(fault) for found in view.accessibility_faults())


@pytest.mark.parametrize(("body", "error"), [
    ("<script>console.error('of the console')</script>", "of the console"),
    ("<script>throw new Error('not caught')</script>", "not caught"),
    ("<img alt='' src='no-such-file.png'>", "no-such-file.png"),
])
def test_errors_are_collected(tmp_path: Path, chromium: Chromium, body: str, error: str) -> None:
    with chromium.open(page_with(tmp_path, body)) as view:
        assert any(error in found for found in view.errors)


def test_a_page_that_is_too_wide_is_found(tmp_path: Path, chromium: Chromium) -> None:
    with chromium.open(page_with(tmp_path, "<div style='width: 500px; height: 9px'></div>"), PHONE) as view:
        assert view.overflow_px() > 100


def test_dark_and_without_javascript(tmp_path: Path, chromium: Chromium) -> None:
    page = page_with(tmp_path, "<p id=p>As it was</p><script>p.textContent = 'Changed'</script>")
    with chromium.open(page, dark=True, javascript=False) as view:
        assert view.page.inner_text("p") == "As it was"
        assert view.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 17, 17)"
