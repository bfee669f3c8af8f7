import pytest

from .crafted import copied


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """A folder with a copy of prunekit that has exercises of its own, and solutions near it."""
    folder = copied(tmp_path_factory.mktemp("package"))
    for path in (folder / "solution.txt", folder.parent / "beside.txt"):
        path.write_text("secret")
    return folder
