"""Where an epoch of the data ends, read off the numbers of the samples or told by the host's frameworks."""

import copy
import io
import warnings

import numpy as np
import pytest
import torch
from made import TRAINED
from pytorch_adapt.adapters import DANN as HostDANN
from pytorch_adapt.containers import Models, Optimizers
from pytorch_adapt.datasets import CombinedSourceAndTargetDataset, DataloaderCreator, SourceDataset, TargetDataset
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from pa_difc import METHODS, DIFCLoss, Schedule, attach
from pa_difc.methods.epochs import EpochHook

K, D, F = 4, 6, 5
COUNTS = [40, 5, 20, 10]


class Domains:
    """Points of both domains in the host's datasets."""

    def __init__(self, sources=60, targets=43):
        generator = torch.Generator().manual_seed(0)
        source = torch.randn(sources, D, generator=generator), torch.arange(sources) % K
        target = torch.randn(targets, D, generator=generator) + 1
        self.source = SourceDataset(TensorDataset(*source))
        self.target = TargetDataset(TensorDataset(target, torch.zeros(targets)))
        self.both = CombinedSourceAndTargetDataset(self.source, self.target)


def loader(domains=None, **kwargs):
    domains = domains or Domains()
    return DataloaderCreator(batch_size=8, num_workers=0, **kwargs)(train=domains.both)["train"]


def adapter(method="dann", steps=None, **kwargs):
    torch.manual_seed(0)
    cls = METHODS[method]
    features = 384 if cls.needs_regions else F
    models = Models({"G": torch.nn.Linear(D, features), **cls.heads(features, K)})
    loss = DIFCLoss(COUNTS, Schedule(steps, **{"confusion_epoch": 1, "reweight_epoch": 2} | kwargs), epsilon=0.5)
    made = cls(models, Optimizers((torch.optim.SGD, {"lr": 0.05})), loss=loss)
    made.models.train()
    return made


def train(made, batches, epochs):
    torch.manual_seed(1)
    np.random.seed(1)
    losses = []
    for _ in range(epochs):
        for batch in batches:
            losses.append(copy.deepcopy(made.training_step(batch)))
    return losses


@pytest.mark.parametrize("method", TRAINED)
@pytest.mark.parametrize("schedule", [{}, {"confusion_epoch": 2, "warmup_epochs": 1, "reweight_epoch": 1}])
def test_a_length_that_is_read_off_the_batches_is_the_one_that_is_given(method, schedule):
    batches = loader()
    assert len(batches) == 5  # 43 samples, of which 3 are dropped each time
    known, learnt = adapter(method, 5, **schedule), adapter(method, **schedule)
    assert train(known, batches, 4) == train(learnt, batches, 4)
    assert learnt.loss.steps_per_epoch == 5 and learnt.loss.phase.value == "difc"
    assert learnt.loss.margins.equal(known.loss.margins)
    for name, model in known.models.items():
        for key, value in model.state_dict().items():
            assert value.equal(learnt.models[name].state_dict()[key]), (name, key)


def test_in_the_host_s_adapter_too():
    torch.manual_seed(0)
    models = Models({"G": torch.nn.Linear(D, F), "C": torch.nn.Linear(F, K), "D": torch.nn.Linear(F, 1)})
    models["D"] = torch.nn.Sequential(models["D"], torch.nn.Flatten(0))
    made = attach(HostDANN(models), DIFCLoss(COUNTS, Schedule(None, confusion_epoch=1)))
    train(made, loader(), 2)
    assert made.loss.steps_per_epoch == 5 and made.loss.phase.value == "difc"


@pytest.mark.parametrize("method", TRAINED)
def test_a_schedule_that_does_not_fit_the_loader_warns_once(method):
    made = adapter(method, 384)
    with pytest.warns(UserWarning, match=r"5.*384") as caught:
        train(made, loader(), 4)
    assert len(caught) == 1
    assert made.loss.steps_per_epoch == 384  # what was given stands


def test_a_schedule_that_fits_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(adapter("dann", 5), loader(), 3)
        train(adapter("dann"), loader(), 3)


def test_numbers_drawn_with_replacement_are_no_epochs():
    domains = Domains()
    sampler = RandomSampler(domains.both, replacement=True, num_samples=400)
    batches = DataLoader(domains.both, batch_size=8, sampler=sampler)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(adapter("dann", 384), batches, 1)
    made = adapter("dann")
    with pytest.warns(UserWarning, match=r"steps_per_epoch=len\(loader\).*end_epoch\(\)") as caught:
        train(made, batches, 1)
    assert len(caught) == 1 and made.loss.steps_per_epoch is None and made.loss.phase.value == "di"


