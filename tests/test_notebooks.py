"""Every notebook keeps the rules of the course; nbval, run by pytest beside this, checks outputs.

A rule is a function from a notebook to its complaints. Each one is also shown a notebook that
breaks it, and has to notice.
"""

import ast
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).parents[1]
WALKTHROUGHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SOLUTIONS = sorted((ROOT / "lessons").glob("**/solution.ipynb"))

MAX_KB, MAX_LINES, MAX_WORDS, MAX_CELLS = 200, 25, 1200, 45
MIN_CELLS = {"00_start_here.ipynb": 20}  # the map is shorter than a walkthrough
SECTIONS = ("You will", "You need", "Notation", "Try it", "What we learned", "In practice")
SECTIONS += ("Check yourself", "References")


@dataclass(frozen=True)
class Page:
    """A notebook and where it lies."""

    path: Path

    @cached_property
    def raw(self) -> str:
        return self.path.read_text("utf-8")

    @cached_property
    def notebook(self) -> nbformat.NotebookNode:
        return nbformat.reads(self.raw, as_version=4)

    @property
    def code(self) -> list[tuple[int, nbformat.NotebookNode]]:
        """(number in the notebook, cell) of every code cell."""
        return [(i, c) for i, c in enumerate(self.notebook.cells, 1) if c.cell_type == "code"]

    @property
    def outputs(self) -> list[tuple[int, nbformat.NotebookNode]]:
        return [(i, output) for i, cell in self.code for output in cell.outputs]

    @property
    def prose(self) -> str:
        """All Markdown, without the code fenced in it."""
        cells = (c.source for c in self.notebook.cells if c.cell_type == "markdown")
        return re.sub(r"^```.*?^```", "", "\n\n".join(cells), flags=re.M | re.S)

    @property
    def links(self) -> list[str]:
        return re.findall(r"\]\(([^)\s]+)", self.prose) + re.findall(r'href="([^"]+)"', self.prose)


Rule = Callable[[Page], Iterator[str]]
RULES: dict[str, Rule] = {}
OF_WALKTHROUGHS = set()  # rules that lessons do not have to keep


def rule(function: Rule) -> Rule:
    RULES[function.__name__] = function
    return function


def rule_of_walkthroughs(function: Rule) -> Rule:
    OF_WALKTHROUGHS.add(function.__name__)
    return rule(function)


@rule
def kernel_is_python3(page):
    name = page.notebook.metadata.get("kernelspec", {}).get("name")
    if name != "python3":
        yield f"its kernel is {name!r}, expected 'python3'"


@rule
def cells_ran_in_order(page):
    counts = [cell.execution_count for _, cell in page.code]
    if counts != list(range(1, len(counts) + 1)):
        yield f"its code cells ran as {counts}: restart the kernel, run all, save"


@rule
def no_error_is_stored(page):
    for number, output in page.outputs:
        if output.output_type == "error":
            yield f"cell {number} ended in {output.ename}"


@rule
def no_bars_or_warnings_are_stored(page):
    for number, output in page.outputs:
        if output.get("name") == "stderr":
            yield f"cell {number} wrote to stderr: {output.text[:60]!r}; pass progress=False"


@rule
def no_semicolon_at_the_end(page):
    for number, cell in page.code:
        if cell.source.rstrip().endswith(";"):
            yield f"cell {number} ends with a semicolon, which hides its output"


@rule
def no_shell_and_no_magic(page):
    for number, cell in page.code:
        for line in re.findall(r"^\s*[!%].*", cell.source, flags=re.M):
            yield f"cell {number} has {line.strip()!r}; write it in Python"


@rule
def code_is_python(page):
    for number, cell in page.code:
        try:
            ast.parse(cell.source)
        except SyntaxError as error:
            yield f"cell {number}: {error}"


@rule
def no_widget_state(page):
    if "widgets" in page.notebook.metadata:
        yield "it holds widget state: clear it, and keep a static twin"
    for number, output in page.outputs:
        if any("widget" in kind for kind in output.get("data", {})):
            yield f"cell {number} stores a widget: keep a static twin"


@rule
def small_file(page):
    size = page.path.stat().st_size / 1024
    if size > MAX_KB:
        yield f"it has {size:.0f} KB, at most {MAX_KB} are allowed"


@rule
def short_cells(page):
    for number, cell in page.code:
        lines = len(cell.source.splitlines())
        if lines > MAX_LINES:
            yield f"cell {number} has {lines} lines, at most {MAX_LINES} are allowed"


@rule_of_walkthroughs
def few_words(page):
    # links, formulas and tags are not read as words
    text = re.sub(r"\]\([^)]*\)|\$\$.*?\$\$|\$[^$]*\$|<[^>]*>", " ", page.prose, flags=re.S)
    words = len(re.findall(r"[A-Za-z][\w'’-]*", text))
    if words > MAX_WORDS:
        yield f"it has {words} words, at most {MAX_WORDS} are allowed"


