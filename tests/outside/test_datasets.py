"""The host's datasets and loaders in a plain loop, and class counts made by hand."""

from collections import Counter

import numpy as np
import pytest
import torch
from pytorch_adapt.datasets import CombinedSourceAndTargetDataset, DataloaderCreator, SourceDataset, TargetDataset
from pytorch_adapt.utils.common_functions import batch_to_device
from torch.utils.data import DataLoader, RandomSampler
from toys import BATCH, COUNTS, STEPS, TARGET, D, K, datasets, difc, loaders, ours, points, schedule

from pa_difc import DIFCLoss, make_loss

CPU = torch.device("cpu")


def run(adapter, loader, epochs):
    """The loop of the host's README; the phase after each epoch."""
    phases = []
    for _ in range(epochs):
        adapter.models.train()
        for batch in loader:
            adapter.training_step(batch_to_device(batch, CPU))
        phases.append((adapter.loss.phase.value, adapter.loss.reweighted))
    return phases


@pytest.mark.parametrize("method", ["source_only", "dann", "mcd", "safn", "agra", "cdan"])
def test_a_plain_loop_changes_phase_at_the_ends_of_epochs(method):
    made = ours(method)
    phases = run(made, loaders()["train"], 3)
    assert phases == [("di", True), ("difc", True), ("difc", True)]
    raised = made.loss.margins - made.loss.base_margins
    assert raised.max() == pytest.approx(0.5, abs=1e-5) and raised.min() > 0


def test_an_epoch_is_one_pass_over_the_target():
    """So len(loader) is what the schedule needs, and not the source's number of batches."""
    loader = loaders()["train"]
    assert len(loader) == STEPS == TARGET // BATCH and len(loader) != sum(COUNTS) // BATCH
    assert sorted(torch.cat([batch["target_sample_idx"] for batch in loader]).tolist()) == list(range(TARGET))


@pytest.mark.parametrize("method", ["source_only", "dann", "mcd"])
def test_without_a_length_the_epochs_are_read_off_the_sample_numbers(method):
    told, found = ours(method), ours(method, loss=DIFCLoss(COUNTS, schedule(steps_per_epoch=None), epsilon=0.5))
    for made in (told, found):
        torch.manual_seed(0)
        np.random.seed(0)
        run(made, loaders()["train"], 4)
    assert found.loss.schedule.steps_per_epoch == STEPS and found.loss.phase.value == "difc"
    assert found.loss.margins.equal(told.loss.margins) and found.loss.confusion.equal(told.loss.confusion)


def test_where_batches_have_no_numbers_the_loop_says_that_an_epoch_has_ended():
    made = ours("dann", loss=DIFCLoss(COUNTS, schedule(steps_per_epoch=None), epsilon=0.5))
    for _ in range(2):
        for batch in loaders()["train"]:
            made.training_step({name: value for name, value in batch.items() if "sample_idx" not in name})
        made.loss.end_epoch()
    assert made.loss.phase.value == "difc"


def test_draws_with_replacement_tell_no_epoch_and_this_is_said_once():
    made = ours("dann", loss=DIFCLoss(COUNTS, schedule(steps_per_epoch=None), epsilon=0.5))
    combined = datasets()["train"]
    loader = DataLoader(combined, BATCH, sampler=RandomSampler(combined, replacement=True))
    with pytest.warns(UserWarning, match="the batches don't show where an epoch ends") as warned:
        assert run(made, loader, 3)[-1] == ("di", False)  # all steps are of the first epoch
    assert len(warned) == 1


def test_a_schedule_that_does_not_fit_the_loader_is_warned_of_once():
    made = ours("dann", loss=DIFCLoss(COUNTS, schedule(steps_per_epoch=384), epsilon=0.5))
    with pytest.warns(UserWarning) as warned:
        run(made, loaders()["train"], 4)
    said = [str(w.message) for w in warned if "384" in str(w.message)]
    assert len(said) == 1 and str(STEPS) in said[0]


