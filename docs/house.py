"""Draw how prunekit is built, and count it: the picture and the table of the README.

    python -m docs.house

Writes docs/house.svg and the table between the marks in README.md. The arrows are the imports that
stand in the source; only where each room stands, and what is said of it, is written here.
"""

import ast
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Polygon

ROOT = Path(__file__).resolve().parents[1]
PACKAGE, README, PICTURE = ROOT / "prunekit", ROOT / "README.md", ROOT / "docs" / "house.svg"
BEGIN, END = "<!-- house: python -m docs.house -->", "<!-- /house -->"
STORY = "story"  # the files at the root: one chapter each
ROOF = "classroom"
DOORS = ("__init__", "__main__")  # the public names, the command line: rooms for nobody

# room: where it stands (left, right, floor), its colour, what is in it
ROOMS = {
    ROOF: (-0.3, 12.3, 4.1, "#6A4C93", "data, models, figures, widgets, checks, grader"),
    "pipeline": (0.5, 11.5, 3, "#0B6E8A", "prune(), optimize_ratios(): one loop over the layers"),
    STORY: (1.6, 6.2, 2, "#B34700", "the papers, a file each"),
    "results": (8.2, 11.5, 2, "#3F7D4E", "report, plan, files"),
    "network": (4.4, 11.5, 1, "#2F5F98", "any network: where to cut, what it costs"),
    "algebra": (0.5, 11.5, 0, "#59616B", "one layer in numbers: least squares"),
}
WITHIN = {
    STORY: "the papers, one chapter a file, arrays in and arrays out: `coding`, `unification`, "
    "`biorthogonal`, `reap`, `pro`, `poem`, and the `baselines`",
    "algebra": "one layer in numbers: moments, least squares, what a method is asked and answers",
    "network": "any network: where it can be cut, the walk through it, the cut, what it costs",
    "pipeline": "`prune()` and `optimize_ratios()`: one loop, methods, repairs, budgets",
    "results": "report, plan, files",
    ROOF: "what the course needs beside: data, models, training, figures, widgets, exercises, "
    "grader, leaderboard",
}
HEIGHT, STOREY, GREY, LIGHT = 1.0, 1.52, "#7D8590", "#FFE3A3"


def files(room: str) -> list[Path]:
    """The source files of a room."""
    if room == STORY:
        return sorted(PACKAGE.glob("*.py"))
    return sorted((PACKAGE / room).rglob("*.py"))


def count() -> dict[str, tuple[int, int]]:
    """Files and lines of each room, as the table lists them."""
    return {
        room: (len(files(room)), sum(len(p.read_text("utf-8").splitlines()) for p in files(room)))
        for room in WITHIN
    }


