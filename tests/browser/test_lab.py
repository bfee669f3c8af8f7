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


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with server(tmp_path_factory.mktemp("lab")) as address:
        yield address


@pytest.fixture
def opened(browser, address):
    """Opens notebooks, and closes them with their kernels."""
    notebooks = []

    def open_(name):
        notebooks.append(Notebook(browser, address, name))
        return notebooks[-1]

    yield open_
    for notebook in notebooks:
        notebook.close()


@pytest.mark.parametrize("name", WALKTHROUGHS)
def test_notebook_opens_as_it_is_stored_and_widgets_follow_their_controls(opened, name):
    notebook = opened(name)
    assert notebook.formulas() > 0
    assert notebook.broken_pictures() == []
    if name[:2] in WITH_WIDGET:
        notebook.run(notebook.last_with_widget())
        (box,) = notebook.widgets()
        move_everything(Widget(box))
        notebook.take_pictures()
    assert notebook.complaints == []


def test_an_error_in_a_cell_is_waited_for_and_shown(opened):
    notebook = opened(WALKTHROUGHS[0])
    notebook.insert("import time\ntime.sleep(1)\n{}['widget']")
    with pytest.raises(AssertionError, match=r"cell 1: KeyError: 'widget'\n(.|\n)*line 3"):
        notebook.run(0)


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
