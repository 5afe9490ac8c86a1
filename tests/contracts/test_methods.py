"""What each method does with the loss in its slot, and with its own."""

import pytest
import torch
from made import TRAINED
from pytorch_adapt.containers import Models, Optimizers

from pa_difc import DANN, MCD, METHODS, SAFN
from pa_difc.losses.schedule import Schedule, adversarial_ramp
from pa_difc.methods.heads import classifier
from pa_difc.methods.reversal import RampedGradientReversal
from pa_difc.util.errors import UserError

N, K, D = 8, 4, 6

#: How often a step asks the classification loss, where there are two classifiers.
CALLS = {"mcd": 4, "swd": 4, "star": 4, "mcd_onestep": 2}


def adapter(method, loss="ce", **kwargs):
    torch.manual_seed(0)
    cls = METHODS[method]
    features = 384 if cls.needs_regions else 5
    models = Models({"G": torch.nn.Linear(D, features), **cls.heads(features, K)})
    made = cls(models, Optimizers((torch.optim.SGD, {"lr": 0.01})), loss=loss, **kwargs)
    made.models.eval()  # no dropout: values can be compared
    return made


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "src_imgs": torch.randn(N, D, generator=generator),
        "target_imgs": torch.randn(N, D, generator=generator),
        "src_labels": torch.arange(N) % K,
        "src_domain": torch.zeros(N, dtype=torch.long),
        "target_domain": torch.ones(N, dtype=torch.long),
    }


@pytest.mark.parametrize(("method", "calls"), [(m, CALLS.get(m, 1)) for m in TRAINED])
def test_the_loss_in_the_slot_is_the_one_that_trains(method, calls):
    seen = []

    def loss(logits, labels):
        seen.append((logits.shape, labels.tolist()))
        return 0.0 * logits.sum() + 42.0

    parts = adapter(method, loss).training_step(batch())
    assert seen == [((N, K), [0, 1, 2, 3] * 2)] * calls
    values = [v for step in parts.values() for k, v in step.items() if k.startswith("src_c_loss")]
    assert values == [42.0] * calls


@pytest.mark.parametrize("method", TRAINED)
def test_a_method_says_whether_it_looks_at_target_images(method):
    given = {"class_counts": [4, 3, 2, 1], "schedule": Schedule(steps_per_epoch=1, confusion_epoch=1)}
    for loss in ("ce", "difc"):
        made, data = adapter(method, loss, **(given if loss == "difc" else {})), batch()
        del data["target_imgs"]
        if made.reads_target:
            with pytest.raises(UserError, match=r"the batch has no target_imgs, which .* needs"):
                made.training_step(data)
        else:
            made.training_step(data)
            assert loss == "ce" and method in ("source_only", "lpl")


@pytest.mark.parametrize("method", TRAINED)
def test_losses_are_summed(method):
    parts = adapter(method).training_step(batch())
    for step in parts.values():
        assert step["total"] == pytest.approx(sum(v for k, v in step.items() if k != "total"), rel=1e-5)


def test_safn_against_the_equation():
    made, data = adapter("safn", weight=0.3), batch()
    norms = [made.models["G"](data[f"{d}_imgs"]).norm(dim=1) for d in ("src", "target")]
    expected = sum((n - (n.detach() + 1)).pow(2).mean().item() for n in norms)  # Δr² twice
    parts = made.training_step(data)["total_loss"]
    assert parts["afn_loss"] == pytest.approx(0.3 * expected, rel=1e-5)
    assert SAFN.Options().weight == 0.05


def test_safn_lets_norms_of_both_domains_grow():
    made, data = adapter("safn", loss=lambda z, y: 0.0 * z.sum(), weight=1.0), batch()
    norm = lambda d: made.models["G"](data[f"{d}_imgs"]).norm(dim=1).mean().item()  # noqa: E731
    before = {d: norm(d) for d in ("src", "target")}
    for _ in range(5):
        made.training_step(data)
    assert all(norm(d) > before[d] for d in before)