class Told:
    """A loss that notes the steps at which it is told of an epoch's end."""

    steps_per_epoch = 7

    def __init__(self):
        self.steps, self.ends = 0, []

    def set_steps_per_epoch(self, steps):
        self.steps_per_epoch = steps

    def end_epoch(self):
        self.ends.append(self.steps)


def ends(targets, sources=None):
    told = Told()
    hook = EpochHook(told)
    for i, numbers in enumerate(targets):
        batch = {"target_sample_idx": torch.tensor(numbers)}
        if sources is not None:
            batch["src_sample_idx"] = torch.tensor(sources[i])
        hook(batch)
        hook.end_step()
        told.steps += 1
    return told.ends


def test_ends_of_passes():
    three = [[3, 0], [5, 1], [2, 4]]  # six samples in any order
    assert ends(three * 3) == [3, 6]
    assert ends([[3, 0], [5, 1], [4, 2], [0, 1], [2, 3], [4, 5], [5, 0]]) == [3, 6]
    assert ends([[3, 0], [5, 1], [6, 4], [2, 0], [1, 3]]) == [3]  # the seventh sample was dropped
    assert ends([[3, 0], [5, 1], [9, 4], [2, 0]]) == []  # four samples never came: no whole pass
    assert ends([[3, 3], [0, 1], [2, 4], [3, 0]]) == []  # drawn with replacement
    assert ends([[0], [1], [2], [1]]) == [3]
    assert ends([[9, 8], [7, 6], [9, 8]]) == []  # some of a larger dataset
    assert ends([[0, 1], [2, 3], [0, 1]] * 2) == [2]  # then 2 and 3 are missing: no pass


def test_a_target_that_is_cycled_within_a_longer_source_has_no_epochs_of_its_own():
    targets = [[0, 1], [2, 3]] * 4
    assert ends(targets, [[2 * i, 2 * i + 1] for i in range(8)]) == []
    assert ends(targets, [[0, 0], [1, 5], [5, 2], [3, 3]] * 2) == [2, 4, 6]  # the host draws it with replacement
    cycled = [[0, 1], [1, 0], [0, 1], [1, 0]] * 2
    assert ends(targets, cycled) == [2, 4, 6]  # the longer of both is the target


class Framework:
    """What the host's Ignite shows before training starts."""

    device = torch.device("cpu")

    def __init__(self, length):
        self.trainer = type("Trainer", (), {"state": type("State", (), {"epoch_length": length})})


@pytest.mark.parametrize("own", [False, True])
def test_a_framework_tells_the_length(own):
    began = []
    made = adapter("mcd")
    if own:  # a function of the user's is called beside it
        made.before_training_starts = None
        cls = METHODS["mcd"]
        made = cls(
            made.models,
            loss=DIFCLoss(COUNTS, Schedule(None)),
            before_training_starts=lambda adapter: began.append,
        )
    framework = Framework(17)
    made.before_training_starts(framework)
    assert made.loss.steps_per_epoch == 17 and began == [framework] * own
    other = adapter("mcd", 384)
    with pytest.warns(UserWarning, match=r"17.*384"):
        other.before_training_starts(framework)


def test_a_framework_moves_the_loss_to_its_device():
    made, framework = adapter("mcd"), Framework(5)
    framework.device = torch.device("meta")
    made.before_training_starts(framework)
    assert made.loss.margins.device == made.loss.gap_sums.device == framework.device


@pytest.mark.parametrize("numbers", [None, "source"])
def test_batches_that_show_no_epoch(numbers):
    """Without any numbers one warning; with the source's alone they are its epochs."""
    made = adapter("source_only", confusion_epoch=None)
    batches = [{k: v for k, v in b.items() if not k.startswith("target")} for b in loader()]
    for i, batch in enumerate(batches):
        del batch["src_sample_idx"]
        if numbers:
            batch["src_sample_idx"] = torch.arange(8) + 8 * i
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(made, batches, 4)
    if numbers:
        assert made.loss.steps_per_epoch == 5 and made.loss.reweighted and not caught
    else:
        assert len(caught) == 1 and "end_epoch()" in str(caught[0].message)