@rule_of_walkthroughs
def right_number_of_cells(page):
    cells, least = len(page.notebook.cells), MIN_CELLS.get(page.path.name, 30)
    if not least <= cells <= MAX_CELLS:
        yield f"it has {cells} cells, {least} to {MAX_CELLS} are allowed"


@rule
def one_title(page):
    titles = re.findall(r"^# .*", page.prose, flags=re.M)
    if len(titles) != 1 or not page.notebook.cells[0].source.startswith("# "):
        yield f"it needs one title, in its first cell; it has {titles}"


@rule
def figures_have_sentences(page):
    for number, cell in page.code:
        for call in _calls(cell.source):
            name = getattr(call.func, "attr", getattr(call.func, "id", None))
            if name == "show" and not any(word.arg == "alt" for word in call.keywords):
                yield f"cell {number} calls show() without alt="


def _calls(source: str) -> list[ast.Call]:
    try:
        return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    except SyntaxError:  # that is for code_is_python to say
        return []


@rule
def no_image_from_the_net(page):
    # Markdown or HTML images, in prose or outputs
    for found in re.findall(
        r'!\[[^\]]*\]\(\s*(?:https?:)?//|<img[^>]*src=\\?["\']?(?:https?:)?//|url=\\?["\']https?://',
        page.raw,
    ):
        yield f"it shows an image from the net: {found!r}"


@rule
def no_absolute_path(page):
    # "/folder/file", "~/file", "C:\file" or "file://" at the start of a word
    pattern = r"(?:^|[\s\"'(`=,:])((?:/[\w.+-]+){2,}|~/[\w.]+|[A-Za-z]:\\\w+|file://)"
    for number, cell in enumerate(page.notebook.cells, 1):
        texts = [cell.source] + [_text(output) for output in cell.get("outputs", [])]
        for found in re.findall(pattern, "\n".join(texts), flags=re.M):
            yield f"cell {number} names {found!r}"


def _text(output: nbformat.NotebookNode) -> str:
    """All that an output says in words."""
    data = [value for kind, value in output.get("data", {}).items() if "image/" not in kind]
    parts = [output.get("text", ""), *data, *output.get("traceback", [])]
    return "\n".join(part if isinstance(part, str) else json.dumps(part) for part in parts)


@rule_of_walkthroughs
def sections_are_there(page):
    for name in SECTIONS:
        if not re.search(rf"^(#+ .*|\*\*){name}", page.prose, flags=re.M):
            yield f"it has no section {name!r}"


@rule
def minutes_are_declared(page):
    if not re.search(r"^\W*time: \d+ min", page.notebook.cells[0].source, flags=re.M):
        yield "its first cell does not say 'time: N min to read, N s to compute'"


@rule_of_walkthroughs
def head_says_whose_it_is(page):
    head = "".join(cell.source for cell in page.notebook.cells[:3])
    if "Nothing here comes from the three papers" not in head:
        for mark in ("[abstract]", "[derived]", "[choice]"):
            if mark not in head:
                yield f"its first three cells do not say what is {mark}"


@rule_of_walkthroughs
def neighbours_are_named(page):
    last = page.notebook.cells[-1].source
    number = page.path.name[:2]
    wanted = {"00": ("next:",), "90": ("previous:",)}.get(number, ("previous:", "next:"))
    for word in wanted:
        if word not in last.lower():
            yield f"its last cell has no {word!r}"
    if not any(link.endswith(".ipynb") for link in re.findall(r"\]\(([^)]+)", last)):
        yield "its last cell links to no notebook"


@rule
def links_resolve(page):
    for link in page.links:
        if re.match(r"(https?|mailto):|#", link):
            continue
        if not (page.path.parent / link.partition("#")[0]).exists():
            yield f"its link to {link} leads nowhere"


# The notebooks of the course -------------------------------------------------------------------


def test_there_are_notebooks():
    assert WALKTHROUGHS


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    "path", WALKTHROUGHS + SOLUTIONS, ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_notebook(path, name):
    if path in SOLUTIONS and name in OF_WALKTHROUGHS:
        pytest.skip("a rule of walkthroughs")
    complaints = list(RULES[name](Page(path)))
    assert not complaints, f"{path.relative_to(ROOT)}: " + "; ".join(complaints)


