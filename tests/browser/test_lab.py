"""Every notebook runs in a real browser, from a fresh JupyterLab; widgets follow their controls."""

import pytest

from tests.browser.lab import CHROMIUM, ROOT, Notebook, server
from tests.browser.widget import Widget

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium here (Debian: apt install chromium)"
)
WALKTHROUGHS = [path.name for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
WITH_WIDGET = ("02", "04", "05", "06", "07")


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize("name", WALKTHROUGHS)
def test_notebook(browser, name, tmp_path):
    with server(tmp_path) as address:
        notebook = Notebook(browser, address, name)
        notebook.run_all()
        assert notebook.errors() == []
        boxes = notebook.widgets()
        assert len(boxes) == (name[:2] in WITH_WIDGET)
        for box in boxes:
            move_everything(Widget(box))
        notebook.take_pictures()
        assert notebook.complaints == []
        notebook.page.close()


def move_everything(widget):
    assert widget.box.locator("img").get_attribute("alt")
    assert all(
        field.get_attribute("aria-label") or field.get_attribute("id") for field in widget.fields()
    )
    assert widget.handles() or widget.choices()
    for handle in widget.handles():
        assert widget.push(handle), handle
    for field in widget.fields():
        assert widget.enter(field), field
    for choice in widget.choices():
        assert widget.follows(choice.click), choice
    for play in widget.box.locator(".widget-play button").all()[:1]:
        assert widget.follows(play.click)
        play.click()  # pause
    assert widget.box.locator("[role=status]").count() == 1, widget.sentence
