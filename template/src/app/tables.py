"""All tables of the service: importing this module registers every feature's `models` with the metadata."""

from importlib import import_module
from pkgutil import walk_packages

import app

for _module in walk_packages(app.__path__, "app."):
    if _module.name.endswith(".models"):
        import_module(_module.name)
