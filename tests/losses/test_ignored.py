"""Labels that are to be ignored: every loss is that of the other samples alone."""

import pytest
import torch
from loss_loops import COUNTS, K, N, logs, lowered, made, random_batch
from parts import CASES, IGNORED, PARTS, batch, value_and_gradient
from processes import ROOT, start

from pa_difc import LOSSES, DIFCLoss, Schedule, make_loss
from pa_difc.losses import LossSpec
from pa_difc.util.errors import UserError

#: Options under which more than the mean could see an ignored sample.
VARIANTS = [{}, {"label_smoothing": 0.3}]


def later(name, **options):
    """A loss in its second epoch, whose class weights and raised margins are on."""
    loss = made(name, **options)
    for step in range(2 if hasattr(loss, "update") else 0):
        loss.update(random_batch()[0].roll(step, 1))
    return loss


@pytest.mark.parametrize("ignore_index", [-100, 255, 2, -1])
@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_that_of_the_other_samples_to_the_bit(name, options, ignore_index):
    logits, labels = random_batch()
    labels = (labels + (labels >= 2)) % K if ignore_index == 2 else labels  # no other sample is of class 2
    dropped = torch.tensor([True, False, False] * (N // 3))
    kept = logits[~dropped].clone().requires_grad_()
    expected = later(name, **options)(kept, labels[~dropped])
    slope = torch.autograd.grad(expected, kept)[0]
    logits = logits.masked_fill(dropped[:, None], torch.inf).requires_grad_()  # not even what they are is looked at
    loss = later(name, **options, ignore_index=ignore_index)
    found = loss(logits, labels.masked_fill(dropped, ignore_index))
    assert found.equal(expected)
    gradient = torch.autograd.grad(found, logits)[0]
    assert gradient[~dropped].equal(slope) and not gradient[dropped].any()
    nothing = loss(logits, torch.full_like(labels, ignore_index))
    assert nothing.item() == 0.0
    assert not torch.autograd.grad(nothing, logits)[0].any()


@pytest.mark.parametrize(
    ("ignore_index", "dtype"), [(-100, torch.long), (-100, torch.int8), (2, torch.long), (9, torch.uint8)]
)
@pytest.mark.parametrize("name", LOSSES)
def test_ignored_samples_weigh_nothing(name, ignore_index, dtype):
    loss = later(name, ignore_index=ignore_index)
    alone = [loss.sample_weights(torch.tensor([k], dtype=dtype)).item() for k in (0, 3, 1)]
    found = loss.sample_weights(torch.tensor([0, ignore_index, 3, 1, ignore_index], dtype=dtype))
    assert found.tolist() == [alone[0], 0, *alone[1:], 0] and all(alone)
    assert loss.sample_weights(torch.full((3,), ignore_index, dtype=dtype)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", LOSSES)
def test_a_label_that_is_no_class_has_no_weight(name):
    loss = later(name)
    with pytest.raises(ValueError, match=r"^label -7.*: must be in 0 … ?\d*, or be ignore_index=-100$"):
        loss.sample_weights(torch.tensor([0, -7]))
    with pytest.raises(TypeError, match=r"^labels of torch\.float32: must be whole numbers"):
        loss.sample_weights(torch.tensor([0.0, 1.0]))
    if loss.num_classes is not None:
        with pytest.raises(ValueError, match=rf"^label {K} with {K} classes: must be in 0 … {K - 1}, or"):
            loss.sample_weights(torch.tensor([K, 0]))


def test_ignored_samples_in_micro_batches_weighed_by_their_share():
    """As docs/method.md says."""
    loss, (logits, labels) = later("difc"), random_batch()
    labels[[0, 3, 4]] = -100
    parts = [slice(0, 4), slice(4, N)]
    masses = [loss.sample_weights(labels[p]).sum() for p in parts]
    shared = sum(loss(logits[p], labels[p]) * m for p, m in zip(parts, masses, strict=True)) / sum(masses)
    torch.testing.assert_close(shared, loss(logits, labels))


def test_spread_margins_are_those_of_the_samples_that_count():
    logits, labels = random_batch()
    loss = later("difc", margin_unit="spread", max_margin=2.0)
    ignored = labels.masked_fill(torch.arange(N) < 5, -100)
    louder = logits.clone()
    louder[:5] *= 1000
    assert loss(louder, ignored).equal(loss(logits[5:], labels[5:]))


@pytest.mark.parametrize("name", ["ce", "weighted_inverse", "di"])
def test_it_is_torch_s(name):
    """The same mean as torch's own for the same weights, where one sample counts at least."""
    logits, labels = random_batch()
    labels[[1, 4, 5]] = -1
    loss = later(name, ignore_index=-1, **({"max_margin": 0.0} if name == "di" else {}))
    buffer = {"ce": None, "weighted_inverse": "weights", "di": "class_weights"}[name]
    weight = None if buffer is None else getattr(loss, buffer).double()
    expected = torch.nn.functional.cross_entropy(logits, labels, weight, ignore_index=-1)
    assert loss(logits, labels).item() == pytest.approx(expected.item(), rel=1e-6)


def test_difc_s_smoothed_loss_beside_ignored_samples_against_a_loop():
    """Σ w_y Σ_k q_k ℓ_k / Σ w_y with q = (1 − α)·onehot + α/K, margins (N_min/N_k)^¼·cap plus ε/2^(j−1)."""
    logits, labels = random_batch()
    labels[[0, 3, 4, 11]] = -7
    schedule = Schedule(steps_per_epoch=1, confusion_epoch=1, reweight_epoch=1)
    loss = DIFCLoss(COUNTS, schedule, max_margin=0.6, epsilon=0.4, beta=0.99, label_smoothing=0.25, ignore_index=-7)
    loss.update(torch.diag(torch.tensor([3.0, 1.0, 5.0, 2.0, 4.0])))  # least sure of 1, then 3, 0, 4, 2
    ranks = [2, 0, 4, 1, 3]
    margins = [0.6 * (3 / n) ** 0.25 + 0.4 / 2**j for n, j in zip(COUNTS, ranks, strict=True)]
    weights = [(1 - 0.99) / (1 - 0.99**n) for n in COUNTS]
    total = mass = 0.0
    for z, y in zip(logits.tolist(), labels.tolist(), strict=True):
        if y != -7:
            each = logs(lowered(z, y, margins[y]))
            total += weights[y] * sum((0.75 * (k == y) + 0.05) * each[k] for k in range(K))
            mass += weights[y]
    assert loss(logits, labels).item() == pytest.approx(total / mass, rel=1e-6)


def test_losses_that_know_of_none_refuse_it(monkeypatch):
    monkeypatch.setitem(LOSSES, "plain", LossSpec("no such thing", lambda inputs: lambda z, y: z.sum()))
    make_loss("plain")
    with pytest.raises(UserError, match="loss 'plain' has no ignore_index: it must be -100"):
        make_loss("plain", ignore_index=255)
    with pytest.raises(UserError, match="takes no options: ignore_index"):
        make_loss(torch.nn.functional.cross_entropy, ignore_index=255)


def test_a_checkpoint_of_another_ignore_index_is_refused():
    make = lambda **options: DIFCLoss(COUNTS, Schedule(3), **options)  # noqa: E731
    with pytest.raises(ValueError, match="other settings: ignore_index was 255, is -100"):
        make().load_state_dict(make(ignore_index=255).state_dict())
    old = make().state_dict()
    del old["_extra_state"]["made_with"]["ignore_index"]
    make().load_state_dict(old)


@pytest.fixture(scope="module")
def of_two_processes(tmp_path_factory):
    out = tmp_path_factory.mktemp("parts")
    launcher = ("torch.distributed.run", "--standalone", "--nproc-per-node", 2)
    process = start("-m", *launcher, ROOT / "tests" / "losses" / "parts.py", out)
    said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    found = zip(*(torch.load(out / f"{r}.pt") for r in range(2)), strict=True)
    return dict(zip([(i, ignored) for i in range(len(CASES)) for ignored in IGNORED], found, strict=True))


@pytest.mark.parametrize("ignored", IGNORED)
@pytest.mark.parametrize("case", range(len(CASES)), ids=[f"{n}{o or ''}" for n, o in CASES])
def test_two_processes_average_to_the_loss_of_the_whole(of_two_processes, case, ignored):
    """Each part counts by its number of samples, as gradients do when they are averaged."""
    value, gradient = value_and_gradient(*CASES[case], *batch(ignored))
    shares = [(part.stop - part.start) / 13 for part in PARTS]
    parts = of_two_processes[case, ignored]
    assert sum(s * v.item() for s, (v, _) in zip(shares, parts, strict=True)) == pytest.approx(value.item(), rel=1e-9)
    found = torch.cat([s * g for s, (_, g) in zip(shares, parts, strict=True)])
    torch.testing.assert_close(found, gradient, rtol=1e-9, atol=1e-12)
