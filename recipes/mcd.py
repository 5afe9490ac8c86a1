"""Maximum classifier discrepancy (MCD) with a classification loss for source imbalance and target confusion.

Read from top to bottom: this is all it takes to compose a method of pytorch-adapt with DIFC.
"""

from pytorch_adapt.containers import Models
from pytorch_adapt.layers import MultipleModels

from pa_difc import MCD, Ingredients, run_recipe


def compose(given: Ingredients) -> MCD:
    # Models: a feature extractor G, and two classifiers with different initial weights.
    G = given.extractor()
    C = MultipleModels(given.classifier(G.num_features), given.classifier(G.num_features))
    models = Models({"G": G, "C": C})

    # Optimisers: SGD for each model, with a tenth of the learning rate once target confusion joins (the paper's
    # 1e-3 → 1e-4); both go into pytorch-adapt's containers.
    optimizers, lr_schedulers = given.containers(models)

    # The method: pytorch-adapt's three steps, with our loss in place of cross-entropy.
    return MCD(models, optimizers, lr_schedulers, loss=given.loss(), **given.settings.method.options)


if __name__ == "__main__":
    run_recipe(__doc__, "mcd", compose)
