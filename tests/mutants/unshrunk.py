"""A pytest plugin: hypothesis stops at the first example that fails; nobody reads a smaller one."""

from hypothesis import Phase, settings


def pytest_configure() -> None:
    settings.register_profile("unshrunk", settings(), phases=(Phase.explicit, Phase.generate))
    settings.load_profile("unshrunk")
