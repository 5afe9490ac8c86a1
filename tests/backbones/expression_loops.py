"""The expression network in plain NumPy, and random weights in TensorFlow.js's layout; nothing of ours is used."""

import json
from itertools import pairwise

import numpy as np

CHANNELS = (3, 32, 64, 128, 256)
MEANS = np.array([122.782, 117.001, 104.298])


def shapes(classes=7):
    """Every tensor of the published file, in its order."""
    found = {}
    for block, (before, width) in enumerate(pairwise(CHANNELS)):
        for conv in range(4):
            name, inner = f"dense{block}/conv{conv}", before if conv == 0 else width
            if block == conv == 0:
                found[f"{name}/filters"] = (3, 3, inner, width)
            else:
                found[f"{name}/depthwise_filter"] = (3, 3, inner, 1)
                found[f"{name}/pointwise_filter"] = (1, 1, inner, width)
            found[f"{name}/bias"] = (width,)
    return found | {"fc/weights": (256, classes), "fc/bias": (classes,)}


def random_weights(seed=0, classes=7):
    """Weights of a size that keeps what each layer gives at about that of what it takes."""
    rng = np.random.default_rng(seed)
    inputs = {n: 9 if n.endswith("depthwise_filter") else max(1, np.prod(s[:-1])) for n, s in shapes(classes).items()}
    return {name: rng.normal(0.01, 1 / np.sqrt(inputs[name]), shape) for name, shape in shapes(classes).items()}


def write_tfjs(folder, weights, quantized=True, paths=("model.bin",), stem="expression"):
    """Writes weights as published: filters as bytes, or as float32. Returns the manifest and the values as kept."""
    entries, content, kept = [], b"", {}
    for name, values in weights.items():
        entry = {"name": name, "shape": list(values.shape), "dtype": "float32"}
        if quantized and not name.endswith("bias"):
            low, scale = float(values.min()), float(np.ptp(values)) / 255 or 1.0
            codes = np.round((values - low) / scale).astype(np.uint8)
            entry["quantization"] = {"dtype": "uint8", "scale": scale, "min": low}
            content += codes.tobytes()
            kept[name] = codes * scale + low
        else:
            content += values.astype("<f4").tobytes()
            kept[name] = values.astype("<f4").astype(float)
        entries.append(entry)
    cuts = [round(len(content) * i / len(paths)) for i in range(len(paths) + 1)]
    folder.mkdir(parents=True, exist_ok=True)
    for path, start, stop in zip(paths, cuts, cuts[1:], strict=False):
        (folder / path).write_bytes(content[start:stop])
    manifest = folder / f"{stem}-weights_manifest.json"
    manifest.write_text(json.dumps([{"weights": entries, "paths": list(paths)}]))
    return manifest, kept


def features(image, weights):
    """The 256 features of one image ``(112, 112, 3)`` of 0 … 255."""
    x = (image - MEANS) / 255
    for block in range(4):
        name = f"dense{block}/conv"
        x = one = np.maximum(_conv(x, weights, f"{name}0", 2), 0)
        two = _conv(x, weights, f"{name}1", 1)
        three = _conv(np.maximum(one + two, 0), weights, f"{name}2", 1)
        four = _conv(np.maximum(one + two + three, 0), weights, f"{name}3", 1)
        x = np.maximum(one + two + three + four, 0)
    assert x.shape == (7, 7, 256)
    return x.mean(axis=(0, 1))


def logits(image, weights):
    return features(image, weights) @ weights["fc/weights"] + weights["fc/bias"]


def _conv(x, weights, name, stride):
    """TensorFlow's convolution with padding "same": with stride 2 and an even side, nothing at the left and the top."""
    side = -(-len(x) // stride)
    total = max((side - 1) * stride + 3 - len(x), 0)
    padded = np.pad(x, [(total // 2, total - total // 2)] * 2 + [(0, 0)])
    filters = weights.get(f"{name}/filters")
    found = 0.0
    for i in range(3):
        for j in range(3):
            part = padded[i : i + stride * (side - 1) + 1 : stride, j : j + stride * (side - 1) + 1 : stride]
            found = found + (
                part * weights[f"{name}/depthwise_filter"][i, j, :, 0] if filters is None else part @ filters[i, j]
            )
    if filters is None:
        found = found @ weights[f"{name}/pointwise_filter"][0, 0]
    return found + weights[f"{name}/bias"]
