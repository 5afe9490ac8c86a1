"""A plugin's backbone is tried on a few faces before it is trained; built-in ones are tested instead."""

import numpy as np
import pytest
import torch
from made import random_faces
from torch.nn import functional as F

from pa_difc import BACKBONES
from pa_difc.backbones import BackboneSpec
from pa_difc.backbones.checked import require_features
from pa_difc.training.build import make_adapter, make_extractor
from pa_difc.training.resolve import resolve
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError


class Net(torch.nn.Module):
    """Features of a grid of pixels."""

    def __init__(self, change=lambda net, features: features, num_features=12):
        super().__init__()
        self.num_features, self.change, self.calls = num_features, change, 0
        self.layer = torch.nn.BatchNorm1d(12)

    def forward(self, face):
        self.calls += 1
        return self.change(self, self.layer(F.adaptive_avg_pool2d(face.image, 2).flatten(1)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda net, f: f - f.mean(0),
            r"differ between a batch and its single faces: they must depend on one face alone",
        ),
        (lambda net, f: f / f.std(), "differ between a batch and its single faces"),
        (
            lambda net, f: F.dropout(f),
            r"differ when the same faces are passed again: nothing may be random .*training=se",
        ),
        (lambda net, f: f * np.random.default_rng().random(), "differ when the same faces are passed again"),
        (lambda net, f: f / net.calls, "differ when the same faces are passed again"),
        (lambda net, f: f[:, :5], "has num_features=12 but returns 5: must be the same number"),
        (
            lambda net, f: f[:, :, None],
            r"returns features of shape \(4, 12, 1\) for 4 faces: must be \(N, num_features\)",
        ),
        (lambda net, f: [f], r"returns features of type list for 4 faces: must be \(N, num_features\)"),
        (lambda net, f: F.dropout(f, training=net.training), None),
        (lambda net, f: f * 1e-6, None),
        (lambda net, f: f * 0, None),
    ],
)
def test_features_depend_on_one_face_alone(change, said):
    net = Net(change)
    if said is None:
        before = torch.get_rng_state()
        require_features("mine", net, 20)
        assert torch.get_rng_state().equal(before) and net.calls == 0 and net.training
        return
    with pytest.raises(UserError, match=f"^backbone 'mine'.*{said}") as error:
        require_features("mine", net, 20)
    assert "\n" not in str(error.value)


def test_the_number_of_features_is_named():
    with pytest.raises(UserError, match=r"^backbone 'mine' has num_features=None: must be the number of its features"):
        require_features("mine", Net(num_features=None), 20)


def test_runs_try_it_first(monkeypatch):
    spec = BackboneSpec(
        lambda feature_head, landmark_branch: Net(num_features=64), 32, 0.02, "x", feature_head="global_only"
    )
    monkeypatch.setitem(BACKBONES, "mine", spec)
    settings = resolve(Settings.of(backbone="mine", epochs=1, crop_px=32))
    for make in (lambda: make_extractor(settings), lambda: make_adapter(settings, _source(), 3)):
        with pytest.raises(
            UserError, match=r"^backbone 'mine' has num_features=64 but returns 12: must be the same nu"
        ):
            make()


def _source():
    from pa_difc.data import Domain

    return Domain("s", random_faces(14, 1), random_faces(7, 2))
