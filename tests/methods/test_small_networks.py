"""The networks that methods put on features, and what is trained in the place of a frozen extractor, against loops."""

import pytest
import torch

from pa_difc import METHODS
from pa_difc.methods.heads import CosineLinear, FeatureHead, classifier, discriminator

N, K, D = 5, 3, 6


def layer(x, weights, biases):
    return [sum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in zip(weights, biases, strict=True)]


def parameters(network):
    values = [p.tolist() for p in network.parameters()]
    return list(zip(values[::2], values[1::2], strict=True))


def relu(x):
    return [max(0.0, v) for v in x]


def test_a_discriminator_has_two_hidden_layers_of_256():
    network, x = discriminator(D).eval(), torch.randn(N, D)
    first, second, last = parameters(network)
    assert (len(first[0]), len(second[0])) == (256, 256)
    expected = [layer(relu(layer(relu(layer(row, *first)), *second)), *last)[0] for row in x.tolist()]
    torch.testing.assert_close(network(x), torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_half_of_each_hidden_layer_is_dropped_in_training():
    network = discriminator(D, hidden=2000).train()
    dropped = []
    for module in network:
        if isinstance(module, torch.nn.Dropout):
            module.register_forward_hook(lambda _, args, out: dropped.append((out == 0)[args[0] > 0].float().mean()))
    network(torch.randn(N, D))
    assert [share.item() for share in dropped] == pytest.approx([0.5, 0.5], abs=0.05)


def test_a_feature_head_is_a_layer_of_256_that_are_not_negative():
    head, x = FeatureHead(D), torch.randn(N, D)
    ((weights, biases),) = parameters(head)
    expected = torch.tensor([relu(layer(row, weights, biases)) for row in x.tolist()])
    torch.testing.assert_close(head(x), expected, rtol=1e-4, atol=1e-5)
    assert head(x).shape == (N, 256) and head.num_features == 256


def test_a_linear_classifier_has_biases_and_a_cosine_one_has_none():
    assert type(classifier(D, K)) is torch.nn.Linear and classifier(D, K).bias is not None
    cosine = CosineLinear(D, K)
    assert cosine.bias is None and [tuple(p.shape) for p in cosine.parameters()] == [(K, D)]


def test_etd_s_potentials_are_networks_of_one_hidden_layer_of_64():
    heads, x = METHODS["etd"].heads(D, K), torch.randn(N, D)
    for name in ("U", "V"):
        first, last = parameters(heads[name])
        assert len(first[0]) == 64
        expected = [layer(relu(layer(row, *first)), *last) for row in x.tolist()]
        torch.testing.assert_close(heads[name](x), torch.tensor(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("num_features", "random"), [(1024, False), (1025, True)])
def test_cdan_s_product_is_whole_up_to_4096_numbers(num_features, random):
    head = METHODS["cdan"].heads(num_features, 4)["D"]
    assert (head.random is not None) is random
    assert head.net[0].in_features == (1024 if random else 4096)
