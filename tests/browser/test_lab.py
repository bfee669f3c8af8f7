"""Every notebook runs from a fresh JupyterLab in a real browser, and nothing complains."""

import pytest

from tests.browser.lab import CHROMIUM, ROOT, SCREENSHOTS, Notebook, server

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium here (Debian: apt install chromium)"
)
WALKTHROUGHS = [path.name for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize("name", WALKTHROUGHS)
def test_every_cell_runs_and_nothing_complains(browser, name, tmp_path):
    with server(tmp_path) as address:
        notebook = Notebook(browser, address, name)
        notebook.run_all()
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        notebook.page.screenshot(path=SCREENSHOTS / f"{name.removesuffix('.ipynb')}.png")
        assert notebook.errors() == []
        assert notebook.complaints == []
        notebook.page.close()
