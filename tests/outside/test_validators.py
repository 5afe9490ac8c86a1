"""The host's validators on what our methods predict, collected by hand and over time."""

import numpy as np
import pytest
import torch
from checkpoints import allowed
from made import OLD_TORCH, TRAINED
from pytorch_adapt.frameworks.utils import collector_step, create_output_dict
from pytorch_adapt.validators import (
    AccuracyValidator,
    BNMValidator,
    ClassClusterValidator,
    DeepEmbeddedValidator,
    DiversityValidator,
    EntropyValidator,
    IMValidator,
    ISTValidator,
    MMDValidator,
    MultipleValidators,
    NearestSourceValidator,
    PerClassValidator,
    ScoreHistories,
    ScoreHistory,
    SNDValidator,
)
from toys import BATCH, datasets, loaders, ours, theirs

SPLITS = ("src_train", "src_val", "target_train", "target_val")


def collected(adapter):
    """Features, logits, predictions and labels of all splits, as the host's frameworks collect them."""
    adapter.models.eval()
    outputs = {}
    for split, loader in loaders(**{k: v for k, v in datasets().items() if k in SPLITS}).items():
        batches = [collector_step(adapter.inference, batch, create_output_dict) for batch in loader]
        outputs[split] = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
    return outputs


@pytest.fixture(scope="module", params=TRAINED)
def outputs(request):
    made = ours(request.param)
    made.models.train()
    for _ in range(4):
        for batch in loaders()["train"]:
            made.training_step(batch)
    return collected(made)


def score(validator, outputs):
    return validator(**{split: outputs[split] for split in validator.required_data})


OF_ONE_SPLIT = {
    "accuracy": lambda: AccuracyValidator(),
    "accuracy by class": lambda: AccuracyValidator(torchmetric_kwargs={"average": "macro", "num_classes": 4}),
    "accuracy on the training set": lambda: AccuracyValidator(key_map={"src_train": "src_val"}),
    "entropy": lambda: EntropyValidator(),
    "diversity": lambda: DiversityValidator(),
    "information maximisation": lambda: IMValidator(),
    "nuclear norm": lambda: BNMValidator(),
    "neighbourhood density": lambda: SNDValidator(),
    "on the target's test set": lambda: IMValidator(key_map={"target_val": "target_train"}),
    "information of the domains": lambda: ISTValidator(),
    "MMD": lambda: MMDValidator(mmd_kwargs={"mmd_type": "quadratic"}),
    "class clusters": lambda: ClassClusterValidator(),
    "nearest source": lambda: NearestSourceValidator(),
    "class by class": lambda: PerClassValidator(SNDValidator()),
}


@pytest.mark.parametrize("name", OF_ONE_SPLIT)
def test_validators_score_every_method(name, outputs):
    assert np.isfinite(float(score(OF_ONE_SPLIT[name](), outputs)))


def test_scores_are_those_of_the_predictions(outputs):
    """Against the formulas, so that a method's logits are what a softmax makes its predictions of."""
    p = outputs["target_train"]["logits"].softmax(1)
    entropy = (p * p.log()).sum(1).mean().item()  # negative: larger is better
    mean = p.mean(0)
    assert score(EntropyValidator(), outputs) == pytest.approx(entropy, rel=1e-4)
    assert score(DiversityValidator(), outputs) == pytest.approx(-(mean * mean.log()).sum().item(), rel=1e-4)
    right = outputs["src_val"]["preds"].argmax(1) == outputs["src_val"]["labels"]
    assert score(AccuracyValidator(), outputs) == pytest.approx(right.float().mean().item())


def test_each_split_is_of_its_own_length_and_domain(outputs):
    sizes = {split: len(dataset) for split, dataset in datasets().items() if split in SPLITS}
    for split, size in sizes.items():
        assert all(len(values) == size for values in outputs[split].values()), split
        assert set(outputs[split]["domain"].tolist()) == {int(split.startswith("target"))}


def test_predictions_of_two_classifiers_are_the_mean_of_their_softmaxes():
    made = ours("mcd")
    out = collected(made)["target_val"]
    with torch.no_grad():
        first, second = (z.softmax(1) for z in made.models["C"](out["features"]))
    torch.testing.assert_close(out["preds"], (first + second) / 2)


def test_agra_predicts_each_domain_by_its_own_graph():
    made = ours("agra")
    for batch in loaders()["train"]:
        made.training_step(batch)
    made.models.eval()

    def predict(x, domain):
        return made.inference(x, domain=domain)["logits"]

    x = datasets()["target_val"][0]["target_imgs"].expand(BATCH, -1)
    as_source, as_target = (predict(x, torch.full((BATCH,), d)) for d in (0, 1))
    assert (as_source - as_target).abs().max() > 1e-3
    assert predict(x, None).equal(as_target)  # who says nothing means the target
    for domain in (0, torch.tensor(0), torch.zeros(1), torch.zeros(BATCH)):
        assert predict(x, domain).equal(as_source)
    with pytest.raises(Exception, match="one domain at a time") as error:
        made.inference(x, domain=torch.arange(BATCH) % 2)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("method", ["source_only", "mcd", "agra"])
def test_histories_over_epochs(method):
    made = ours(method)
    history = ScoreHistory(IMValidator(), ignore_epoch=0)
    both = ScoreHistories(MultipleValidators({"entropy": EntropyValidator(), "accuracy": AccuracyValidator()}))
    for epoch in range(3):
        out = collected(made)
        history(epoch, target_train=out["target_train"])
        both(epoch, target_train=out["target_train"], src_val=out["src_val"])
        made.models.train()
        for batch in loaders()["train"]:
            made.training_step(batch)
    assert history.best_score == max(history.score_history[1:]) and history.best_epoch in (1, 2)
    parts = both.histories["entropy"].score_history + both.histories["accuracy"].score_history
    np.testing.assert_allclose(both.score_history, parts)


@pytest.mark.parametrize("make", [lambda: ours("dann"), lambda: theirs("CDAN"), lambda: ours("agra")])
def test_deep_embedded_validation(make, tmp_path, monkeypatch):
    """It trains discriminators in the host's Ignite, whose checkpoints it loads: the allowed types are for it, too."""
    out = collected(make())
    validator = DeepEmbeddedValidator(temp_folder=str(tmp_path), normalization="max")
    with allowed():
        assert np.isfinite(score(validator, out))
    if not OLD_TORCH:
        with pytest.raises(Exception, match=r"Weights only"):
            score(DeepEmbeddedValidator(temp_folder=str(tmp_path / "other")), out)
