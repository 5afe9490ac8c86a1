"""The methods train on the host's own datasets and loaders, with Face going all the way through."""

import pytest
import torch
from made import TRAINED
from pytorch_adapt.containers import Models, Optimizers
from pytorch_adapt.datasets import CombinedSourceAndTargetDataset, DataloaderCreator, SourceDataset, TargetDataset
from pytorch_adapt.utils.common_functions import batch_to_device

from pa_difc import METHODS, Schedule
from pa_difc.backbones import make_backbone
from pa_difc.data import Face, FaceDataset


@pytest.mark.parametrize("method", TRAINED)
def test_training_on_the_host_s_combined_dataset(method, source, target):
    combined = CombinedSourceAndTargetDataset(
        SourceDataset(FaceDataset(source.train)), TargetDataset(FaceDataset(target.train))
    )
    loader = DataloaderCreator(batch_size=16)(train=combined)["train"]
    cls = METHODS[method]
    extractor = cls.extractor(make_backbone("small", feature_head="global_local" if cls.needs_regions else None))
    adapter = cls(
        Models({"G": extractor, **cls.heads(extractor.num_features, 7)}),
        Optimizers((torch.optim.SGD, {"lr": 0.01})),
        loss="difc",
        class_counts=source.train_counts,
        schedule=Schedule(steps_per_epoch=len(loader), confusion_epoch=1, reweight_epoch=1),
        loss_options={"epsilon": 0.5},
    )
    adapter.models.train()
    for _ in range(2):
        for batch in loader:
            assert isinstance(batch["src_imgs"], Face) and isinstance(batch["target_imgs"], Face)
            assert "target_labels" not in batch
            losses = adapter.training_step(batch_to_device(batch, torch.device("cpu")))
            assert all(torch.tensor(list(parts.values())).isfinite().all() for parts in losses.values())
    assert adapter.loss.phase.value == "difc"
    assert not adapter.loss.margins.equal(adapter.loss.base_margins)
    assert adapter.misc["difc"] is adapter.loss  # the host's checkpoints hold it


def test_landmarks_reach_the_model(target):
    seen = []

    class Spy(torch.nn.Module):
        def forward(self, face):
            seen.append(face.landmarks.shape)
            return face.image.mean(dim=(2, 3))

    dataset = TargetDataset(FaceDataset(target.train))
    Spy()(next(iter(torch.utils.data.DataLoader(dataset, batch_size=4)))["target_imgs"])
    assert seen == [torch.Size([4, 5, 2])]
