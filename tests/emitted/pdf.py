"""The PDF writer of the emitted tests, for the tests of the emitted service."""

import importlib.util

from template_repository import ROOT

_spec = importlib.util.spec_from_file_location("emitted_pdf", ROOT / "template/tests/pdf.py")
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
make_pdf = _module.make_pdf
