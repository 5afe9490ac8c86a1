"""Adaptation without the source: what moves, by which losses, without an image or a label of the source."""

import math

import numpy as np
import pytest
import torch
from made import random_faces, settings_given
from pytorch_adapt.containers import Models, Optimizers
from pytorch_adapt.hooks import MCCHook
from pytorch_adapt.weighters import MeanWeighter
from safetensors.torch import save_file
from taught import D, F, K, M, batch, plain_guesses, said, softmax

from pa_difc import METHODS
from pa_difc.backbones import make_backbone
from pa_difc.data import Domain
from pa_difc.data.faces import FaceSet
from pa_difc.data.features import FeatureSet
from pa_difc.data.labels import LabelSet
from pa_difc.deploy.model import load_model as load
from pa_difc.methods.source_free import SourceFree, information
from pa_difc.training.build import make_adapter
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError

CLASSES = ("tree", "car", "dog")


def adapter(method="source_free", lr=0.1, **options):
    torch.manual_seed(0)
    cls = METHODS[method]
    extractor = torch.nn.Sequential(torch.nn.Linear(D, F), torch.nn.BatchNorm1d(F), torch.nn.Tanh())
    made = cls(Models({"G": extractor, **cls.heads(F, K)}), Optimizers((torch.optim.SGD, {"lr": lr})), **options)
    made.models.train()
    return made


def target_alone(seed=0):
    return {name: value for name, value in batch(seed, strong=True).items() if not name.startswith("src_imgs")}


def entropy(p):
    return -sum(v * math.log(v) for v in p)


