"""The loss of pseudo-labels: class weights and margins of the guesses' own proportions, by plain loops in float64."""

import math

import numpy as np
import pytest
import torch
from confusion_loops import confusion, raised
from loss_loops import probs

from pa_difc import METHODS
from pa_difc.losses.pseudo import LEAST_SHARE, TARGET_LOSSES, PseudoLabelLoss

N, K = 9, 5


def batches(number, n=N, seed=0):
    """A teacher's probabilities, peaked and of classes that are not equally frequent; the last class never wins."""
    generator = torch.Generator().manual_seed(seed)
    towards = torch.tensor([2.0, 0.5, 0.0, 1.0, -9.0], dtype=torch.float64)
    return [
        (2 * torch.randn(n, K, generator=generator, dtype=torch.float64) + towards).softmax(1) for _ in range(number)
    ]


def student(seed=5):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(N, K, generator=generator, dtype=torch.float64)
    mask = torch.arange(N) % 3 != 1
    return logits, batches(1, seed=seed + 1)[0], mask


class Loops:
    """The loss from the formulas, in plain Python."""

    def __init__(self, max_margin, epsilon, power, memory):
        self.max_margin, self.epsilon, self.power, self.memory = max_margin, epsilon, power, memory
        self.q, self.seen, self.steps = [1 / K] * K, [], 0

    def observe(self, batch):
        rows = batch.tolist()
        means = [sum(row[k] for row in rows) / len(rows) for k in range(K)]
        kept = min(self.steps / (self.steps + 1), self.memory)
        self.q = [kept * old + (1 - kept) * new for old, new in zip(self.q, means, strict=True)]
        self.seen.append(np.array(rows))
        self.steps += 1

    def shares(self):
        return [max(q, LEAST_SHARE) for q in self.q]

    def scores(self):
        """Eq. 5, a step's samples counting ``memory`` times as much as those of the next one."""
        sums, counts = np.zeros(K), np.zeros(K)
        for age, batch in enumerate(reversed(self.seen)):
            for row in batch:
                first, second = sorted(row)[::-1][:2]
                sums[row.argmax()] += self.memory**age * (first - second)
                counts[row.argmax()] += self.memory**age
        return [counts[k] / sums[k] if counts[k] else math.inf for k in range(K)]

    def margins(self, name):
        if name in ("ce", "drw"):
            return [0.0] * K
        shares = self.shares()
        margins = [self.max_margin * (min(shares) / share) ** 0.25 for share in shares]
        return raised(margins, self.scores(), self.epsilon) if name == "difc" and self.seen else margins

    def weights(self, name):
        if name in ("ce", "margin"):
            return [1.0] * K
        powers = [share**-self.power for share in self.shares()]
        return [p / sum(q * power for q, power in zip(self.q, powers, strict=True)) for p in powers]

    def value(self, name, logits, guesses, mask):
        margins, weights, found = self.margins(name), self.weights(name), 0.0
        for z, guess, counts in zip(logits.tolist(), guesses.tolist(), mask.tolist(), strict=True):
            for k in range(K):
                lowered = [v - margins[k] * (j == k) for j, v in enumerate(z)]
                found += counts * guess[k] * weights[k] * -math.log(probs(lowered)[k])
        return found / len(logits)


@pytest.mark.parametrize("name", TARGET_LOSSES)
@pytest.mark.parametrize("steps", [0, 1, 4])
def test_the_loss_against_loops(name, steps):
    values = {"max_margin": 0.7, "epsilon": 0.4, "power": 0.8, "memory": 0.6}
    loss, loops = PseudoLabelLoss(name, K, **values), Loops(**values)
    for batch in batches(steps):
        loss.observe(batch)
        loops.observe(batch)
    given = student()
    assert loss(*given).item() == pytest.approx(loops.value(name, *given), rel=1e-9)
    assert loss.margins.tolist() == pytest.approx(loops.margins(name), rel=1e-9)
    assert loss.class_weights.tolist() == pytest.approx(loops.weights(name), rel=1e-9)
    assert sum(q * w for q, w in zip(loops.q, loss.class_weights.tolist(), strict=True)) == pytest.approx(1.0)


def test_the_five_losses_differ():
    found = set()
    for name in TARGET_LOSSES:
        loss = PseudoLabelLoss(name, K)
        loss.observe(batches(1)[0])
        found.add(round(loss(*student()).item(), 9))
    assert len(found) == len(TARGET_LOSSES) == 5


def test_ce_of_a_one_hot_guess_is_cross_entropy():
    logits, _, _ = student()
    labels = torch.arange(N) % K
    loss = PseudoLabelLoss("ce", K)(logits, torch.nn.functional.one_hot(labels, K).double(), torch.ones(N))
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits, labels))


def test_rare_guesses_weigh_more_and_have_the_larger_margins():
    loss = PseudoLabelLoss("di", 3, max_margin=0.9)
    loss.observe(torch.tensor([[0.6, 0.36, 0.04]]))
    assert loss.margins.tolist() == pytest.approx([0.9 * (0.04 / 0.6) ** 0.25, 0.9 * (1 / 9) ** 0.25, 0.9])
    powers = [0.6**-0.5, 0.36**-0.5, 0.04**-0.5]
    scale = 0.6 * powers[0] + 0.36 * powers[1] + 0.04 * powers[2]  # so that a guess weighs 1 in the mean
    assert loss.class_weights.tolist() == pytest.approx([p / scale for p in powers])


