"""PyTorch's threads leave a core that they have no work for to other programs."""

import os
import subprocess

import pytest
from processes import PYTHON

#: A command's setting, and whether torch, whose import reads it, is there already.
SHOW = """
import os, sys
from pa_difc.commands.console import exit_with
exit_with(lambda: print(os.environ.get("GOMP_SPINCOUNT"), "torch" in sys.modules))
"""

#: Seconds that 300 small layers take on two threads, each with a wait at its end.
TIMED = """
import os, sys, time
from pa_difc.commands.console import exit_with
def steps():
    import torch
    torch.set_num_threads(2)
    x = torch.randn(64, 32, 28, 28)
    x.relu()
    start = time.monotonic()
    for _ in range(300):
        x.relu()
    print(time.monotonic() - start)
exit_with(steps)
"""


def shown(program, **environment):
    kept = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")}
    done = subprocess.run([*PYTHON, "-c", program], env=kept | environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("given", "spins"), [({}, "3000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None")]
)
def test_commands_say_how_threads_wait_before_torch_is_imported_unless_the_user_does(given, spins):
    assert shown(SHOW, **given) == f"{spins} False"


@pytest.mark.slow
def test_beside_busy_programs_steps_are_many_times_faster():
    busy = [subprocess.Popen([*PYTHON, "-c", "while True: pass"], start_new_session=True) for _ in range(3)]
    try:
        ours, usual = float(shown(TIMED)), float(shown(TIMED, GOMP_SPINCOUNT="300000"))
    finally:
        for process in busy:
            process.kill()
            process.wait()
    print(f"{usual / ours:.1f} times as fast")
    assert usual > 2 * ours
