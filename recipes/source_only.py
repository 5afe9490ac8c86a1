"""No adaptation: a classifier trained on the source, with a loss for source imbalance and target confusion.

The baseline that every method is compared with, and the simplest recipe: start reading here.
"""

from pytorch_adapt.containers import Models

from pa_difc import Ingredients, SourceOnly, run_recipe


def compose(given: Ingredients) -> SourceOnly:
    # Models: a feature extractor G and a classifier C.
    G = given.extractor()
    C = given.classifier(G.num_features)
    models = Models({"G": G, "C": C})

    # Optimisers: SGD for each model, with a tenth of the learning rate once target confusion joins (the paper's
    # 1e-3 → 1e-4); both go into pytorch-adapt's containers.
    optimizers, lr_schedulers = given.containers(models)

    # The method: pytorch-adapt's Classifier, with our loss in place of cross-entropy. The target has one use: "difc"
    # measures which classes its predictions confuse.
    return SourceOnly(models, optimizers, lr_schedulers, loss=given.loss())


if __name__ == "__main__":
    run_recipe(__doc__, "source_only", compose)