@pytest.mark.parametrize("method", ["source_only", "lpl"])
@pytest.mark.parametrize("loss", ["ce", "di"])
def test_a_source_alone_is_enough_for_what_reads_no_target(method, loss):
    """``get_datasets`` without target domains gives a training set of the source alone."""
    loader = DataloaderCreator(batch_size=BATCH)(train=SourceDataset(points(COUNTS, 0.0, 0)))["train"]
    made = ours(method, loss=make_loss(loss, None if loss == "ce" else COUNTS, schedule()))
    losses = [made.training_step(batch)["total_loss"]["src_c_loss"] for batch in loader]
    assert len(losses) == sum(COUNTS) // BATCH and all(np.isfinite(losses))


def test_difc_without_a_target_says_so():
    from pa_difc.util.errors import UserError

    made = ours("source_only")
    loader = DataLoader(SourceDataset(points(COUNTS, 0.0, 0)), BATCH)
    with pytest.raises(UserError, match="target_imgs"):
        run(made, loader, 3)


@pytest.mark.parametrize("method", ["dann", "mcd", "cdan"])
def test_labels_of_a_supervised_target_are_not_looked_at(method):
    source, target = points(COUNTS, 0.0, 0), points([TARGET // K] * K, 1.0, 1)
    ends = []
    for labels in (target.tensors[1], target.tensors[1].flip(0)):
        pairs = torch.utils.data.TensorDataset(target.tensors[0], labels)
        combined = CombinedSourceAndTargetDataset(SourceDataset(source), TargetDataset(pairs, supervised=True))
        made = ours(method)
        torch.manual_seed(0)
        np.random.seed(0)
        run(made, loaders(train=combined)["train"], 3)
        ends.append(made.loss.margins)
    assert ends[0].equal(ends[1])


def test_an_unlabelled_target_and_domains_of_other_numbers_train():
    target = [torch.randn(D, generator=torch.Generator().manual_seed(i)) for i in range(TARGET)]
    combined = CombinedSourceAndTargetDataset(
        SourceDataset(points(COUNTS, 0.0, 0), domain=2), TargetDataset(target, domain=3)
    )
    made = ours("source_only")
    run(made, loaders(train=combined)["train"], 3)
    assert made.loss.phase.value == "difc"


BY_HAND = {
    "a list": lambda labels: COUNTS,
    "torch.bincount": lambda labels: labels.bincount(minlength=K),
    "numpy.bincount": lambda labels: np.bincount(labels.numpy(), minlength=K),
    "a Counter": lambda labels: [count for _, count in sorted(Counter(labels.tolist()).items())],
    "the host's dataset": lambda labels: torch.bincount(
        torch.tensor([datasets()["src_train"][i]["src_labels"] for i in range(len(labels))])
    ),
    "floats": lambda labels: labels.bincount(minlength=K).double(),
}


@pytest.mark.parametrize("way", BY_HAND)
def test_class_counts_by_hand(way):
    labels = points(COUNTS, 0.0, 0).tensors[1]
    made = make_loss("difc", BY_HAND[way](labels), schedule(), epsilon=0.5)
    logits = torch.linspace(-2, 2, 3 * K).view(3, K)
    assert made(logits, labels[:3]).equal(difc()(logits, labels[:3]))
    assert made.base_margins.argmax() == 3 and made.base_margins.max() == pytest.approx(0.3)  # the rarest class


def test_a_class_that_no_count_tells_of_is_refused():
    """bincount without minlength leaves out empty classes at the end, and with it they have no sample."""
    labels = torch.tensor([0, 0, 1, 2])
    with pytest.raises(ValueError, match="class 3 has no source sample"):
        make_loss("difc", labels.bincount(minlength=K), schedule())
    made = ours("dann", loss=make_loss("difc", labels.bincount(), schedule()))
    with pytest.raises(ValueError, match=r"\(16, 4\).*3"):
        made.training_step(next(iter(loaders()["train"])))
