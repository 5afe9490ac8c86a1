"""No adaptation at all: a classifier trained on the source, with a loss that knows imbalance and confusion.

The floor that every method is measured from, and the simplest recipe: start reading here.
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

    # The method: pytorch-adapt's Classifier, with our loss in the slot of cross-entropy. The target is there for one
    # thing: "difc" asks which classes it confuses.
    return SourceOnly(models, optimizers, lr_schedulers, loss=given.loss())


if __name__ == "__main__":
    run_recipe(__doc__, "source_only", compose)
