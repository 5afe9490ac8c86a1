"""The expression network against a plain reading of its published files, and files that are not as they should be."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from expression_loops import features, logits, random_weights, write_tfjs
from safetensors.torch import save_file

from pa_difc.backbones import load_pretrained, make_backbone
from pa_difc.backbones.classifiers import find_classifier
from pa_difc.backbones.expression import CLASSES
from pa_difc.backbones.places import place_digest
from pa_difc.backbones.pretrained import read_state_dict
from pa_difc.data.faces import Face
from pa_difc.data.labels import EXPRESSIONS
from pa_difc.util.errors import UserError


def picture():
    """Light and dark waves, other ones in every colour and in both directions."""
    y, x, colour = np.mgrid[0:112, 0:112, 0:3]
    return 127.5 + 90 * np.sin(x / 9 + colour) * np.cos(y / 13 - colour)


def face(image):
    chw = torch.from_numpy(image.transpose(2, 0, 1)[None] / 255).float()
    return Face(chw, torch.full((1, 5, 2), torch.nan))


def our_logits(place, image):
    model = make_backbone("expression")
    load_pretrained(model, place)
    file = place if place.is_file() else next(place.glob("*.json"))
    with torch.no_grad():
        found = model(face(image))
        return found[0], find_classifier(read_state_dict(file), CLASSES, file).logits(found)[0]


@pytest.mark.parametrize("quantized", [True, False])
@pytest.mark.parametrize("paths", [("model.bin",), ("shard1of2", "shard2of2")])
def test_it_computes_what_the_files_say(quantized, paths, tmp_path):
    manifest, kept = write_tfjs(tmp_path, random_weights(), quantized, paths)
    for place in (manifest, tmp_path):
        found, z = our_logits(place, picture())
        np.testing.assert_allclose(found, features(picture(), kept), rtol=2e-4, atol=2e-5)
        np.testing.assert_allclose(z, logits(picture(), kept), rtol=2e-4, atol=2e-4)


def test_images_are_shifted_by_the_published_means_and_only_divided_by_255():
    found = make_backbone("expression").trunk.normalize(face(picture()).image)[0].permute(1, 2, 0)
    np.testing.assert_allclose(found, (picture() - [122.782, 117.001, 104.298]) / 255, atol=1e-6)


def test_its_classes_are_the_seven_in_their_published_order():
    assert CLASSES == ("neutral", "happy", "sad", "anger", "fear", "disgust", "surprise")
    assert {EXPRESSIONS.index(word) for word in CLASSES} == set(range(7))


def test_our_safetensors_give_the_same(tmp_path):
    manifest, _ = write_tfjs(tmp_path, random_weights())
    save_file(read_state_dict(manifest), tmp_path / "expression.safetensors")
    (f, z), (g, y) = (our_logits(place, picture()) for place in (manifest, tmp_path / "expression.safetensors"))
    assert torch.equal(f, g)
    torch.testing.assert_close(z, y)


def test_every_weight_is_filled_and_counts(tmp_path):
    manifest, kept = write_tfjs(tmp_path, random_weights())
    model = make_backbone("expression")
    report = load_pretrained(model, manifest)
    assert set(report.matched) == set(model.state_dict()) and set(report.dropped) == {"fc.weight", "fc.bias"}
    assert sum(p.numel() for p in model.parameters()) + 256 * 7 + 7 == sum(v.size for v in kept.values())
    model(face(picture())).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_with_landmarks_too():
    model = make_backbone("expression", feature_head="global_local")
    points = torch.tensor([[[30.0, 40.0], [80.0, 40.0], [56.0, 60.0], [38.0, 84.0], [74.0, 84.0]]])
    assert model(face(picture())._replace(landmarks=points)).shape == (1, 384)


def test_the_hash_is_of_all_files(tmp_path):
    manifest, _ = write_tfjs(tmp_path, random_weights(), paths=("a", "b"))
    before = place_digest(manifest)
    assert place_digest(tmp_path) == before
    content = bytearray((tmp_path / "b").read_bytes())
    content[-1] ^= 1
    (tmp_path / "b").write_bytes(content)
    assert place_digest(manifest) != before


def said(place, backbone="expression"):
    """What is said of weights that can't be taken; the network is as it was."""
    model = make_backbone(backbone)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UserError) as caught:
        load_pretrained(model, place)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("change", [-1, +1, -5000])
