"""The exercises of the lessons, a file per lesson: what a correct answer has to show."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
