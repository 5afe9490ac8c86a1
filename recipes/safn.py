"""Stepwise adaptive feature norm (SAFN) with a classification loss that knows imbalance and confusion.

No adversary: each step asks the features of both domains to grow a little longer.
"""

import torch
from pytorch_adapt.containers import Models
from pytorch_adapt.layers import L2PreservedDropout

from pa_difc import SAFN
from pa_difc.commands.flags import print_scores, recipe_config, run_command
from pa_difc.data import NUM_CLASSES
from pa_difc.methods.heads import classifier
from pa_difc.training.build import load_pair, make_containers, make_extractor, make_loader, make_slot_loss
from pa_difc.training.checkpoint import seed_everything
from pa_difc.training.engine import fit
from pa_difc.training.record import RunFolder
from pa_difc.training.run import finish


def main() -> None:
    config, out = recipe_config(__doc__, "safn")

    # Data: labelled source, unlabelled target; an epoch is a pass over the longer of the two.
    source, target = load_pair(config)
    batches = make_loader(config, source, target)

    # Models: a feature extractor G, and a classifier C behind a dropout that preserves the features' L2 norm (0.5 in
    # the paper, on wide features of a pretrained network; narrow ones from scratch do better without).
    seed_everything(config.seed)
    G = make_extractor(config)
    C = torch.nn.Sequential(L2PreservedDropout(0.0), classifier(G.num_features, NUM_CLASSES, config.head, config.scale))
    models = Models({"G": G, "C": C})

    # Optimisers: SGD for each model, with a tenth of the learning rate once target confusion joins (the paper's
    # 1e-3 → 1e-4); both go into the host's containers.
    optimizers, lr_schedulers = make_containers(config, models, steps_per_epoch=len(batches))

    # The classification loss: for "difc", margins from the source's class counts, raised for what the target confuses.
    loss = make_slot_loss(config, source, steps_per_epoch=len(batches))

    # The method: pytorch-adapt's Classifier and AFNHook joined, with our loss in the slot of cross-entropy.
    adapter = SAFN(models, optimizers, lr_schedulers, loss=loss, weight=config.weight)

    run = RunFolder.of(out, config, source, target, recipe=__file__)
    history = fit(adapter, batches, epochs=config.epochs, folder=run.path, key=run.key, title=f"safn · {config.loss}")
    print_scores(finish(adapter, config, source, target, run, history), run.path)


if __name__ == "__main__":
    run_command(main)