def test_bytes_too_few_and_too_many(change, tmp_path):
    manifest, _ = write_tfjs(tmp_path, random_weights())
    content = (tmp_path / "model.bin").read_bytes()
    (tmp_path / "model.bin").write_bytes(content[:change] if change < 0 else content + b"x" * change)
    message = said(manifest)
    assert message.startswith(f"cannot read weights {tmp_path / 'model.bin'}: {len(content) + change:,} bytes, but ")


def test_a_file_of_bytes_that_is_gone_or_lies_elsewhere(tmp_path):
    manifest, _ = write_tfjs(tmp_path, random_weights())
    (tmp_path / "model.bin").unlink()
    assert said(manifest) == f"cannot read weights {tmp_path / 'model.bin'}: No such file or directory"
    manifest.write_text(manifest.read_text().replace("model.bin", "../model.bin"))
    assert said(manifest) == f"{manifest}: the file '../model.bin' must be next to it"


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w.pop("dense2/conv1/bias"),
        lambda w: w.update({"dense3/conv0/pointwise_filter": np.ones((1, 1, 128, 64))}),
        lambda w: [w.pop(name) for name in list(w) if name.startswith("dense3")],
    ],
)
def test_another_network_of_the_same_family(change, tmp_path):
    weights = random_weights()
    change(weights)
    assert " is of another network: trunk.dense" in said(write_tfjs(tmp_path, weights)[0])


def test_another_network(tmp_path):
    manifest, _ = write_tfjs(tmp_path, {"entry/conv/filters": np.ones((3, 3, 3, 8))})
    assert said(manifest).startswith(f"nothing in {manifest} fits")
    manifest, _ = write_tfjs(tmp_path, random_weights())
    assert said(manifest, "mobilefacenet").startswith(f"nothing in {manifest} fits")


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "[1]", "{}", '[{"paths": "x", "weights": []}]', '[{"paths": [1], "weights": []}]', "[" * 5000],
)
def test_manifests_that_are_none(content, tmp_path):
    manifest = tmp_path / "x-weights_manifest.json"
    manifest.write_text(content)
    assert str(manifest) in said(manifest) and "TensorFlow.js manifest" in said(manifest)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"dtype": "int32"}, "is int32: must be float32, or float32 stored as uint8"),
        ({"quantization": {"dtype": "uint16", "scale": 1.0, "min": 0.0}}, "is uint16: must be float32"),
        ({"quantization": {"dtype": "uint8", "scale": "1", "min": 0.0}}, "weights[0].quantization.scale is '1'"),
        ({"shape": [3, -3]}, "weights[0].shape[1] is -3"),
        ({"shape": [2]}, "dense0/conv0/filters has 1 dimensions, must have 4"),
        ({"shape": [10**12, 10**12]}, "bytes, but expression-weights_manifest.json describes more"),
    ],
)
def test_entries_that_can_t_be_read(entry, message, tmp_path):
    manifest, _ = write_tfjs(tmp_path, {"dense0/conv0/filters": np.ones(2)}, quantized=False)
    groups = json.loads(manifest.read_text())
    groups[0]["weights"][0] |= entry
    manifest.write_text(json.dumps(groups))
    if "quantization" in entry:
        (tmp_path / "model.bin").write_bytes(b"12")
    assert message in said(manifest)


def test_folders(tmp_path):
    assert said(tmp_path).startswith(f"{tmp_path}: no weights here (looked for config.json")
    for stem in ("age", "expression"):
        write_tfjs(tmp_path, random_weights(), stem=stem, paths=(f"{stem}.bin",))
    assert said(tmp_path) == f"{tmp_path} holds 2 networks: name one, such as {tmp_path / 'age-weights_manifest.json'}"


@pytest.mark.skipif("PA_DIFC_WEIGHTS" not in os.environ, reason="PA_DIFC_WEIGHTS names no folder of public weights")
def test_the_published_file():
    """Its logits of one picture, computed once in float64 by a reading of its own."""
    found = sorted(Path(os.environ["PA_DIFC_WEIGHTS"]).rglob("face_expression_model-weights_manifest.json"))
    expected = [-0.62832181, -7.5235445, -4.11089478, -1.43700005, -12.30959023, -6.2076275, -8.55935541]
    np.testing.assert_allclose(our_logits(found[0], picture())[1], expected, atol=2e-4)
