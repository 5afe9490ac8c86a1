"""Predicting a whole domain: every sample once, in order, without a gradient, in eval mode."""

import pytest
import torch

from pa_difc.evaluation import predict


class Adapter:
    """A method whose networks shift their input, in another way in training than in evaluation."""

    def __init__(self, dtype=torch.float32):
        self.models = {"G": torch.nn.BatchNorm1d(3), "C": torch.nn.Linear(3, 4)}
        self.dtype, self.domains = dtype, []

    def inference(self, x, domain):
        self.domains.append(domain)
        features = self.models["G"](x)
        return {"features": features.to(self.dtype), "logits": self.models["C"](features).to(self.dtype)}


@pytest.fixture
def batches():
    torch.manual_seed(0)
    return [torch.randn(5, 3), torch.randn(5, 3), torch.randn(2, 3)]


def test_probabilities_and_features_of_each_sample_in_order(batches):
    adapter = Adapter()
    found = predict(adapter, batches)
    x = torch.cat(batches) / (1 + 1e-5) ** 0.5  # fresh statistics: mean 0, variance 1
    weights, biases = (values.detach() for values in adapter.models["C"].parameters())
    logits = [[float(w @ row + b) for w, b in zip(weights, biases, strict=True)] for row in x]
    expected = [[torch.tensor(z).exp() / torch.tensor(row).exp().sum() for z in row] for row in logits]
    torch.testing.assert_close(found.features, x)
    torch.testing.assert_close(found.probs, torch.tensor(expected))
    assert not found.probs.requires_grad and not found.features.requires_grad


@pytest.mark.parametrize(("asked", "domain"), [({}, 1), ({"domain": 0}, 0)])
def test_it_is_the_target_unless_the_source_is_asked_for(batches, asked, domain):
    adapter = Adapter()
    predict(adapter, batches, **asked)
    assert adapter.domains == [domain] * 3


class Views(list):
    """Batches that each come with their double."""

    def views(self, name):
        assert name == "flip"
        return ([batch, 2 * batch] for batch in self)


def test_views_are_averaged_and_features_are_of_the_first(batches):
    adapter = Adapter()
    plain, double = predict(adapter, batches), predict(adapter, [2 * batch for batch in batches])
    found = predict(adapter, Views(batches), views="flip")
    torch.testing.assert_close(found.probs, (plain.probs + double.probs) / 2)
    assert torch.equal(found.features, plain.features)


def test_modes_are_put_back_and_nothing_is_learnt(batches):
    adapter = Adapter()
    adapter.models["C"].eval()
    before = {k: v.clone() for k, v in adapter.models["G"].state_dict().items()}
    predict(adapter, batches)
    assert adapter.models["G"].training and not adapter.models["C"].training
    assert all(torch.equal(v, before[k]) for k, v in adapter.models["G"].state_dict().items())


def test_half_precision_ends_in_single(batches):
    found = predict(Adapter(torch.bfloat16), batches)
    assert found.probs.dtype == found.features.dtype == torch.float32
