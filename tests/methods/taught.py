"""Small methods with a teacher, and what a teacher says, for tests of self-training and what is made of it."""

import copy
import math

import torch
from pytorch_adapt.containers import Models, Optimizers

from pa_difc import METHODS
from pa_difc.methods.heads import classifier

N, M, K, D, F = 8, 6, 4, 6, 5


def softmax(row):
    exp = [math.exp(z - max(row)) for z in row]
    return [e / sum(exp) for e in exp]


def batch(seed=0, strong=False):
    generator = torch.Generator().manual_seed(seed)
    found = {
        "src_imgs": torch.randn(N, D, generator=generator),
        "target_imgs": 2 * torch.randn(M, D, generator=generator),
        "src_labels": torch.arange(N) % K,
        "src_domain": torch.zeros(N, dtype=torch.long),
        "target_domain": torch.ones(M, dtype=torch.long),
    }
    return found | ({"target_imgs_strong": torch.randn(M, D, generator=generator)} if strong else {})


def adapter(method, lr=0.1, normed=False, scale=None, **options):
    torch.manual_seed(0)
    cls = METHODS[method]
    layers = [torch.nn.Linear(D, F), *([torch.nn.BatchNorm1d(F)] if normed else []), torch.nn.Tanh()]
    make = lambda d, k: classifier(d, k, scale=scale)  # noqa: E731
    models = Models({"G": torch.nn.Sequential(*layers), **cls.heads(F, K, make)})
    with torch.no_grad():  # predictions that differ from each other
        for parameter in models["C"].parameters():
            parameter.mul_(4)
    made = cls(models, Optimizers((torch.optim.SGD, {"lr": lr})), **options)
    made.models.train()
    return made


def said(made, faces, models=None):
    """Class probabilities in eval mode, as methods predict."""
    models = copy.deepcopy(dict((models or made.models).items()))
    for model in models.values():
        model.eval()
    with torch.no_grad():
        return made.infer(faces, models=models, domain=1)["logits"].softmax(1).double()


def plain_guesses(probs, source, q, r, power, temperature, threshold):
    """Guesses and mask by the formulas, in plain Python."""
    confidence = sum(max(row) for row in source) / len(source)
    guesses, mask = [], []
    for row in probs:
        aligned = [p * (r[k] / q[k]) ** power for k, p in enumerate(row)]
        aligned = [p / sum(aligned) for p in aligned]
        mask.append(max(aligned) >= threshold * confidence)
        if temperature == 0:
            guesses.append([float(k == aligned.index(max(aligned))) for k in range(K)])
        else:
            sharp = [p ** (1 / temperature) for p in aligned]
            guesses.append([p / sum(sharp) for p in sharp])
    return guesses, mask
