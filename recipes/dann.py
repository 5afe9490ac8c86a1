"""Domain-adversarial training (DANN) with a classification loss for source imbalance and target confusion.

A third model, the discriminator D, tells source features from target ones; reversed gradients make G fool it.
"""

from pytorch_adapt.containers import Models

from pa_difc import DANN, Ingredients, discriminator, run_recipe


def compose(given: Ingredients) -> DANN:
    # Models: a feature extractor G, a classifier C and a domain discriminator D.
    G = given.extractor()
    C = given.classifier(G.num_features)
    D = discriminator(G.num_features)
    models = Models({"G": G, "C": C, "D": D})

    # Optimisers: SGD for each model, with a tenth of the learning rate once target confusion joins (the paper's
    # 1e-3 → 1e-4); both go into pytorch-adapt's containers.
    optimizers, lr_schedulers = given.containers(models)

    # The method: pytorch-adapt's DANN with our loss in place of cross-entropy; the reversal ramps up from 0.
    options = given.settings.method.options
    return DANN(models, optimizers, lr_schedulers, loss=given.loss(), ramp_steps=given.total_steps, **options)


if __name__ == "__main__":
    run_recipe(__doc__, "dann", compose)