def test_information_against_a_loop():
    logits = 2 * torch.randn(M, K, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = [softmax(row) for row in logits.tolist()]
    mean = [sum(row[k] for row in rows) / M for k in range(K)]
    expected = entropy(mean) - sum(map(entropy, rows)) / M
    assert information(logits).item() == pytest.approx(expected, rel=1e-9)


def test_information_at_its_ends():
    one_each = 50.0 * torch.eye(K)
    assert information(one_each).item() == pytest.approx(math.log(K), abs=1e-5)
    assert information(one_each[:1].expand(K, K)).item() == pytest.approx(0, abs=1e-5)  # certain, of one class
    assert information(torch.zeros(K, K)).item() == pytest.approx(0, abs=1e-6)  # all classes, uncertain
    certain = (200.0 * torch.eye(K)).requires_grad_()
    information(certain).backward()
    assert certain.grad.isfinite().all()


def test_information_has_the_gradient_of_both_entropies():
    """By differences: a detached mean would leave the first one out."""
    logits = 2 * torch.randn(M, K, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    logits.requires_grad_()
    information(logits).backward()
    step = 1e-6
    for i, k in ((0, 0), (2, 1), (5, 3)):
        moved = [logits.detach().clone() for _ in range(2)]
        moved[0][i, k] += step
        moved[1][i, k] -= step
        difference = (information(moved[0]) - information(moved[1])).item() / (2 * step)
        assert logits.grad[i, k].item() == pytest.approx(difference, rel=1e-4, abs=1e-8)


def test_a_step_against_the_formulas():
    made, data = adapter(lr=0.0, information=0.7, target_weight=0.4, temperature=0.5), target_alone()
    target = said(made, data["target_imgs"])
    q = target.mean(0).tolist()
    guesses, _ = plain_guesses(target.tolist(), [[1.0]], q, q, 0.5, 0.5, 0.0)  # sharpened: nothing is to align yet
    with torch.no_grad():
        logits = made.models["C"](made.models["G"](data["target_imgs_strong"]))
    rows = [softmax(row) for row in logits.tolist()]
    distilled = -sum(g * math.log(p) for guess, row in zip(guesses, rows, strict=True)
                     for g, p in zip(guess, row, strict=True)) / M  # fmt: skip
    losses = made.training_step(data)["total_loss"]
    assert losses["self_training_loss"] == pytest.approx(0.4 * distilled, rel=1e-4)
    assert losses["information_loss"] == pytest.approx(-0.7 * information(logits).item(), rel=1e-4)
    assert losses["total"] == pytest.approx(losses["self_training_loss"] + losses["information_loss"], rel=1e-5)


def test_the_extractor_moves_and_the_classifier_does_not():
    made = adapter()
    for optimizer in made.optimizers.values():
        optimizer.param_groups[0]["weight_decay"] = 0.1
    g, c = (made.models[name].state_dict()["0.weight" if name == "G" else "weight"].clone() for name in ("G", "C"))
    for seed in range(3):
        made.training_step(target_alone(seed))
    assert made.models["C"].weight.equal(c) and not made.models["G"][0].weight.equal(g)


def test_one_pass_of_the_strong_view_serves_both_losses():
    made, passes = adapter(), []
    made.models["G"].register_forward_hook(lambda *_: passes.append(made.models["G"].training))
    made.training_step(target_alone())
    assert passes == [True] and int(made.models["G"][1].num_batches_tracked) == 1


def test_information_alone_makes_predictions_certain_and_spread():
    made = adapter(target_weight=0.0, information=1.0, lr=0.5)
    faces = torch.cat([batch(seed)["target_imgs"] for seed in range(10)])
    before = information(said(made, faces).log())
    for seed in range(60):
        made.training_step({"target_imgs": batch(seed % 10)["target_imgs"], "target_domain": torch.ones(M).long()})
    assert information(said(made, faces).log()) > 2 * before > 0.1


def test_hooks_join_it_and_unknown_arguments_are_refused():
    made = adapter(hook_kwargs={"post": [MCCHook()], "weighter": MeanWeighter()})
    losses = made.training_step(target_alone())["total_loss"]
    own = [value for name, value in losses.items() if name != "total"]
    assert {"mcc_loss", "self_training_loss", "information_loss"} < losses.keys()
    assert losses["total"] == pytest.approx(sum(own) / 3, rel=1e-4)
    joined = adapter("source_free+mcc").training_step(target_alone())["total_loss"]
    assert joined["class_confusion_loss"] > 0
    with pytest.raises(UserError, match=r"hook_kwargs\['post_g'\]: SourceFreeHook takes"):
        adapter(hook_kwargs={"post_g": []})


@pytest.mark.parametrize("align", ["source", "estimated"])
def test_there_is_no_source_to_align_to(align):
    with pytest.raises(UserError, match=f"unknown align '{align}'"):
        adapter(align=align)


def test_the_threshold_is_a_probability():
    assert "probability" in SourceFree.Options.__dataclass_fields__["threshold"].metadata["about"]
    made, data = adapter(lr=0.0, threshold=0.4, align="none"), target_alone()
    probs_of = said(made, data["target_imgs"])
    seen = []
    loss = made.teaching.loss.forward
    made.teaching.loss.forward = lambda z, p, mask: (seen.append(mask), loss(z, p, mask))[1]
    made.training_step(data)
    assert seen[0].equal(probs_of.max(1).values >= 0.4) and 0 < seen[0].sum() < M


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(1)
    state = make_backbone("small").state_dict() | {"fc.weight": torch.randn(3, 128), "fc.bias": torch.randn(3)}
    save_file(state, tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


LABELS = LabelSet(("car", "dog", "tree"))


def settings(weights=None, **values):
    given = {"method": "source_free", "loss": "ce", "crop_px": 32, "epochs": 2, "batch_size": 6}
    given |= {"pretrained": str(weights), "pretrained_classes": CLASSES} if weights else {}
    return resolve(Settings.of(**given | values))


def few(seed, labelled=True):
    train, test = (random_faces(n, seed + i, num_classes=3) for i, n in enumerate((17, 9)))
    return Domain("d", train, test, LABELS)


def test_a_run_reads_no_source_image_and_no_label(weights, tmp_path, monkeypatch):
    source, target = few(0), few(5)
    first = run_cell(settings(weights), source, target, tmp_path / "a", progress=False)
    batches, original = [], FaceSet.batch

    def spied(self, *args):
        batches.append(self)
        return original(self, *args)

    monkeypatch.setattr(FaceSet, "batch", spied)
    other = Domain("d", random_faces(17, 40, num_classes=3), source.test, LABELS)
    target.train.labels[:] = 0
    second = run_cell(settings(weights), other, target, tmp_path / "b", progress=False)
    assert not any(part is other.train for part in batches) and any(part is target.train for part in batches)
    assert [h["losses"] for h in first["history"]] == [h["losses"] for h in second["history"]]
    assert first["scores"]["target"] == second["scores"]["target"]
    (folder,) = (tmp_path / "a" / "runs").iterdir()
    image, points = torch.from_numpy(target.test.images).float() / 255, torch.from_numpy(target.test.landmarks)
    found = load(folder)(image, points).detach()
    np.testing.assert_allclose(found, np.load(folder / "outputs.npz")["target_probs"], atol=1e-5)


def test_it_starts_from_a_pretrained_classifier_or_not_at_all(weights):
    assert settings(weights).model.head_init == "pretrained"
    with pytest.raises(UserError, match="method source_free starts from the classifier of pretrained weights"):
        settings()
    with pytest.raises(UserError, match="head_init=random: source_free needs the pretrained classifier"):
        settings(weights, head_init="random", pretrained_classes=None)
    faces = few(0)
    frozen = [
        FeatureSet(np.ones((len(part), 4), np.float32), part.labels, part.names) for part in (faces.train, faces.test)
    ]
    with pytest.raises(UserError, match="method source_free trains the network itself: train it on faces"):
        make_adapter(settings(weights), Domain("frozen", *frozen, LABELS), 3)


def test_the_loss_in_its_slot_plays_no_part(weights):
    cell = settings_given(
        *("--method", "source_free", "--loss", "difc", "--pretrained", weights, "--set"),
        *("pretrained_classes=tree,car,dog", "crop_px=32"),
    )
    assert (cell.method.name, cell.loss.name) == ("source_free", "ce")
