"""Every lesson is whole: four files, exercises that are checked, hints that fit the mistakes.

A rule is a function from a lesson to its complaints. Each one is also shown a lesson that breaks
it, and has to notice.
"""

import ast
import contextlib
import importlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbclient
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from prunekit.classroom import (
    checks,
    exercises,  # noqa: F401  (they register themselves)
)
from prunekit.classroom import lessons as maker
from prunekit.classroom.checks import EXERCISES, exercise, verdict
from prunekit.classroom.grading.plain import decode, encode

ROOT = Path(__file__).parents[1]
LESSONS = sorted(path for path in (ROOT / "lessons").iterdir() if path.is_dir())
FILES = ("solution.ipynb", "exercise.ipynb", "quiz.md", "teach.md")
SECTIONS = ("Objectives", "50 minutes", "90 minutes", "On the board", "Usual misconceptions")
SECTIONS += ("Answers", "Grading")
SEEDS = (0, 1, 2, 3, 4, 543_210)


@dataclass(frozen=True)
class Task:
    """An exercise as a notebook puts it: what its heading's cell says, and the two cells after."""

    number: int
    text: str
    code: str
    check: str

    @property
    def function(self) -> ast.FunctionDef | None:
        """The function to write: the last one of the cell that is an exercise's."""
        try:
            body = ast.parse(self.code).body
        except SyntaxError:
            return None
        found = [n for n in body if isinstance(n, ast.FunctionDef) and n.name in EXERCISES]
        return found[-1] if found else None


@dataclass(frozen=True)
class Lesson:
    """A lesson's folder."""

    path: Path

    def text(self, name: str) -> str:
        path = self.path / name
        return path.read_text("utf-8") if path.exists() else ""

    @cached_property
    def solution(self) -> nbformat.NotebookNode:
        path = self.path / "solution.ipynb"
        return nbformat.read(path, as_version=4) if path.exists() else new_notebook()

    @cached_property
    def tasks(self) -> list[Task]:
        found, cells = [], self.solution.cells
        for i, cell in enumerate(cells):
            heading = re.search(r"^## Exercise (\d+): \S.*", cell.source, flags=re.M | re.S)
            if cell.cell_type == "markdown" and heading:
                code, check = [
                    c.source if c.cell_type == "code" else ""
                    for c in [*cells[i + 1 : i + 3], new_markdown_cell(), new_markdown_cell()][:2]
                ]
                found.append(Task(int(heading[1]), heading[0], code, check))
        return found

    @property
    def names(self) -> list[str]:
        return [task.function.name for task in self.tasks if task.function]


Rule = Callable[[Lesson], Iterator[str]]
RULES: dict[str, Rule] = {}


def rule(function: Rule) -> Rule:
    RULES[function.__name__] = function
    return function


@rule
def four_files(lesson):
    for name in FILES:
        if not (lesson.path / name).is_file():
            yield f"it has no {name}"


@rule
def four_to_six_exercises(lesson):
    if not 4 <= len(lesson.tasks) <= 6:
        yield f"it has {len(lesson.tasks)} headings '## Exercise N: …', 4 to 6 are expected"


@rule
def numbered_from_one(lesson):
    numbers = [task.number for task in lesson.tasks]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"its exercises have the numbers {numbers}"


@rule
def difficulty_and_minutes(lesson):
    for task in lesson.tasks:
        if not re.search(r"^difficulty: (●○○|●●○|●●●) · \d+ min( · open)?$", task.text, flags=re.M):
            yield f"exercise {task.number} has no line 'difficulty: ●●○ · 8 min'"


@rule
def what_it_returns(lesson):
    for task in lesson.tasks:
        if not re.search(r"\bReturns: \S", task.text):
            yield f"exercise {task.number} does not say what it returns"


@rule
def two_hints(lesson):
    for task in lesson.tasks:
        hints = re.findall(
            r"<details>\s*<summary>Hint (\d)</summary>\n\n(?:(?!<details>).)+?</details>",
            task.text,
            flags=re.S,
        )
        if hints != ["1", "2"]:
            yield f"exercise {task.number} has the hints {hints}: two, with a blank line, expected"


