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


class Notebook:
    """A notebook in a page of the browser; collects what the console complains about."""

    def __init__(self, browser, address: str, name: str):
        self.page = browser.new_page(viewport={"width": 1280, "height": 900})
        self.page.set_default_timeout(PATIENCE)
        self.name = name.removesuffix(".ipynb")
        self.complaints: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(f"{address}/lab/tree/notebooks/{name}")
        self.page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
        self.page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.ready")

    def _hear(self, message) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def run_all(self) -> None:
        """Run every cell, and wait until all have run."""
        self.page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")

    def errors(self) -> list[str]:
        """The error outputs that stand in the notebook."""
        kind = "application/vnd.jupyter.error"
        return self.page.locator(
            f'.jp-OutputArea-output[data-mime-type="{kind}"]'
        ).all_inner_texts()

    def widgets(self) -> list:
        """The outermost boxes of the widgets that are shown, each with its live sentence."""
        return self.page.locator(".widget-vbox:has([aria-live])").all()

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
