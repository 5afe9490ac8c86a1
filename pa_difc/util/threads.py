"""How PyTorch's threads wait for each other."""

from __future__ import annotations

import os

#: How often a thread of GNU's OpenMP looks for more work before it sleeps. Its own default, 300,000, keeps a core busy
#: for milliseconds; where another program needs that core, the thread waited for has none to run on, and a step takes
#: 10 to 100 times as long. With 3,000, steps on idle cores take as long as before; with 300, half as long again.
SPINS = 3000


def sleep_soon() -> None:
    """Lets idle threads sleep soon, unless the user's environment says how they wait; for before PyTorch's import."""
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)
