"""AGRA: its graph against loops, its state, its parameters, and what it asks of a backbone."""

import math

import pytest
import torch
from pytorch_adapt.containers import Models, Optimizers
from pytorch_adapt.hooks import AFNHook

from pa_difc import METHODS
from pa_difc.backbones import make_backbone
from pa_difc.data.faces import Face
from pa_difc.methods.regions import RegionGraph
from pa_difc.util.errors import UserError


def test_318_464_extra_weights():
    """Intra-domain GCN 2·64·128, inter-domain 64·64, classifier 384·7, discriminator 2·384·384 + 384."""
    heads = METHODS["agra"].heads(384, 7)
    weights = {n: sum(p.numel() for p in m.parameters() if p.dim() > 1) for n, m in heads.items()}
    assert weights == {"R": 2 * 64 * 128 + 64 * 64, "C": 384 * 7, "D": 2 * 384 * 384 + 384}
    assert sum(weights.values()) == 318_464


def graph(seen=True):
    torch.manual_seed(0)
    made = RegionGraph(3)
    if seen:
        made.means.normal_()
        made.seen.fill_(True)
    return made.eval()


def test_the_graph_against_loops():
    made, x = graph(), torch.randn(1, 6, 64)
    other = min(made.means[1], key=lambda m: float((m - x[0]).norm()))  # the nearest class of the target
    link = lambda i, j: 1.0 if i == j else 0.8 if 0 in (i, j) else 0.5  # noqa: E731
    across = lambda i, j: 0.9 if i == j else 0.4 if 0 in (i, j) else 0.25  # noqa: E731

    def normalized(links):
        sums = [sum(row) for row in links]
        return [[v / math.sqrt(sums[i] * sums[j]) for j, v in enumerate(row)] for i, row in enumerate(links)]

    def propagate(nodes, links, weight, norm):
        mixed = [sum(links[i][j] * nodes[j] for j in range(len(nodes))) @ weight.T for i in range(len(nodes))]
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        return [((m - norm.running_mean) * scale + norm.bias).relu() for m in mixed]

    within = normalized([[link(i, j) for j in range(6)] for i in range(6)])
    twelve = [
        [1.0 if i == j else across(i % 6, j % 6) if i // 6 != j // 6 else 0.0 for j in range(12)] for i in range(12)
    ]
    nodes = []
    for regions, domain in ((x[0], 0), (other, 1)):
        regions = list(regions)
        for layer in range(2):
            regions = propagate(regions, within, made.within[layer].weight, made.norms[layer][domain])
        nodes += regions
    mixed = propagate(nodes, normalized(twelve), made.across.weight, made.norms[2][0])[:6]
    torch.testing.assert_close(made(x.view(1, 384), 0), torch.cat(mixed)[None], atol=1e-5, rtol=1e-4)


def test_running_means_are_by_region_class_and_domain():
    made = graph(seen=False)
    a, b = torch.randn(4, 384), torch.randn(4, 384)
    made.update(a, torch.tensor([0, 0, 2, 2]), 1)
    torch.testing.assert_close(made.means[1, 0], a[:2].mean(0).view(6, 64))  # the first is taken as it is
    made.update(b, torch.tensor([0, 0, 0, 0]), 1)
    expected = 0.9 * a[:2].mean(0) + 0.1 * b.mean(0)
    torch.testing.assert_close(made.means[1, 0], expected.view(6, 64))
    assert made.seen.tolist() == [[False] * 3, [True, False, True]] and made.means[0].abs().sum() == 0


def test_unseen_classes_are_never_the_nearest():
    made, x = graph(seen=False), torch.full((1, 6, 64), 0.01)
    assert made.nearest_means(x, 1).equal(x)
    made.update(torch.ones(1, 384), torch.tensor([1]), 1)
    assert made.nearest_means(x, 1).equal(torch.ones(1, 6, 64))  # and not the zeros of class 0


def test_batchnorm_of_a_domain_sees_that_domain_alone():
    made = graph().train()
    before = [[n.running_mean.clone() for n in pair] for pair in made.norms]
    made(torch.randn(8, 384), 0)
    for pair, (source, target) in zip(made.norms, before, strict=True):
        assert not pair[0].running_mean.equal(source) and pair[1].running_mean.equal(target)


def adapter(**kwargs):
    torch.manual_seed(0)
    models = Models({"G": torch.nn.Linear(5, 384), **METHODS["agra"].heads(384, 4)})
    made = METHODS["agra"](models, Optimizers((torch.optim.SGD, {"lr": 0.01})), loss="ce", **kwargs)
    made.models.train()
    return made


def batch():
    generator = torch.Generator().manual_seed(0)
    return {
        "src_imgs": torch.randn(8, 5, generator=generator),
        "target_imgs": torch.randn(8, 5, generator=generator) + 1,
        "src_labels": torch.arange(8) % 4,
        "src_domain": torch.zeros(8, dtype=torch.long),
        "target_domain": torch.ones(8, dtype=torch.long),
    }


def test_its_predictions_depend_on_the_domain():
    made = adapter()
    for _ in range(3):
        made.training_step(batch())
    made.models.eval()
    x = batch()["target_imgs"]
    source, target = (made.inference(x, domain=d)["logits"] for d in (0, 1))
    assert not torch.allclose(source, target)
    assert made.models["R"].seen[0].all()


def test_its_losses_reach_every_model():
    made = adapter()
    parts = made.training_step(batch())["total_loss"]
    assert set(parts) == {"src_c_loss", "domain_loss", "total"}
    for name in ("G", "R", "C", "D"):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in made.models[name].parameters() if p.dim() > 1)


