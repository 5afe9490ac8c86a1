"""The study's modules lie beside its command, as scripts do."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "hpo"))
