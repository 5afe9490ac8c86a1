"""``pa-difc search`` and ``python hpo/search.py``: tune hyper-parameters over the space in hpo/spaces.py."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..evaluation import CRITERIA
from ..training.ready import workers_context
from ..tuning import PRUNERS, SAMPLERS
from ..tuning.plugin_space import own_dimensions, without_clashes
from ..tuning.space import not_of, searched
from ..util.errors import UserError
from ..util.registry import load_module
from ..util.terminal import wrapped
from .flags import add_cell_flags, add_features_flag, add_training_flags, seed
from .given_cells import settings_of_cell

if TYPE_CHECKING:
    from ..data.domains import Domain
    from ..training.settings import Settings
    from ..tuning.space import Space

EXAMPLES = """\
  pa-difc search --target toy_street --features frozen --trials 12
  pa-difc search --target fer2013 --source muxspace --data-root data \\
      --features frozen --trials 30
  pa-difc search --target fer2013 \\
      --storage postgresql+psycopg2://me@db/studies   # on every machine"""

#: The paper's source dataset.
PAPERS_SOURCE = "raf_db"
#: The source dataset of a toy target.
TOY_SOURCE = "toy_studio"


def arguments(parser: argparse.ArgumentParser) -> None:
    source = f"{PAPERS_SOURCE}; for a toy target {TOY_SOURCE}"
    add_training_flags(parser, source=source, target="fer2013", out="runs/search")
    parser.get_default("command_defaults")["source"] = PAPERS_SOURCE
    add_cell_flags(parser)
    add_features_flag(parser)
    add = parser.add_argument
    add("--trials", type=int, default=30, metavar="N", help="number of trials, over all workers (default: 30)")
    add("--tune", nargs="+", default=[], metavar="KEY", help=f"also tune these: {', '.join(_space(None))}")
    about = "a file like hpo/spaces.py that defines the search space (default: that one)"
    add("--space", type=Path, metavar="FILE.py", help=about)
    names = ", ".join(("consensus", *CRITERIA, "ensv", "oracle"))
    about = f"how the final trial is chosen: {names} (default: consensus); see pa-difc list criteria"
    add("--select", default="consensus", metavar="NAME", help=about)
    add(
        "--allow-target-labels",
        action="store_true",
        help="required by --select oracle, which reads them; marks all output",
    )
    kinds = "sqlite:///FILE (one command), postgresql+psycopg2://…, journal:FILE, grpc://HOST:PORT"
    add("--storage", metavar="URL", help=f"{kinds} (default: an sqlite file below --out)")
    beats = (
        "seconds between a worker's heartbeats; after three missed ones, another worker takes its trial (default: 60)"
    )
    add("--study", metavar="NAME", help="name of the study, to keep several of the same pair in one storage")
    about = "train N trials in parallel, each in a single-threaded process (default: one at a time, all threads)"
    add("--jobs", type=int, default=None, metavar="N", help=about)
    add("--heartbeat", type=int, default=60, metavar="S", help=beats)
    add("--study-sampler", choices=SAMPLERS, default="tpe", help="how values are suggested (default: tpe)")
    about = "how to stop poor trials early; early scores can mislead (default: none)"
    add("--pruner", choices=PRUNERS, default="none", help=about)
    add("--confirm", type=int, default=0, metavar="K", help="retrain the K best with the whole network")
    add(
        "--confirm-seeds",
        nargs="+",
        type=seed,
        default=[0, 1, 2],
        metavar="N",
        help="seeds of retraining (default: 0 1 2)",
    )
    add("--resume", action="store_true", help="only resume an existing study; never start a new one")


def run(parsed: argparse.Namespace) -> int:
    if parsed.source is None and (parsed.target or "").startswith("toy_"):
        parsed.command_defaults["source"] = TOY_SOURCE
    settings = settings_of_cell(parsed)
    all_dimensions = _space(parsed.space)
    if parsed.space is None:
        all_dimensions = without_clashes(all_dimensions, settings)
    own = own_dimensions(settings)
    space = searched(all_dimensions, settings, parsed.tune, own)
    if left_out := [key for key in not_of(all_dimensions, settings) if all_dimensions[key].always]:
        said = f"not searched: {', '.join(left_out)}; no option of {settings.method.name} or {settings.loss.name}"
        print(wrapped(said, indent=2))
    if of_plugin := [f"{key} ({space[key].about})" for key in own if key in space and key not in all_dimensions]:
        print(
            wrapped(f"searched, of {settings.method.name} and {settings.loss.name}: {', '.join(of_plugin)}", indent=2)
        )

    if parsed.jobs is not None and parsed.jobs < 1:
        raise UserError(f"--jobs {parsed.jobs}: must be at least 1")
    if parsed.jobs is not None:
        workers_context("pa_difc.tuning.child")

    from ..tuning.address import Address
    from ..tuning.plan import StudyPlan
    from ..tuning.search import run_study

    plan = StudyPlan(
        settings,
        space,
        parsed.out,
        trials=parsed.trials,
        features=parsed.features or "full",
        select=parsed.select,
        allow_target_labels=parsed.allow_target_labels,
        storage=Address.of(parsed.storage) if parsed.storage is not None else None,
        study=parsed.study,
        jobs=parsed.jobs,
        heartbeat_s=parsed.heartbeat,
        sampler=parsed.study_sampler,
        pruner=parsed.pruner,
        confirm=parsed.confirm,
        seeds=list(dict.fromkeys(parsed.confirm_seeds)),
        must_exist=parsed.resume,
    )
    run_study(plan, partial(_train_all, parsed.jobs))
    return 0


def _train_all(
    jobs: int | None, cells: Mapping[str, Settings], source: Domain, target: Domain, out: Path
) -> list[dict[str, Any]]:
    """Trains cells by name, as a grid does.

    Raises:
        UserError: a cell failed.
    """
    from ..training.team import Team
    from .grid import run_grid

    records, failures = run_grid(list(cells.values()), source, target, out, team=Team(jobs), names=list(cells))
    for name, failure in failures:
        more = f" ({failure.file})" if failure.file else ""
        raise UserError(f"{name}: {failure.reason}{more}")
    return records


def _space(file: Path | None) -> Space:
    """The search space of a file; None stands for hpo/spaces.py of the checkout or the installed package.

    Raises:
        UserError: there is no such file, or it defines no SPACE.
    """
    installed = find_spec("pa_difc_hpo")
    folders = [
        Path(__file__).parents[2] / "hpo",
        *map(Path, (installed and installed.submodule_search_locations) or ()),
    ]
    places = [file] if file is not None else [folder / "spaces.py" for folder in folders]
    path = next((place for place in places if place.is_file()), places[0])
    space: Space | None = getattr(load_module(path), "SPACE", None)
    if space is None:
        raise UserError(f"{path}: must define SPACE, as hpo/spaces.py does")
    return space