def test_a_backbone_without_regions_is_refused_in_one_line():
    agra = METHODS["agra"]
    for refused in (lambda: agra.extractor(make_backbone("small")), lambda: agra.heads(128, 7)):
        with pytest.raises(UserError, match=r"agra needs the .*regions of a landmark backbone") as error:
            refused()
        assert "\n" not in str(error.value)


def test_it_gets_the_regions_and_no_layer_across_them():
    assert METHODS["agra"].needs_regions
    extractor = METHODS["agra"].extractor(make_backbone("small", feature_head="global_local"))
    assert isinstance(extractor.head.fusion, torch.nn.Identity)
    face = Face(torch.rand(2, 3, 48, 48), torch.rand(2, 5, 2) * 48)
    plain = make_backbone("small", feature_head="global_local")
    assert extractor(face).shape == plain(face).shape == (2, 384)


def test_predictions_of_a_domain_however_it_is_said():
    made, data = adapter(), batch()
    made.models.train()
    made.training_step(data)
    made.models.eval()
    x = data["target_imgs"]
    with torch.no_grad():
        by_number = [made.inference(x, domain=d)["logits"] for d in (0, 1)]
        assert not by_number[0].allclose(by_number[1])
        for domain, logits in enumerate(by_number):
            said = (torch.tensor(domain), torch.full((8,), domain), torch.full((8,), domain, dtype=torch.uint8))
            assert all(made.inference(x, domain=d)["logits"].equal(logits) for d in said)
        assert made.inference(x)["logits"].equal(by_number[1])  # the target, if nothing is said
        with pytest.raises(UserError, match="one domain at a time"):
            made.inference(x, domain=torch.tensor([0, 1] * 4))


def test_a_hook_of_the_user_s_sees_what_the_graph_makes_of_both_domains():
    class Spy(AFNHook):
        def call(self, inputs, losses):
            self.seen = {k: v for k, v in inputs.items() if k.endswith(("_features", "_logits"))}
            return super().call(inputs, losses)

    spy, data = Spy(), batch()
    made = adapter(hook_kwargs={"post": [spy]})
    made.models.eval()
    with torch.no_grad():
        expected = {d: made.inference(data[f"{d}_imgs"], domain=i) for i, d in enumerate(("src", "target"))}
    made.training_step(data)
    for domain, found in expected.items():
        torch.testing.assert_close(spy.seen[f"{domain}_imgs_features"], found["features"])
        torch.testing.assert_close(spy.seen[f"{domain}_imgs_features_logits"], found["logits"])


def test_means_are_of_regions_as_the_extractor_gives_them():
    made, data = adapter(), batch()
    made.models.train()
    with torch.no_grad():
        regions = made.models["G"](data["src_imgs"]).view(8, 6, 64)
    made.training_step(data)
    for k in range(4):
        torch.testing.assert_close(made.models["R"].means[0, k], regions[data["src_labels"] == k].mean(0))
