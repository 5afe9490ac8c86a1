"""Both domains in one pass of G: the same training where G has no BatchNorm."""

import copy

import pytest
import torch
from made import random_faces
from pytorch_adapt.containers import Models, Optimizers

from pa_difc import METHODS
from pa_difc.data import PairLoader
from pa_difc.methods.hooks import JointFeaturesHook


class Flat(torch.nn.Module):
    """A network of faces with BatchNorm or without."""

    def __init__(self, norm):
        super().__init__()
        layers = [torch.nn.Linear(3 * 32 * 32, 16), torch.nn.BatchNorm1d(16) if norm else torch.nn.Tanh()]
        self.layers, self.passes = torch.nn.Sequential(torch.nn.Flatten(), *layers), 0

    def forward(self, face):
        self.passes += 1
        return self.layers(face.image)


def train(method, joint, norm):
    torch.manual_seed(0)
    cls = METHODS[method]
    models = Models({"G": Flat(norm), **cls.heads(16, 7)})
    options = {"hook_kwargs": {"pre": [JointFeaturesHook()]}} if joint else {}
    adapter = cls(models, Optimizers((torch.optim.SGD, {"lr": 0.01})), **options)
    adapter.models.train()
    torch.manual_seed(1)
    loader = PairLoader(random_faces(40, 1), random_faces(40, 2), batch_size=8)
    losses = [copy.deepcopy(adapter.training_step(batch))["total_loss"] for batch in loader.epoch(0)]
    return losses, adapter.models["G"].passes, adapter.models["G"].state_dict()


@pytest.mark.parametrize("method", ["dann", "safn", "detn"])
def test_one_pass_is_the_same_training_without_batchnorm(method):
    (losses, passes, state), (joint_losses, joint_passes, joint_state) = (train(method, j, False) for j in (0, 1))
    assert (passes, joint_passes) == (10, 5)
    for a, b in zip(losses, joint_losses, strict=True):
        assert a == pytest.approx(b, rel=1e-4)
    for key, value in state.items():
        torch.testing.assert_close(joint_state[key], value, rtol=1e-4, atol=1e-6)


def test_with_batchnorm_it_is_another_training():
    (apart, _, state), (joint, _, joint_state) = (train("dann", j, True) for j in (0, 1))
    assert apart[0]["src_c_loss"] != pytest.approx(joint[0]["src_c_loss"], rel=1e-4)
    key = "layers.2.num_batches_tracked"
    assert (state[key], joint_state[key]) == (10, 5)