def _rooms_named(path: Path) -> set[str]:
    """The rooms that a file imports from; what it takes from the public names is no room."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for package, first, *_ in (name.split(".") for name in names if name.count(".")):
            if package == "prunekit" and (PACKAGE / first).is_dir():
                found.add(first)
            elif package == "prunekit" and (PACKAGE / f"{first}.py").exists():
                found.add(STORY)
    return found


def arrows() -> set[tuple[str, str]]:
    """(a, b) for each room a with a file that imports from room b."""
    return {
        (room, known)
        for room in ROOMS
        for path in files(room)
        if path.stem not in DOORS
        for known in _rooms_named(path) - {room}
    }


def free_column(above: str, below: str) -> float:
    """Where an arrow falls straight from one room to another: the widest place with none between.

    Raises
    ------
    ValueError
        if there is no such place, or ``below`` is not below
    """
    (left, right, top, *_), (other_left, other_right, floor, *_) = ROOMS[above], ROOMS[below]
    left, right = max(left, other_left), min(right, other_right)
    free = []
    for start, end in sorted(place[:2] for place in ROOMS.values() if floor < place[2] < top):
        free.append((min(start, right) - left, (min(start, right) + left) / 2))
        left = max(left, end)
    width, middle = max([*free, (right - left, (left + right) / 2)])
    if floor >= top or width < 0.5:
        raise ValueError(f"no arrow falls from {above} to {below}: move them in docs/house.py")
    return middle


def _room(axis: Axes, name: str) -> None:
    """A room with its name, what is in it, and a lit window for each of its files."""
    left, right, floor, colour, text = ROOMS[name]
    bottom, middle = floor * STOREY, (left + right) / 2
    if name == ROOF:
        top, eaves = bottom + 1.25, 2.2
        corners = [(left, bottom), (left + eaves, top), (right - eaves, top), (right, bottom)]
        axis.add_patch(Polygon(corners, fc=colour, ec=colour, lw=4, joinstyle="round"))
    else:
        rounded = "round,pad=0,rounding_size=0.1"
        wall = FancyBboxPatch((left, bottom), right - left, HEIGHT, rounded, fc=colour, lw=0)
        axis.add_patch(wall)
    style = {"ha": "center", "va": "center", "color": "white"}
    axis.text(middle, bottom + 0.77, name, weight="bold", size=11.5, **style)
    axis.text(middle, bottom + 0.47, text, size=8.8, **style)
    number = len(files(name))
    apart = min(0.22, (right - left - 0.3) / number)  # closer together where there are many
    windows = [middle + apart * (i - (number - 1) / 2) for i in range(number)]
    look = {"ms": 7 * apart / 0.22, "mew": 0, "color": LIGHT, "gid": f"files-of-{name}"}
    axis.plot(windows, [bottom + 0.2] * number, "s", **look)


def _arrow(axis: Axes, above: str, below: str, x: float, top: float, bottom: float) -> None:
    """An arrow that falls; its name in the file says what it means."""
    style = {"arrowstyle": "-|>", "color": GREY, "lw": 1.6, "shrinkA": 1, "shrinkB": 1}
    note = axis.annotate("", (x, bottom), (x, top), arrowprops=style)
    note.arrow_patch.set_gid(f"{above}-imports-{below}")


def draw(found: set[tuple[str, str]]) -> Figure:
    """The house: arrows fall from the room that imports to the one that is imported.

    The roof imports from all rooms: one arrow, to the wall around them, says so.
    """
    if {below for above, below in found if above == ROOF} != set(ROOMS) - {ROOF}:
        raise ValueError(f"{ROOF} no longer imports from every room: give it an arrow to each")
    figure = Figure(figsize=(8.6, 5.75), facecolor="none")
    axis = figure.add_axes((0, 0, 1, 1))
    top = 3 * STOREY + HEIGHT + 0.3
    rounded = "round,pad=0,rounding_size=0.15"
    axis.add_patch(FancyBboxPatch((0, -0.3), 12, top + 0.3, rounded, fc="none", ec=GREY, lw=1.4))
    for name in ROOMS:
        _room(axis, name)
    _arrow(axis, ROOF, "all", 6, ROOMS[ROOF][2] * STOREY, top)
    for above, below in sorted(found):
        if above != ROOF:
            start, end = ROOMS[above][2] * STOREY, ROOMS[below][2] * STOREY + HEIGHT
            _arrow(axis, above, below, free_column(above, below), start, end)
    axis.set(xlim=(-0.4, 12.4), ylim=(-0.4, 7.6), aspect="equal")
    axis.axis("off")
    return figure


def save(figure: Figure) -> None:
    """The same bytes for the same house: no date, no random names; letters as outlines."""
    with matplotlib.rc_context({"svg.hashsalt": "house", "svg.fonttype": "path"}):
        figure.savefig(PICTURE, metadata={"Date": None, "Title": "How prunekit is built"})


def table(counted: dict[str, tuple[int, int]]) -> str:
    """The table of the README, lines in hundreds."""
    rows = ["| folder of `prunekit/` | what is in it | files | lines |", "|---|---|---:|---:|"]
    for room, (number, lines) in counted.items():
        folder = "`*.py`, the story" if room == STORY else f"`{room}/`"
        rows.append(f"| {folder} | {WITHIN[room]} | {number} | {round(lines, -2):,} |")
    return "\n".join(rows)


def main() -> None:
    save(draw(arrows()))
    before, rest = README.read_text("utf-8").split(BEGIN)
    text = f"{before}{BEGIN}\n\n{table(count())}\n\n{END}{rest.split(END)[1]}"
    README.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