@rule
def a_typed_function_of_this_lesson(lesson):
    for task in lesson.tasks:
        function = task.function
        if function is None:
            yield f"the cell after exercise {task.number} defines none of the exercises' functions"
            continue
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        if function.returns is None or any(one.annotation is None for one in arguments):
            yield f"{function.name} lacks type hints"
        if not ast.get_docstring(function):
            yield f"{function.name} has no docstring"
        if "# BEGIN SOLUTION" not in task.code:
            yield f"{function.name} has no blank"
        if EXERCISES[function.name].lesson != lesson.path.name:
            yield f"{function.name} is registered for {EXERCISES[function.name].lesson}"


@rule
def a_check_alone(lesson):
    for task, name in zip(lesson.tasks, lesson.names, strict=False):
        if task.check.strip() != f"check({name})":
            yield f"after exercise {task.number} comes {task.check!r}, expected check({name})"


@rule
def every_registered_exercise_is_in_it(lesson):
    wanted = [n for n, known in EXERCISES.items() if known.lesson == lesson.path.name]
    if wanted != lesson.names:
        yield f"its exercises are {lesson.names}, registered are {wanted}, in this order"


@rule
def a_learners_name_is_never_bound_again(lesson):
    """A grader would take what a later cell calls by that name for the learner's own."""
    bound = [name for cell in lesson.solution.cells for name in _bound(cell)]
    for name in lesson.names:
        if bound.count(name) != 1:
            yield f"{name} is bound {bound.count(name)} times"


