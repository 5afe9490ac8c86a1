"""The helpers lie beside the tests, the modules of a study beside its command."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent.parent / "hpo")]
