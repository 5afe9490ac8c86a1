"""Parts of a batch on two processes, which are threads here: everything is as with the whole batch on one."""

import threading

import pytest
import torch
from loss_loops import COUNTS
from parts import CASES, IGNORED, PARTS, batch, value_and_gradient

from pa_difc import DIFCLoss, Schedule
from pa_difc.losses import difc, labelled
from pa_difc.util import distributed


class Pair:
    """Two threads whose sums are totalled as those of two processes are; the caller's is the first."""

    def __init__(self, monkeypatch):
        self.barrier, self.sums = threading.Barrier(2, timeout=20), [None, None]
        self.own = threading.local()
        for module, names in {distributed: ("processes", "total"), labelled: ("processes",), difc: ("total",)}.items():
            for name in names:
                monkeypatch.setattr(module, name, getattr(self, name))

    def processes(self):
        return 2 if hasattr(self.own, "rank") else 1

    def total(self, values):
        if self.processes() == 1:
            return values
        self.sums[self.own.rank] = values.detach().clone()
        self.barrier.wait()
        whole = self.sums[0] + self.sums[1]
        self.barrier.wait()
        return whole

    def run(self, work):
        """What ``work(rank)`` gives in each."""
        found = [None, None]

        def part(rank):
            self.own.rank = rank
            try:
                found[rank] = work(rank)
            except BaseException as error:
                found[rank] = error
                self.barrier.abort()
            del self.own.rank

        other = threading.Thread(target=part, args=(1,))
        other.start()
        part(0)
        other.join()
        for one in found:
            if isinstance(one, BaseException):
                raise one
        return found


@pytest.fixture
def pair(monkeypatch):
    return Pair(monkeypatch)


@pytest.mark.parametrize("ignored", IGNORED)
@pytest.mark.parametrize("case", CASES, ids=[f"{n}{o or ''}" for n, o in CASES])
def test_two_parts_average_to_the_loss_of_the_whole(pair, case, ignored):
    """Each part counts by its number of samples, as gradients do when they are averaged."""
    logits, labels = batch(ignored)
    value, gradient = value_and_gradient(*case, logits, labels)
    shares = [(part.stop - part.start) / 13 for part in PARTS]
    parts = pair.run(lambda rank: value_and_gradient(*case, logits[PARTS[rank]], labels[PARTS[rank]]))
    assert sum(s * v.item() for s, (v, _) in zip(shares, parts, strict=True)) == pytest.approx(value.item(), rel=1e-9)
    found = torch.cat([s * g for s, (_, g) in zip(shares, parts, strict=True)])
    torch.testing.assert_close(found, gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "options",
    [{"refresh": "epoch"}, {"refresh": "once"}, {"refresh": "step"}, {"confusion_from": "evaluation"}],
    ids=str,
)
def test_margins_follow_the_target_predictions_of_both_parts(pair, options):
    def margins(part):
        loss = DIFCLoss(COUNTS, Schedule(steps_per_epoch=2, confusion_epoch=1), epsilon=0.5, **options)
        seen = []
        for step in range(8):
            target = 3 * torch.randn(13, len(COUNTS), generator=torch.Generator().manual_seed(step))[part]
            if loss.needs_evaluation:
                loss.update_from_evaluation(target.flip(1).softmax(1))
            loss.update(target if loss.needs_target_logits else None)
            seen.append(torch.cat([loss.margins, loss.confusion.nan_to_num(-1.0)]))
        return torch.stack(seen)

    whole = margins(slice(None))
    for found in pair.run(lambda rank: margins(PARTS[rank])):
        torch.testing.assert_close(found, whole, rtol=1e-9, atol=1e-12)
    assert not margins(PARTS[0]).allclose(whole, rtol=1e-3)  # one part alone tells another thing
