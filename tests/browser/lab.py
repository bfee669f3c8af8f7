"""A JupyterLab server of our own on a copy of the course, and a notebook of it in chromium."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
PATIENCE = 180_000  # ms, for a page on a slow machine
SCREENSHOTS = ROOT / "build" / "screenshots"  # for the eye; nothing compares them

SETTINGS = {
    # cells out of sight are drawn too, so that a test finds them
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Start JupyterLab on a copy of the notebooks; gives its address."""
    root, settings = folder / "course", folder / "settings"
    shutil.copytree(ROOT / "notebooks", root / "notebooks")
    for name, values in SETTINGS.items():
        file = settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += ["--ServerApp.port=0", f"--ServerApp.root_dir={root}", "--IdentityProvider.token="]
    command += ["--LabApp.expose_app_in_browser=True", f"--LabApp.user_settings_dir={settings}"]
    command += ["--LabApp.news_url=None", "--LabApp.extension_manager=readonly"]
    command += ["--ServerApp.disable_check_xsrf=True", "--LanguageServerManager.autodetect=False"]
    environment = os.environ | {
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(ROOT)]),
    }
    log = folder / "server.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stderr=file, stdout=file, env=environment)
        try:
            yield _address(process, log)
        finally:
            process.terminate()
            process.wait(30)


def _address(process: subprocess.Popen, log: Path) -> str:
    """Where the server listens, once it says so."""
    while process.poll() is None:
        found = re.search(r"http://(?:localhost|127\.0\.0\.1):(\d+)/lab", log.read_text())
        if found:
            return f"http://127.0.0.1:{found[1]}"
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            pass
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()}")


PANEL = "window.jupyterapp.shell.currentWidget"  # the notebook that is open
MODEL = f"{PANEL}.model"


class Notebook:
    """A notebook in a page of the browser; collects what the console complains about."""

    def __init__(self, browser, address: str, name: str):
        self.page = browser.new_page(viewport={"width": 1280, "height": 900})
        self.page.set_default_timeout(PATIENCE)
        self.name = name.removesuffix(".ipynb")
        self.complaints: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(f"{address}/lab/tree/notebooks/{name}?reset")
        self.page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
        self.page.evaluate(f"{PANEL}.sessionContext.ready")

    def _hear(self, message) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def insert(self, source: str) -> None:
        """Put a code cell on top."""
        cell = json.dumps({"cell_type": "code", "source": source, "metadata": {}})
        self.page.evaluate(f"{MODEL}.sharedModel.insertCell(0, {cell})")

    def last_with_widget(self) -> int:
        """The number, from 0, of the last cell that shows a widget: nbval leaves it alone."""
        cells = self.page.evaluate(f"{MODEL}.toJSON()")["cells"]
        tags = [cell["metadata"].get("tags", []) for cell in cells]
        return max(i for i, names in enumerate(tags) if "nbval-ignore-output" in names)

    def run(self, last: int) -> None:
        """Run every cell down to this one, from 0, and wait for them; an error there is raised."""
        self.page.evaluate(f"{MODEL}.sharedModel.deleteCellRange({last + 1}, {MODEL}.cells.length)")
        self.page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        errors = self.errors()
        assert not errors, "\n\n".join(errors)

    def errors(self) -> list[str]:
        """The error outputs of the cells, as a terminal would show them."""
        notebook = self.page.evaluate(f"{MODEL}.toJSON()")
        return [
            f"cell {number}: {output['ename']}: {output['evalue']}\n"
            + re.sub(r"\x1b\[[\d;]*m", "", "\n".join(output["traceback"]))
            for number, cell in enumerate(notebook["cells"], 1)
            for output in cell.get("outputs", ())
            if output["output_type"] == "error"
        ]

    def formulas(self) -> int:
        """How many formulas are typeset."""
        found = self.page.locator("mjx-container")
        found.first.wait_for(state="attached")
        return found.count()

    def broken_pictures(self) -> list[str]:
        """What stands in the place of pictures that cannot be shown."""
        return self.page.evaluate(
            "[...document.querySelectorAll('.jp-Cell img')]"
            ".filter(image => image.complete && !image.naturalWidth).map(image => image.outerHTML)"
        )

    def close(self) -> None:
        """Stop the kernel, and close the page."""
        self.page.evaluate(f"{PANEL}.sessionContext.shutdown()")
        self.page.close()

    def widgets(self) -> list:
        """The outermost boxes of the widgets that are shown, each with its live sentence."""
        boxes = self.page.locator(".widget-vbox:has([aria-live])")
        boxes.first.wait_for()
        return boxes.all()

    def take_pictures(self) -> None:
        """Pictures of every widget, in both themes and at two widths of the window."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        hide = {800: "collapseLeft", 1280: "expandLeft"}
        for theme in ("Dark", "Light"):
            change = f"execute('apputils:change-theme', {{theme: 'JupyterLab {theme}'}})"
            self.page.evaluate(f"window.jupyterapp.commands.{change}")
            for width in (800, 1280):
                self.page.set_viewport_size({"width": width, "height": 900})
                # a narrow window has no room for the list of files
                self.page.evaluate(f"window.jupyterapp.shell.{hide[width]}()")
                for i, box in enumerate(self.widgets()):
                    box.screenshot(path=SCREENSHOTS / f"{self.name}_{i}_{theme}_{width}.png")