def test_a_class_that_nobody_guesses_keeps_a_finite_weight():
    loss = PseudoLabelLoss("di", 2)
    for _ in range(50):
        loss.observe(torch.tensor([[1.0, 0.0]]))
    ratio = (loss.class_weights[1] / loss.class_weights[0]).item()
    assert ratio == pytest.approx((1 / LEAST_SHARE) ** 0.5, rel=1e-6)


def test_proportions_are_a_plain_mean_at_first_and_forget_later():
    first, second, third, fourth = batches(4)
    loss = PseudoLabelLoss("ce", K, memory=2 / 3)
    loss.observe(first)
    torch.testing.assert_close(loss.mean, first.mean(0))
    loss.observe(second)
    loss.observe(third)
    torch.testing.assert_close(loss.mean, (first.mean(0) + second.mean(0) + third.mean(0)) / 3)
    before = loss.mean.clone()
    loss.observe(fourth)
    torch.testing.assert_close(loss.mean, 2 / 3 * before + 1 / 3 * fourth.mean(0))


def test_confusion_alone_sets_difc_apart_from_di():
    """Of two classes of one proportion the confused one has the larger margin."""
    sure, torn = [0.96, 0.02, 0.02], [0.02, 0.5, 0.48]
    batch = torch.tensor([sure, torn, [0.02, 0.48, 0.5]])
    di, difc = (PseudoLabelLoss(name, 3, epsilon=0.4) for name in ("di", "difc"))
    for loss in (di, difc):
        loss.observe(batch)
    scores = confusion(batch.numpy().astype(np.float64))
    more = (difc.margins - di.margins).tolist()
    assert more == pytest.approx(raised([0.0] * 3, scores, 0.4)) and min(more[1:]) > more[0] > 0


def test_guesses_are_constants_and_a_masked_sample_has_no_gradient():
    loss = PseudoLabelLoss("difc", K)
    loss.observe(batches(1)[0])
    logits, guesses, mask = student()
    logits.requires_grad_()
    loss(logits, guesses, mask).backward()
    moved = logits.grad.abs().sum(1) > 0
    assert moved.tolist() == mask.tolist()
    assert not any(True for _ in loss.parameters())


def test_all_masked_is_zero_and_not_nan():
    logits, guesses, _ = student()
    loss = PseudoLabelLoss("ce", K)(logits.requires_grad_(), guesses, torch.zeros(N, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0 and logits.grad.abs().sum() == 0


def test_half_precision_logits_are_summed_in_single():
    logits, guesses, mask = student()
    loss = PseudoLabelLoss("di", K)
    loss.observe(guesses)
    single = loss(logits.bfloat16().float(), guesses, mask)
    assert loss(logits.bfloat16(), guesses, mask).equal(single) and single.dtype == torch.float32


@pytest.mark.parametrize("move", ["half", "bfloat16", "float"])
def test_moved_to_half_precision_it_rounds_no_proportions(move):
    loss, moved = PseudoLabelLoss("difc", K), getattr(PseudoLabelLoss("difc", K), move)()
    for batch in batches(3):
        loss.observe(batch)
        moved.observe(batch)
    logits, guesses, mask = student()
    assert moved(logits, guesses, mask).equal(loss(logits, guesses, mask))
    assert all(moved.state_dict()[name].equal(kept) for name, kept in loss.state_dict().items())


def test_its_state_is_that_of_a_checkpoint():
    loss, fresh = PseudoLabelLoss("difc", K), PseudoLabelLoss("difc", K)
    for batch in batches(3):
        loss.observe(batch)
    fresh.load_state_dict(loss.state_dict())
    for one in (loss, fresh):
        one.observe(batches(1, seed=9)[0])
    assert loss(*student()).equal(fresh(*student())) and fresh.margins.equal(loss.margins)


def test_another_name_is_refused():
    with pytest.raises(ValueError, match="name='focal': must be one of ce, drw, margin, di, difc"):
        PseudoLabelLoss("focal", K)


def test_confusion_forgets_as_slowly_in_the_beginning_as_later():
    """After two batches the first one still counts nine tenths: class 0, hesitant there alone, is the confused one."""

    def rows(*gaps):
        """A sample of each class whose two largest probabilities are so far apart."""
        found = torch.full((len(gaps), 3), 0.0)
        for k, gap in enumerate(gaps):
            found[k, k], found[k, 2] = (1 + gap) / 2, (1 - gap) / 2
        return found.double()

    loss, plain = (PseudoLabelLoss(name, 3, epsilon=0.5, memory=0.9) for name in ("difc", "margin"))
    for batch in (rows(0.1, 0.58), rows(0.9, 0.58)):  # means of 0.52 and 0.58; of plain ones 0.50, of the last 0.63
        loss.observe(batch)
        plain.observe(batch)
    raise_ = loss.margins - plain.margins
    assert raise_[0] > raise_[1] + 0.01


def test_by_default_the_last_hundred_batches_count():
    """After a change of the teacher's mind a share of 0.99^100 = 0.37 of what it said before is left."""
    loss = PseudoLabelLoss("ce", 2)
    for row, number in (([1.0, 0.0], 300), ([0.0, 1.0], 100)):
        for _ in range(number):
            loss.observe(torch.tensor([row]))
    assert loss.mean[0].item() == pytest.approx(0.99**100, rel=1e-6)


def test_defaults_are_those_of_self_training():
    loss, options = PseudoLabelLoss("difc", 3), METHODS["adamatch"].Options()
    assert (loss.max_margin, loss.epsilon) == (options.target_margin, options.target_epsilon)
    assert (loss.max_margin, loss.epsilon) == (1.0, 0.5)
