"""Small studies, ready to run."""

import optuna
from made import ROOT

from pa_difc.training.resolve import resolve
from pa_difc.training.settings import Settings
from pa_difc.tuning.objective import Objective, Task, blind
from pa_difc.tuning.space import defaults, searched
from pa_difc.tuning.study import objective_criterion, open_study
from pa_difc.util.registry import load_module

#: What hpo/spaces.py says.
SPACE = load_module(ROOT / "hpo" / "spaces.py").SPACE


def config(method="dann", **kwargs):
    return resolve(Settings.of(method=method, loss="difc", epochs=2, batch_size=16, crop_px=32, **kwargs))


def ready(source, target, out, base, *, storage=None, select="consensus", tune=(), prune=False, **how):
    """A study, its objective and its defaults, as :func:`study.run_trials` takes them."""
    task = Task(base, source, blind(target), out, objective_criterion(select), prune=prune)
    space = searched(SPACE, base, tune)
    storage = storage or optuna.storages.InMemoryStorage()
    how = {"sampler": "tpe", "pruner": "none", "seed": 0, **how}
    study = open_study(storage, "s", {}, **how, must_exist=False)
    return study, Objective(task, space, lambda _: ""), defaults(base, space)
