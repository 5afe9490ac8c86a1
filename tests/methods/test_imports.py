"""What an import loads, and that the host says nothing meanwhile."""

import subprocess
import sys

import pytest

from pa_difc import LOSSES, METHODS


def clean(code):
    """What a fresh interpreter prints; a warning of the host's is an error in it."""
    command = [sys.executable, "-W", "error::UserWarning", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def clean_each(before, programs):
    """The lines that programs print in turn, each in a copy of an interpreter that has run nothing but ``before``."""
    return clean(f"""
import os, sys
{before}
for program in {programs!r}:
    if (copy := os.fork()) == 0:
        exec(program)
        sys.stdout.flush()
        os._exit(0)
    if os.waitpid(copy, 0)[1]:
        sys.exit(1)
""").splitlines()


@pytest.mark.slow
def test_whichever_method_is_imported_first_the_host_gives_no_advice():
    programs = []
    for place in ("mcd:MCD", "swd:SWD", "heads:classifier", "_host:BaseHook"):
        module, _, name = place.partition(":")
        programs.append(
            "import sys; assert not {'pa_difc', 'pytorch_adapt'} & set(sys.modules); "
            f"from pa_difc.methods.{module} import {name}; import pytorch_adapt.adapters; print('done')"
        )
    of_the_host = "import torchvision, pytorch_metric_learning"
    assert clean_each(of_the_host, programs) == ["done"] * 4


def test_names_import_what_they_need_and_nothing_heavier():
    host = ("pytorch_adapt", "torchvision", "torchmetrics", "pytorch_metric_learning")
    heavy = (*host, "sklearn", "scipy", "optuna", "ignite", "PIL")
    code = f"import sys; {{}}; print([m for m in {heavy} if m in sys.modules])"
    lines = (
        "import pa_difc.functional; pa_difc.functional.class_margins([3, 1], 0.3)",
        "from pa_difc import DIFCLoss, Schedule; DIFCLoss([3, 1], Schedule(2))",
        "from pa_difc.losses import DIFCLoss, make_loss; make_loss('ce')",
    )
    assert clean_each("import torch", [code.format(line) for line in lines]) == ["[]"] * 3
    registries = "from pa_difc import LOSSES, METHODS, BACKBONES; print(*LOSSES, *METHODS, *BACKBONES)"
    names, found = clean(f"{registries}; import sys; print('torch' in sys.modules)").splitlines()
    assert found == "False" and set(names.split()) > {*LOSSES._places, *METHODS._places}