def test_mcd_against_the_equations():
    made, data = adapter("mcd", hook_kwargs={"repeat": 1}), batch()
    with torch.no_grad():
        source = made.models["C"](made.models["G"](data["src_imgs"]))
        losses = [torch.nn.functional.cross_entropy(z, data["src_labels"]).item() for z in source]
    first = made.training_step(data)
    assert first["x_loss"]["total"] == pytest.approx(sum(losses), rel=1e-5)

    made, data = adapter("mcd", hook_kwargs={"repeat": 1}, weight=0.5), batch()
    for optimizer in made.optimizers.values():
        optimizer.param_groups[0]["lr"] = 0.0
    parts = made.training_step(data)
    with torch.no_grad():
        a, b = (z.softmax(1) for z in made.models["C"](made.models["G"](data["target_imgs"])))
    discrepancy = (a - b).abs().mean().item()
    assert parts["y_loss"]["discrepancy_loss"] == pytest.approx(-0.5 * discrepancy, rel=1e-4)
    assert parts["z_loss"]["discrepancy_loss"] == pytest.approx(0.5 * discrepancy, rel=1e-4)
    assert parts["y_loss"]["total"] == pytest.approx(sum(losses) - 0.5 * discrepancy, rel=1e-4)


def test_mcd_moves_classifiers_in_b_and_the_extractor_in_c():
    made, data = adapter("mcd"), batch()
    moved = []
    for name, optimizer in made.optimizers.items():
        step = optimizer.step
        optimizer.step = lambda name=name, step=step: (moved.append(name), step())
    made.training_step(data)
    assert sorted(moved[:2]) == ["C", "G"] and moved[2:] == ["C", "G", "G", "G", "G"]


def test_dann_s_reversal_ramps_in_its_own_steps():
    made = adapter("dann", ramp_steps=10, weight=0.5)
    for step in range(13):
        assert made.reversal.weight.item() == pytest.approx(0.5 * adversarial_ramp(min(1, step / 10)), abs=1e-6)
        made.training_step(batch(step))
    assert made.misc["gradient_reversal"] is made.reversal
    assert DANN.schedule_options(77) == {"ramp_steps": 77}


def test_dann_s_extractor_gets_the_reversed_gradient():
    grads = {}
    for weight in (0.0, 1.0):
        made = adapter("dann", loss=lambda z, y: 0.0 * z.sum(), weight=weight)
        made.training_step(batch())
        grads[weight] = made.models["G"].weight.grad.clone()
    made = adapter("dann")
    data = batch()
    dlogits = made.models["D"](made.models["G"](torch.cat([data["src_imgs"], data["target_imgs"]])))
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    loss = bce(dlogits[:N], torch.zeros(N)) + bce(dlogits[N:], torch.ones(N))
    loss.backward()
    torch.testing.assert_close(grads[1.0], -made.models["G"].weight.grad)
    assert grads[0.0].abs().max() == 0


def test_a_reversal_of_another_ramp_is_refused():
    state = RampedGradientReversal(1.0, 10).state_dict()
    with pytest.raises(ValueError, match="gradient reversal was made with"):
        RampedGradientReversal(1.0, 20).load_state_dict(state)


def test_classifiers_of_mcd_start_out_different():
    first, second = MCD.heads(5, K)["C"].models
    assert not first.weight.equal(second.weight)
    assert classifier(5, K).weight.shape == (K, 5)


def test_reusing_features_saves_a_pass_and_changes_nothing_without_batchnorm():
    weights, passes = [], []
    for reuse in (False, True):
        made = adapter("mcd", hook_kwargs={"reuse_features": reuse})
        count = []
        made.models["G"].register_forward_hook(lambda *_, seen=count: seen.append(1))
        for seed in range(3):
            parts = made.training_step(batch(seed))
            assert set(parts) == {"x_loss", "y_loss", "z_loss"}
        weights.append(torch.cat([p.flatten() for m in made.models.values() for p in m.parameters()]))
        passes.append(len(count))
    assert torch.equal(*weights) and passes == [3 * 7, 3 * 6]


def test_one_step_mcd_lowers_for_features_what_it_raises_for_classifiers():
    made, data = adapter("mcd_onestep", loss=lambda z, y: 0.0 * z.sum(), weight=0.7), batch()
    p1, p2 = (z.softmax(1) for z in made.models["C"](made.models["G"](data["target_imgs"])))
    distance = (p1 - p2).abs().mean()
    parameters = {name: list(made.models[name].parameters()) for name in ("G", "C")}
    grads = {n: torch.autograd.grad(distance, ps, retain_graph=True) for n, ps in parameters.items()}
    before = {n: [p.detach().clone() for p in ps] for n, ps in parameters.items()}
    (parts,) = made.training_step(data).values()
    assert parts["discrepancy_loss"] == pytest.approx(-0.7 * distance.item(), rel=1e-5)
    for name, sign in (("G", -1.0), ("C", 1.0)):  # plain SGD at 0.01
        for p, b, g in zip(parameters[name], before[name], grads[name], strict=True):
            torch.testing.assert_close(p.detach(), b + sign * 0.01 * 0.7 * g)