@pytest.mark.parametrize(
    "path", WALKTHROUGHS + SOLUTIONS, ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_notebook_is_valid(path):
    nbformat.validate(nbformat.read(path, as_version=4))


# The rules themselves --------------------------------------------------------------------------


def good() -> nbformat.NotebookNode:
    """A notebook without a fault."""
    first = "# Count\n\ntime: 5 min to read, 1 s to compute [abstract] [derived] [choice]"
    sections = "\n\n".join(f"## {name}" for name in SECTIONS)
    code = new_code_cell(
        "show(figure, alt='one bar')",
        execution_count=1,
        outputs=[new_output("stream", name="stdout", text="one bar, 1/2 and/or 3/4/5\n")],
    )
    middle = [new_markdown_cell("$a$ [paper](https://doi.org/1) </details>") for _ in range(28)]
    last = "previous: [a](neighbour.ipynb) · next: [b](neighbour.ipynb#part)"
    return new_notebook(
        cells=[new_markdown_cell(first), code, new_markdown_cell(sections), *middle]
        + [new_markdown_cell(last)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )


def write(notebook: nbformat.NotebookNode, folder: Path) -> Page:
    (folder / "neighbour.ipynb").touch()
    path = folder / "01_a.ipynb"
    path.write_text(nbformat.writes(notebook), "utf-8")
    return Page(path)


def code(source: str, *outputs: nbformat.NotebookNode) -> Callable:
    """A fault: the code cell says this, and has these outputs."""

    def spoil(notebook):
        notebook.cells[1].source = source
        notebook.cells[1].outputs = list(outputs)

    return spoil


def prose(source: str, cell: int = 3) -> Callable:
    """A fault: a Markdown cell says this."""
    return lambda notebook: notebook.cells[cell].update(source=source)


def stream(text: str, name: str = "stdout") -> nbformat.NotebookNode:
    return new_output("stream", name=name, text=text)


WIDGET = "application/vnd.jupyter.widget-view+json"
IMAGE = '<img src="https://host/a.png">'
FAULTS: list[tuple[str, Callable]] = [
    ("kernel_is_python3", lambda n: n.metadata["kernelspec"].update(name="mine")),
    ("kernel_is_python3", lambda n: n.metadata.pop("kernelspec")),
    ("cells_ran_in_order", lambda n: n.cells[1].update(execution_count=2)),
    ("cells_ran_in_order", lambda n: n.cells[1].update(execution_count=None)),
    (
        "no_error_is_stored",
        code("1 / 0", new_output("error", ename="Zero", evalue="", traceback=[])),
    ),
    ("no_bars_or_warnings_are_stored", code("1", stream("50%|██", "stderr"))),
    ("no_semicolon_at_the_end", code("plot(x); \n")),
    ("no_shell_and_no_magic", code("x = 1\n!ls")),
    ("no_shell_and_no_magic", code("%pip install x")),
    ("code_is_python", code("def f(:")),
    ("no_widget_state", lambda n: n.metadata.update(widgets={})),
    ("no_widget_state", code("1", new_output("display_data", data={WIDGET: {}}))),
    ("small_file", code("1", stream("x" * 1024 * MAX_KB))),
    ("short_cells", code("x = 1\n" * (MAX_LINES + 1))),
    ("few_words", prose("word " * (MAX_WORDS + 1))),
    ("right_number_of_cells", lambda n: n.cells.pop(5) and n.cells.pop(5) and n.cells.pop(5)),
    ("right_number_of_cells", lambda n: n.cells.extend(new_markdown_cell("x") for _ in range(20))),
    ("one_title", prose("# Another title")),
    ("one_title", prose("No title. time: 5 min", cell=0)),
    ("figures_have_sentences", code("figures.show(figure)")),
    ("figures_have_sentences", code("show(figure, 'one bar')")),
    ("no_image_from_the_net", prose("![a](http://host/a.png)")),
    ("no_image_from_the_net", prose(IMAGE)),
    ("no_image_from_the_net", code("1", new_output("display_data", data={"text/html": IMAGE}))),
    ("no_absolute_path", prose("see `/home/someone/file`")),
    ("no_absolute_path", code("open('~/file')")),
    ("no_absolute_path", code("1", stream(r"C:\Users\someone"))),
    ("no_absolute_path", code("1", stream("/opt/python/lib/x.py:3: Warning"))),
    ("sections_are_there", lambda n: n.cells.pop(2)),
    ("minutes_are_declared", prose("# Count", cell=0)),
    ("head_says_whose_it_is", prose("# Count [abstract] [choice]", cell=0)),
    ("neighbours_are_named", prose("next: [b](neighbour.ipynb)", cell=-1)),
    ("neighbours_are_named", prose("previous: a · next: b", cell=-1)),
    ("links_resolve", prose("[a](missing.ipynb)")),
    ("links_resolve", prose('<a href="missing.md">a</a>')),
]


def test_a_good_notebook_passes_every_rule(tmp_path):
    page = write(good(), tmp_path)
    assert {name: list(check(page)) for name, check in RULES.items()} == {
        name: [] for name in RULES
    }


def test_every_rule_is_put_to_the_test():
    assert {name for name, _ in FAULTS} == set(RULES)


@pytest.mark.parametrize(("name", "spoil"), FAULTS, ids=[name for name, _ in FAULTS])
def test_a_rule_notices_its_fault(tmp_path, name, spoil):
    notebook = good()
    spoil(notebook)
    assert list(RULES[name](write(notebook, tmp_path)))
