"""One step of a method on a small batch of points, for tests of its equations."""

import torch
from pytorch_adapt.containers import Models, Optimizers

from pa_difc import METHODS
from pa_difc.methods.penalty import Step

N, M, K, D = 9, 7, 4, 6


def adapter(method, **kwargs):
    torch.manual_seed(0)
    cls = METHODS[method]
    models = Models({"G": torch.nn.Linear(D, D), **cls.heads(D, K)})
    made = cls(models, Optimizers((torch.optim.SGD, {"lr": 0.0})), loss=lambda z, y: 0.0 * z.sum(), **kwargs)
    made.models.eval()  # no dropout
    return made


def batch(seed=0, n=N, m=M, k=K, d=D):
    """``n`` labelled source points and ``m`` shifted target points in ``d`` dimensions, of ``k`` classes in turn."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "src_imgs": torch.randn(n, d, generator=generator),
        "target_imgs": torch.randn(m, d, generator=generator) + 1,
        "src_labels": torch.arange(n) % k,
        "src_domain": torch.zeros(n, dtype=torch.long),
        "target_domain": torch.ones(m, dtype=torch.long),
    }


def step_of(made, data):
    features = {d: made.models["G"](data[f"{d}_imgs"]) for d in ("src", "target")}
    logits = {d: made.models["C"](f) for d, f in features.items()}
    return Step(features["src"], logits["src"], data["src_labels"], features["target"], logits["target"])


def grads(made, data):
    """The gradient norm of each model from the method's own loss alone."""
    made.training_step(data)
    return {
        name: sum(p.grad.abs().sum().item() for p in model.parameters() if p.grad is not None)
        for name, model in made.models.items()
    }
