"""Stepwise adaptive feature norm (SAFN) with a classification loss for source imbalance and target confusion.

No adversary: each step pulls the feature norms of both domains up a little.
"""

import torch
from pytorch_adapt.containers import Models
from pytorch_adapt.layers import L2PreservedDropout

from pa_difc import SAFN, Ingredients, run_recipe


def compose(given: Ingredients) -> SAFN:
    options = given.settings.method.options

    # Models: a feature extractor G, and a classifier C behind a dropout that preserves the features' L2 norm (0.5 in
    # the paper, on wide features of a pretrained network; narrow features trained from scratch do better without).
    G = given.extractor()
    C = torch.nn.Sequential(L2PreservedDropout(options["dropout"]), given.classifier(G.num_features))
    models = Models({"G": G, "C": C})

    # Optimisers: SGD for each model, with a tenth of the learning rate once target confusion joins (the paper's
    # 1e-3 → 1e-4); both go into pytorch-adapt's containers.
    optimizers, lr_schedulers = given.containers(models)

    # The method: pytorch-adapt's Classifier with its AFNHook, and our loss in place of cross-entropy.
    return SAFN(models, optimizers, lr_schedulers, loss=given.loss(), **options)


if __name__ == "__main__":
    run_recipe(__doc__, "safn", compose)
