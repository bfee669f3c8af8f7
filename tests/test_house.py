"""The picture and the table of how prunekit is built: true, and the same as the source."""

import os
import re

import pytest

from docs import house

from .test_architecture import CHAPTERS, CLASSROOM, FILES, ROOMS, ROOT, STORY, imported, room
from .test_readme import TEXT

ROOF = ("classroom", "all")  # one arrow, to the wall around all other rooms
AGAIN = "the house has changed: run  python -m docs.house"


def test_its_arrows_are_those_that_are_allowed():
    allowed = {(name, known) for name, knows in ROOMS.items() for known in knows}
    allowed |= {(STORY, room(known)) for knows in CHAPTERS.values() for known in knows}
    allowed |= {("classroom", room(known)) for known in CLASSROOM}
    assert house.arrows() == {(a, b) for a, b in allowed if a != b}


def test_its_arrows_are_what_another_reader_finds():
    found = set()
    for path in FILES:
        name = ".".join(path.with_suffix("").parts)
        if path.stem not in ("__init__", "__main__"):
            found |= {(room(name), room(known)) for known in imported(path)}
    assert house.arrows() == {(a, b) for a, b in found if a != b}


def test_the_table_counts_what_is_there():
    table = TEXT.split(house.BEGIN)[1].split(house.END)[0]
    rows = re.findall(r"^\| `([*\w]+)[/.].*\| (\d+) \| ([\d,]+) \|$", table, re.M)
    assert {name for name, *_ in rows} == {"*", *ROOMS, "classroom"} - {STORY}
    for name, files, lines in rows:
        folder = ROOT if name == "*" else ROOT / name
        found = [
            os.path.join(where, file)
            for where, _, names in os.walk(folder)
            for file in names
            if file.endswith(".py") and (name != "*" or where == str(ROOT))
        ]
        counted = 0
        for path in found:
            with open(path, "rb") as file:
                counted += sum(1 for _ in file)
        assert len(found) == int(files), f"{name}: {AGAIN}"
        assert abs(counted - int(lines.replace(",", ""))) <= 150, f"{name}: {AGAIN}"


def test_the_picture_shows_these_files_and_arrows():
    picture = house.PICTURE.read_text("utf-8")
    shown = set(re.findall(r'<g id="(\w+)-imports-(\w+)"', picture))
    assert shown == {(a, b) for a, b in house.arrows() if a != "classroom"} | {ROOF}, AGAIN
    for name in (STORY, *ROOMS, "classroom"):
        windows = re.search(rf'<g id="files-of-{name}">.*?</g>\s*</g>', picture, re.S)[0]
        assert windows.count("<use ") == len(house.files(name)), f"{name}: {AGAIN}"
    assert len(picture) < 60_000


def test_an_arrow_falls_where_no_room_is_in_between():
    for above, below in house.arrows():
        x = house.free_column(above, below) if above != "classroom" else None
        for left, right, floor, *_ in house.ROOMS.values() if x else ():
            between = house.ROOMS[below][2] < floor < house.ROOMS[above][2]
            assert not (between and left <= x <= right)
    with pytest.raises(ValueError, match="no arrow falls from algebra to network"):
        house.free_column("algebra", "network")


def test_no_word_leaves_its_room():
    figure = house.draw(house.arrows())
    figure.draw_without_rendering()
    (axis,) = figure.axes
    boxes = [text.get_window_extent() for text in axis.texts if text.get_text()]
    _, *walls = (patch.get_window_extent() for patch in axis.patches)
    assert len(boxes) == 2 * len(walls) == 2 * len(house.ROOMS)
    for name, text, wall in zip(boxes[::2], boxes[1::2], walls, strict=True):
        assert not name.overlaps(text)
        for box in (name, text):
            assert wall.x0 < box.x0 < box.x1 < wall.x1 and wall.y0 < box.y0 < box.y1 < wall.y1