@pytest.mark.parametrize("kind", [list, np.asarray, lambda x: torch.tensor(x, dtype=torch.int32)])
def test_numbers_of_any_kind(kind):
    told = Told()
    hook = EpochHook(told)
    for numbers in [[0, 1], [2, 3]] * 2:
        hook({"target_sample_idx": kind(numbers)})
        hook.end_step()
        told.steps += 1
    assert told.ends == [2]


@pytest.mark.parametrize("steps", [1, 10, 384])
def test_a_length_that_divides_the_true_one_is_warned_of_too(steps):
    made = adapter("dann", steps)
    with pytest.warns(UserWarning, match=rf"had 5 steps, the schedule's has {steps}") as caught:
        train(made, loader(), 4)
    assert len(caught) == 1


def test_a_length_is_learnt_after_resuming_in_the_middle_of_the_first_epoch():
    begun, batches = adapter("dann"), list(loader())
    for batch in batches[:3]:
        begun.training_step(batch)
    resumed = adapter("dann")
    for name in ("models", "optimizers", "misc"):
        getattr(resumed, name).load_state_dict(getattr(begun, name).state_dict())
    with pytest.warns(UserWarning, match="epochs went by unnoticed"):
        train(resumed, batches, 3)
    assert resumed.loss.steps_per_epoch == 5 and resumed.loss.phase.value == "difc"


@pytest.mark.parametrize("after", [5, 10])
def test_a_run_that_is_resumed_between_epochs_learns_what_one_that_went_on_did(after):
    """After the first epoch, whose length nobody has seen yet, and after the second."""

    def parts(made):
        return {n: getattr(made, n).state_dict() for n in ("models", "optimizers", "misc")}

    batches = list(loader()) * 4
    straight, begun = adapter("mcd"), adapter("mcd")
    for batch in batches:
        straight.training_step(batch)
    for batch in batches[:after]:
        begun.training_step(batch)
    kept = io.BytesIO()
    torch.save(parts(begun), kept)
    kept.seek(0)
    resumed = adapter("mcd")
    for name, state in torch.load(kept, weights_only=True).items():
        getattr(resumed, name).load_state_dict(state)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for batch in batches[after:]:
            resumed.training_step(batch)
    assert resumed.loss.steps_per_epoch == straight.loss.steps_per_epoch == 5
    assert resumed.loss.margins.equal(straight.loss.margins) and resumed.loss.confusion.equal(straight.loss.confusion)


def shuffled(batches, seed):
    """A pass of the loader in an order of its own."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    return list(batches)


@pytest.mark.parametrize("stops", [[1], [3], [4], [2, 3]])
def test_a_loop_that_is_stopped_in_its_first_epoch_and_begins_anew_learns_the_length(stops):
    made, batches = adapter("dann"), loader()
    passes = [shuffled(batches, seed)[:stop] for seed, stop in enumerate(stops)]
    passes += [shuffled(batches, 10 + seed) for seed in range(4)]
    with pytest.warns(UserWarning) as caught:
        for batch in [batch for one in passes for batch in one]:
            made.training_step(batch)
    (said,) = (str(warning.message) for warning in caught)
    assert "that an epoch has 5 steps: epochs went by unnoticed" in said
    assert made.loss.steps_per_epoch == 5 and made.loss.phase.value == "difc" and made.loss.reweighted


def test_single_samples_that_are_drawn_with_replacement_are_no_stopped_loops():
    """No batch has one of them twice."""
    told = Told()
    told.steps_per_epoch = None
    hook, generator = EpochHook(told), torch.Generator().manual_seed(0)
    with pytest.warns(UserWarning, match=r"end_epoch\(\) after each epoch") as caught:
        for _ in range(400):
            hook({"target_sample_idx": torch.randint(43, (1,), generator=generator)})
            hook.end_step()
    assert len(caught) == 1 and told.steps_per_epoch is None and not told.ends


def test_a_loss_that_is_loaded_alone_learns_the_length_of_an_epoch_and_not_its_own_steps():
    begun, batches = adapter("dann"), list(loader())
    for batch in batches[:3]:
        begun.training_step(batch)
    resumed = adapter("dann")
    resumed.loss.load_state_dict(begun.loss.state_dict())
    with pytest.warns(UserWarning, match="that an epoch has 5 steps: epochs went by unnoticed"):
        train(resumed, batches, 3)
    assert resumed.loss.steps_per_epoch == 5
