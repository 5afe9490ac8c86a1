"""A method of your own in the comparison table: CORAL (Sun and Saenko 2016, arXiv:1607.01719) in a few lines.

Train it alone with this file, or name the file to any command:

    python recipes/compare.py --plugin recipes/your_own_method.py --methods mcd coral --losses ce difc
    pa-difc export --plugin recipes/your_own_method.py --model runs/runs/coral-… --out my_model

In a package of your own, an entry point does the same for everybody who installs it:

    [project.entry-points."pa_difc.methods"]
    coral = "your_package:CORAL"
"""

import torch

from pa_difc import METHODS, PenaltyMethod, Step, run_recipe


@METHODS.register("coral")
class CORAL(PenaltyMethod):
    """min L_cls + weight · ‖cov(f_s) − cov(f_t)‖²_F / 4D², with any classification loss and exact resume."""

    about = "features of equal covariance"
    loss_name = "coral_loss"

    def penalty(self, step: Step) -> torch.Tensor:
        source, target = step.src_features.T.cov(), step.target_features.T.cov()  # (D, D)
        return (source - target).square().sum() / (4 * len(source) ** 2)


if __name__ == "__main__":
    run_recipe(__doc__, "coral")
