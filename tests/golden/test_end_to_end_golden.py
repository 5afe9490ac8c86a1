"""A whole run on the toy faces, in float64: losses, margins, confusion and scores as they were when they were kept.

``pytest tests/golden --regenerate-golden`` writes them anew; do it only when the method itself is meant to change, and
say so where the change is described.
"""

import json
import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pa_difc.data import Domain, EvalLoader, load_domain
from pa_difc.evaluation.metrics import score
from pa_difc.methods.hooks import eval_mode
from pa_difc.training.build import make_adapter, make_loader
from pa_difc.training.engine import fit
from pa_difc.training.resolve import resolve
from pa_difc.training.settings import Settings
from pa_difc.util.installed import installed_version

KEPT = Path(__file__).with_name("end_to_end.json")

#: On the platform that wrote the file, and elsewhere, where sums are added in other orders; absolute, of losses,
#: margins, confusion and probabilities.
HERE, ELSEWHERE = 1e-9, 1e-6


def platform_here():
    names = ("torch", "torchvision", "numpy", "pillow", "pytorch-adapt")
    system = {
        "machine": platform.machine(),
        "system": platform.system(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
    return system | {name: installed_version(name) for name in names}


def some(faces, step):
    """Every so manieth face."""
    kept = slice(None, None, step)
    return replace(
        faces,
        images=faces.images[kept],
        landmarks=faces.landmarks[kept],
        labels=faces.labels[kept],
        names=faces.names[kept],
    )


@pytest.fixture(scope="module")
def toy():
    domains = [load_domain(name, Path("."), size_px=32) for name in ("toy_studio", "toy_street")]
    return [Domain(d.name, some(d.train, 20), some(d.test, 8)) for d in domains]


class InDouble:
    """A loader's batches in float64."""

    def __init__(self, loader):
        self.loader = loader

    def __len__(self):
        return len(self.loader)

    def __getattr__(self, name):
        return getattr(self.loader, name)

    def epoch(self, *args, **kwargs):
        for batch in self.loader.epoch(*args, **kwargs):
            yield {k: v.to(torch.float64) if k.endswith("imgs") else v for k, v in batch.items()}


def in_double(method, source, target):
    """Trains a method in float64 and scores it."""
    config = resolve(
        Settings.of(method=method, loss="difc", epochs=4, crop_px=32, lr=0.005, epsilon=0.1, batch_size=32)
    )
    torch.use_deterministic_algorithms(True)
    loader = make_loader(config, source, target)
    adapter = make_adapter(config, source, len(loader))
    begin_anywhere_alike(adapter.models)
    adapter.loss.double()
    history = fit(adapter, InDouble(loader), epochs=config.run.epochs, progress=False)
    probs = probabilities(adapter, target.test)
    scores = score(target.test.labels, probs)
    return {
        "losses": [h["losses"] for h in history],
        "margins": [h["state"]["margins"] for h in history] + [adapter.loss.margins.tolist()],
        "confusion": [h["state"]["confusion"] for h in history],
        "scores": {k: scores[k] for k in ("accuracy", "macro_recall", "macro_f1", "recall", "confusion")},
        "mean_probs": probs.mean(axis=0).tolist(),
        "log_loss": float(-np.log(probs[np.arange(len(probs)), target.test.labels]).mean()),
    }


@torch.no_grad()
def begin_anywhere_alike(models):
    """Float64, with weights from NumPy: torch's own float32 normals differ in their last digits between CPUs."""
    rng = np.random.default_rng(0)
    for name in sorted(models):
        for weight in models[name].double().parameters():
            if weight.dim() > 1:
                values = rng.standard_normal(tuple(weight.shape)) * (2 / weight[0].numel()) ** 0.5
                weight.copy_(torch.from_numpy(values))
            elif not (weight == 1).all():  # a bias; BatchNorm's factors stay 1
                weight.zero_()


@torch.no_grad()
def probabilities(adapter, faces):
    with eval_mode(*adapter.models.values()):
        batches = [adapter.inference(batch.to(torch.float64), domain=1) for batch in EvalLoader(faces)]
    return torch.cat([b["logits"].softmax(dim=1) for b in batches]).numpy()


@pytest.fixture
def deterministic():
    before = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(before)


@pytest.mark.parametrize("method", ["mcd", "source_only"])  # without dropout, whose masks differ between versions
def test_a_run_comes_out_as_it_did(method, toy, deterministic, request):
    found = in_double(method, *toy) | {"faces": [d.train.fingerprint for d in toy]}
    if request.config.getoption("--regenerate-golden"):
        kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
        kept |= {"platform": platform_here(), method: found}
        KEPT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    kept = json.loads(KEPT.read_text())
    same_platform = kept["platform"] == platform_here()
    expected = kept[method]
    tolerance = HERE if same_platform else ELSEWHERE
    for name in ("margins", "confusion", "mean_probs", "log_loss", "losses"):
        assert_close(found[name], expected[name], tolerance, name)
    if same_platform:
        assert found["scores"] == expected["scores"] and found["faces"] == expected["faces"]
    else:  # a face on the border between two classes may fall to either side
        assert found["scores"]["accuracy"] == pytest.approx(expected["scores"]["accuracy"], abs=0.02)
    assert found["margins"][0] != found["margins"][-1]  # the DIFC phase did something


def assert_close(found, expected, tolerance, name):
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        found, expected = ([d[k] for k in sorted(d)] for d in (found, expected))
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert_close(a, b, tolerance, name)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=tolerance, rel=tolerance), name
    else:
        assert found == expected, name
