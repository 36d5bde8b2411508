"""The example operators, as modules; the examples are files, not a package."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "examples" / "operator"
FILE = FOLDER / "website.py"
PAGE_FILE = FOLDER / "page.py"


def _loaded(file):
    spec = spec_from_file_location(file.stem, file)
    module = module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return module


website = _loaded(FILE)
page = _loaded(PAGE_FILE)
topic = _loaded(FOLDER / "topic.py")
