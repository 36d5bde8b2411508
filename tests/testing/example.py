"""The example operator, as a module; the examples are files, not a package."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "examples" / "operator"
FILE = FOLDER / "website.py"

_spec = spec_from_file_location("website", FILE)
website = module_from_spec(_spec)
sys.modules["website"] = website
_spec.loader.exec_module(website)