def _bound(cell: nbformat.NotebookNode) -> list[str]:
    if cell.cell_type != "code":
        return []
    body = ast.parse(cell.source).body
    names = [n.name for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    for node in (inner for outer in body for inner in ast.walk(outer)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names += [alias.asname or alias.name for alias in node.names]
    stores = (
        n for outer in body if not isinstance(outer, ast.FunctionDef) for n in ast.walk(outer)
    )
    return names + [
        n.id for n in stores if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    ]


@rule
def exercise_is_made_from_solution(lesson):
    if nbformat.reads(lesson.text("exercise.ipynb") or "{}", as_version=4) != maker.exercise_of(
        lesson.solution
    ):
        yield "exercise.ipynb is not what `python -m prunekit.classroom.lessons` makes"


@rule
def five_questions(lesson):
    quiz = lesson.text("quiz.md")
    numbers = [int(n) for n in re.findall(r"^(?:#+ )?(?:\*\*)?(\d+)\. ?", quiz, flags=re.M)]
    if numbers != [1, 2, 3, 4, 5]:
        yield f"quiz.md has the questions {numbers}, five are expected"
    answers = re.findall(r"<details>\s*<summary>Answer</summary>\n\s*\n(.+?)</details>", quiz, re.S)
    if len(answers) != 5 or quiz.count("<details>") != 5:
        yield f"quiz.md has {len(answers)} answers in <details>, five are expected"
    if not quiz.startswith("# Quiz: "):
        yield "quiz.md does not begin with '# Quiz: '"


@rule
def a_teachers_guide(lesson):
    guide = lesson.text("teach.md")
    found = re.findall(r"^## (.+?)\s*$", guide, flags=re.M)
    if not guide.startswith("# Teach: ") or [s for s in found if s in SECTIONS] != list(SECTIONS):
        yield f"teach.md has the sections {found}, expected after '# Teach: …' are {SECTIONS}"
    for title in SECTIONS[1:3]:
        part = guide.partition(f"## {title}")[2].partition("\n## ")[0]
        if not re.search(r"^\|.*\|\n\|[-:| ]+\|", part, flags=re.M):
            yield f"teach.md has no table under '## {title}'"


@rule
def links_resolve(lesson):
    texts = {name: lesson.text(name) for name in ("quiz.md", "teach.md")}
    cells = (c.source for c in lesson.solution.cells if c.cell_type == "markdown")
    texts["solution.ipynb"] = "\n".join(cells)
    for name, text in texts.items():
        for link in re.findall(r"\]\(([^)\s]+)", text) + re.findall(r'href="([^"]+)"', text):
            if re.match(r"(https?|mailto):|#", link):
                continue
            if not (lesson.path / link.partition("#")[0]).exists():
                yield f"{name}: its link to {link} leads nowhere"


# The lessons -----------------------------------------------------------------------------------


def test_there_are_lessons():
    wanted = ("02-neuro-coding", "03-neuro-unification", "04-biorthogonal-least-squares")
    wanted += ("05-reap", "06-pro", "07-compare")
    assert tuple(path.name for path in LESSONS) == wanted


def test_every_exercise_has_a_lesson():
    assert {known.lesson for known in EXERCISES.values()} == {path.name for path in LESSONS}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.name)
def test_lesson(path, name):
    complaints = list(RULES[name](Lesson(path)))
    assert not complaints, f"{path.name}: " + "; ".join(complaints)


def executed(notebook: nbformat.NotebookNode, folder: Path) -> list[str]:
    """What each code cell printed; an error stops it, as it stops a learner who runs all."""
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return [
        "".join(output.get("text", "") for output in cell.outputs)
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.name)
def test_an_exercise_notebook_runs_through_before_anything_is_solved(path):
    notebook = nbformat.read(path / "exercise.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    printed = "\n".join(executed(notebook, path)).splitlines()
    verdicts = [line for line in printed if line[:1] in ("✓", "✗", "○")]
    assert verdicts == [f"○ {name}: not started" for name in Lesson(path).names]


@pytest.fixture(scope="module")
def solved():
    """What a lesson's solution defines: a namespace per lesson, made once, nothing computed."""
    known = {}

    def definitions(path: Path) -> dict:
        if path not in known:
            known[path] = {}
            for cell in Lesson(path).solution.cells:
                if cell.cell_type == "code":
                    for node in filter(_is_definition, ast.parse(cell.source).body):
                        with contextlib.suppress(NameError):  # made of data that is not here
                            exec(compile(ast.Module([node], []), path.name, "exec"), known[path])
        return known[path]

    return definitions


def _is_definition(node: ast.stmt) -> bool:
    """An import, a function, a class; or a name for a constant: ``F64 = torch.float64``."""
    if isinstance(node, ast.Assign):
        return not any(isinstance(inner, ast.Call) for inner in ast.walk(node))
    return isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)


def mistakes(name: str) -> list[tuple[Callable, str]]:
    topic = EXERCISES[name].test.__module__.rpartition(".")[2]
    return importlib.import_module(f"tests.wrong_answers.{topic}").WRONG[name]


def handed_over(function: Callable) -> Callable:
    """The same function, all it gets and returns told as plain data, as the grader does."""

    def answer(*inputs, **options):
        inputs, options = decode(json.loads(json.dumps(encode((inputs, options)))))
        return decode(json.loads(json.dumps(encode(function(*inputs, **options)))))

    return answer


@pytest.mark.parametrize("name", EXERCISES)
def test_an_exercise(name, solved):
    def blank(*inputs, **options):
        raise NotImplementedError

    assert verdict(blank, name=name).status == "not started"
    answer = solved(ROOT / "lessons" / EXERCISES[name].lesson)[name]
    for seed in SEEDS:
        found = verdict(answer, seed)
        assert found.status == "correct", f"seed {seed}: {found}"
    found = verdict(handed_over(answer), name=name)
    assert (found.status == "correct") == EXERCISES[name].plain, found


def test_the_readme_names_the_exercises_whose_verdicts_can_be_forged():
    (name,) = (name for name, exercise in EXERCISES.items() if not exercise.plain)
    text = (ROOT / "lessons" / "README.md").read_text("utf-8")
    assert f"`{name}` (lesson {EXERCISES[name].lesson[:2]})" in " ".join(text.split())


@pytest.mark.parametrize("name", EXERCISES)
def test_usual_mistakes_get_their_own_hints(name):
    wrong = mistakes(name)
    phrases = [phrase for _, phrase in wrong]
    assert len(wrong) >= 2 and len(set(phrases)) >= 2
    for function, phrase in wrong:
        for seed in SEEDS[:3]:
            found = verdict(function, seed, name=name)
            assert found.status == "not yet", f"{function.__name__}, seed {seed}: {found}"
            assert phrase in found.message, f"{function.__name__}, seed {seed}: {found}"


# The rules themselves --------------------------------------------------------------------------

NAMES = ("first", "second", "third", "fourth")
BLANK = "    # BEGIN SOLUTION\n    return x\n    # END SOLUTION"


@pytest.fixture
def good(tmp_path, monkeypatch) -> Path:
    """A lesson without a fault, and its exercises for the time of a test."""
    known = dict(EXERCISES)
    EXERCISES.clear()
    monkeypatch.setattr(checks, "EXERCISES", EXERCISES)
    for name in NAMES:

        def test(answer):
            answer.expect(answer(1.0), 1.0, "Return it.")

        test.__name__ = name
        exercise("98-crafted")(test)
    folder = tmp_path / "98-crafted"
    folder.mkdir()
    write(folder, good_notebook())
    sections = "\n\n".join(f"## {name}\n\n| a | b |\n|---|---|\n| 1 | 2 |" for name in SECTIONS)
    (folder / "teach.md").write_text(f"# Teach: it\n\n{sections}\n", "utf-8")
    answer = "<details><summary>Answer</summary>\n\nyes\n</details>"
    quiz = "\n\n".join(f"{i}. Why? [it](solution.ipynb#x)\n\n{answer}" for i in range(1, 6))
    (folder / "quiz.md").write_text(f"# Quiz: it\n\n{quiz}\n", "utf-8")
    yield folder
    EXERCISES.clear()
    EXERCISES.update(known)


def good_notebook() -> nbformat.NotebookNode:
    cells = [new_markdown_cell("# Exercises: do it")]
    cells += [new_code_cell("from prunekit.classroom.checks import check\nimport math")]
    for number, name in enumerate(NAMES, 1):
        hints = "\n\n".join(
            f"<details><summary>Hint {n}</summary>\n\nthink\n</details>" for n in (1, 2)
        )
        text = (
            f"Before.\n\n## Exercise {number}: Do it\n\ndifficulty: ●●○ · 8 min\n\nReturns: x\n\n"
        )
        stub = f'def {name}(x: float) -> float:\n    """x."""\n{BLANK}'
        cells += [new_markdown_cell(text + hints), new_code_cell(stub)]
        cells += [new_code_cell(f"check({name})")]
    return new_notebook(cells=cells)


def write(folder: Path, notebook: nbformat.NotebookNode) -> None:
    nbformat.write(notebook, folder / "solution.ipynb")
    nbformat.write(maker.exercise_of(notebook), folder / "exercise.ipynb")


def cell(number: int, old: str, new: str) -> Callable:
    """A fault: this cell of the solution has ``new`` for ``old``."""

    def spoil(folder):
        notebook = good_notebook()
        assert old in notebook.cells[number].source
        notebook.cells[number].source = notebook.cells[number].source.replace(old, new)
        write(folder, notebook)

    return spoil


def file(name: str, old: str, new: str) -> Callable:
    """A fault: this file has ``new`` for ``old``."""

    def spoil(folder):
        text = (folder / name).read_text("utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), "utf-8")

    return spoil


FAULTS: list[tuple[str, Callable]] = [
    *(("four_files", lambda folder, name=name: (folder / name).unlink()) for name in FILES),
    ("four_to_six_exercises", cell(2, "## Exercise 1: Do it", "## Exercise: Do it")),
    ("numbered_from_one", cell(5, "Exercise 2", "Exercise 3")),
    ("difficulty_and_minutes", cell(2, "●●○", "●●")),
    ("difficulty_and_minutes", cell(2, " min", "")),
    ("what_it_returns", cell(2, "Returns", "returns")),
    ("two_hints", cell(2, "Hint 2", "Hint 3")),
    ("two_hints", cell(2, "Hint 1</summary>\n\n", "Hint 1</summary>\n")),
    ("a_typed_function_of_this_lesson", cell(3, "x: float", "x")),
    ("a_typed_function_of_this_lesson", cell(3, " -> float", "")),
    ("a_typed_function_of_this_lesson", cell(3, '"""x."""', "x")),
    ("a_typed_function_of_this_lesson", cell(3, "def first", "def other")),
    ("a_typed_function_of_this_lesson", cell(3, BLANK, "    return x")),
    ("a_check_alone", cell(4, "check(first)", "check(first)\nprint(1)")),
    ("a_check_alone", cell(4, "check(first)", "check(second)")),
    ("every_registered_exercise_is_in_it", cell(3, "def first", "def other")),
    ("a_learners_name_is_never_bound_again", cell(1, "import math", "first = 1")),
    ("a_learners_name_is_never_bound_again", cell(1, "import math", "import math as second")),
    ("a_learners_name_is_never_bound_again", cell(1, "import math", "for third in []: pass")),
    ("exercise_is_made_from_solution", file("exercise.ipynb", "think", "think again")),
    ("exercise_is_made_from_solution", lambda f: shutil.copy(f / FILES[0], f / FILES[1])),
    ("five_questions", file("quiz.md", "5. Why", "6. Why")),
    ("five_questions", file("quiz.md", "<summary>Answer</summary>", "")),
    ("five_questions", file("quiz.md", "# Quiz: ", "# Quiz ")),
    ("a_teachers_guide", file("teach.md", "## On the board", "## Board")),
    ("a_teachers_guide", file("teach.md", "# Teach: ", "# ")),
    ("a_teachers_guide", file("teach.md", "## 90 minutes\n\n| a", "## 90 minutes\n\n a")),
    ("links_resolve", file("quiz.md", "solution.ipynb", "missing.ipynb")),
    ("links_resolve", cell(0, "do it", "[do it](missing.md)")),
]


def test_a_good_lesson_passes_every_rule(good):
    lesson = Lesson(good)
    assert {name: list(check(lesson)) for name, check in RULES.items()} == {n: [] for n in RULES}


def test_every_rule_is_put_to_the_test():
    assert {name for name, _ in FAULTS} == set(RULES)


@pytest.mark.parametrize(("name", "spoil"), FAULTS, ids=[name for name, _ in FAULTS])
def test_a_rule_notices_its_fault(good, name, spoil):
    spoil(good)
    assert list(RULES[name](Lesson(good)))


def test_the_maker_of_exercises(good, capsys):
    made = maker.exercise_of(good_notebook())
    assert "    # YOUR CODE HERE\n    raise NotImplementedError" in made.cells[3].source
    assert "SOLUTION" not in nbformat.writes(made)
    (good / "exercise.ipynb").unlink()
    maker.main(str(good.parent))
    assert capsys.readouterr().out.strip() == str(good / "exercise.ipynb")
    assert not list(RULES["exercise_is_made_from_solution"](Lesson(good)))


@pytest.mark.parametrize("source", ["# BEGIN SOLUTION\n1", "1\n# END SOLUTION"])
def test_a_solution_that_is_not_closed_is_refused(source):
    with pytest.raises(ValueError, match="not closed"):
        maker.exercise_of(new_notebook(cells=[new_code_cell(source)]))


# The teacher's first page ----------------------------------------------------------------------


def test_the_readme_leads_somewhere_and_knows_every_lesson():
    text = (ROOT / "lessons" / "README.md").read_text("utf-8")
    links = re.findall(r"\]\(([^)\s]+)", text)
    for link in links:
        assert link.startswith("https://doi.org/") or (ROOT / "lessons" / link).exists(), link
    for path in LESSONS:
        assert {f"{path.name}/exercise.ipynb", f"{path.name}/teach.md"} <= set(links)
    for option in set(re.findall(r"`(--\w+)", text)):
        assert f'"{option}"' in (ROOT / "prunekit" / "__main__.py").read_text("utf-8"), option
