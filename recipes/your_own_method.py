"""A method of your own, in the side-by-side table: CORAL (Sun and Saenko 2016, arXiv:1607.01719) in a few lines.

Run it as it is, or put the class into a package of your own and name it in that package's pyproject.toml:

    [project.entry-points."pa_difc.methods"]
    coral = "your_package:CORAL"

Then `python recipes/compare.py --methods mcd coral --losses ce difc` trains it beside the others.
"""

import torch

from pa_difc import METHODS
from pa_difc.commands.flags import print_scores, recipe_config, run_command
from pa_difc.methods import PenaltyMethod, Step
from pa_difc.training.build import load_pair
from pa_difc.training.record import RunFolder
from pa_difc.training.run import run_cell


class CORAL(PenaltyMethod):
    """L_cls + weight · ‖cov(f_s) − cov(f_t)‖²_F / 4D², any loss in the slot, resumed exactly."""

    about = "features of equal covariance"
    default_weight = 1.0
    loss_name = "coral_loss"

    def penalty(self, step: Step) -> torch.Tensor:
        source, target = step.src_features.T.cov(), step.target_features.T.cov()  # (D, D)
        return (source - target).square().sum() / (4 * len(source) ** 2)


def main() -> None:
    METHODS["coral"] = CORAL
    config, out = recipe_config(__doc__, "coral")
    source, target = load_pair(config)
    record = run_cell(config, source, target, out)
    print_scores(record, RunFolder.of(out, config, source, target).path)


if __name__ == "__main__":
    run_command(main)
