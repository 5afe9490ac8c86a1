"""Every loss trains a network from scratch, on its own classifier, also where it starts badly."""

import pytest
import torch

from pa_difc import LOSSES, Schedule, make_loss
from pa_difc.losses.spec import CLASSIFIERS
from pa_difc.methods.heads import classifier

CLASSES, DIMENSIONS, BATCH, STEPS = 4, 12, 32, 300
AWAY = 2.0  #: along each axis: in the beginning all features point the same way, behind some classes' weights


def batches(seed):
    """Four clusters of points that any classifier can tell apart."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(CLASSES, DIMENSIONS, generator=generator)
    centres *= 2.5 / centres.norm(dim=1, keepdim=True)
    for _ in range(STEPS):
        labels = torch.randint(CLASSES, (BATCH,), generator=generator)
        yield centres[labels] + 0.6 * torch.randn(BATCH, DIMENSIONS, generator=generator) + AWAY, labels


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", LOSSES)
def test_a_network_learns_its_classes(name, seed):
    spec = LOSSES[name]
    schedule = Schedule(STEPS // 3, confusion_epoch=1, reweight_epoch=2)
    scale = CLASSIFIERS[spec.classifier]
    loss = make_loss(name, [STEPS * BATCH // CLASSES] * CLASSES, schedule, scale=scale)
    torch.manual_seed(seed)
    layers = [torch.nn.Linear(DIMENSIONS, 64), torch.nn.ReLU(), torch.nn.Linear(64, 32), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers, classifier(32, CLASSES, spec.classifier))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    right = 0.0
    for step, (points, labels) in enumerate(batches(seed)):
        logits = net(points)
        optimizer.zero_grad()
        loss(logits, labels).mean().backward()
        optimizer.step()
        if hasattr(loss, "update"):
            loss.update(logits.detach())
        if step >= STEPS - 50:
            right += (logits.argmax(1) == labels).float().mean().item() / 50
    assert right > 0.9
