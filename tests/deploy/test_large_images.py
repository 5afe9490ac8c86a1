"""A large image that is one face: its path, its opened image and the exported program give the same probabilities."""

import runpy

import numpy as np
import pytest
from made import OLD_TORCH
from made_models import untrained
from PIL import Image

import pa_difc
from pa_difc.data.labels import LabelSet
from pa_difc.data.photograph import Photograph
from pa_difc.data.undecoded import undecoded
from pa_difc.deploy.export import export_model
from pa_difc.deploy.predict import predict_images

SIZES = [(1500, 1100), (3000, 3000), (1499, 1103)]


def drawn(size, mode="RGB"):
    """Smooth colours with noise: what reducing before scaling changes."""
    rng = np.random.default_rng(3)
    smooth = np.asarray(Image.fromarray(rng.integers(0, 255, (5, 7, 3), np.uint8)).resize(size)).astype(int)
    noisy = np.clip(smooth + rng.integers(-90, 91, (size[1], size[0], 1)), 0, 255).astype(np.uint8)
    image = Image.fromarray(noisy)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(size))
    return image if mode == "RGBA" else image.convert(mode)


def saved(folder, name, size, *, mode="RGB", turn=1):
    exif = Image.Exif()
    exif[0x0112] = turn
    drawn(size, mode).save(
        folder / name, exif=exif, **({"quality": 95} if name.endswith("jpg") else {"compress_level": 0})
    )
    return folder / name


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, odd = tmp_path_factory.mktemp("large"), SIZES[2]
    return [
        *(saved(folder, f"{n}.{kind}", size) for n, size in enumerate(SIZES) for kind in ("png", "jpg")),
        *(saved(folder, f"turned{turn}.jpg", odd, turn=turn) for turn in range(2, 9)),
        saved(folder, "turned.tif", odd, turn=6),
        saved(folder, "gray.jpg", odd, mode="L"),
        saved(folder, "cmyk.jpg", odd, mode="CMYK"),
        saved(folder, "clear.png", odd, mode="RGBA", turn=3),
    ]


@pytest.fixture(scope="module", params=[None, "cdfer"])
def exported(request, tmp_path_factory):
    """A model's folder, of images as they are and of face crops, and its program."""
    pytest.importorskip("onnxscript")
    if OLD_TORCH:
        pytest.skip("ONNX needs torch 2.6")
    folder = tmp_path_factory.mktemp("exported")
    export_model(untrained(LabelSet(("angry", "calm", "happy")), crop=request.param), folder, ("onnx",), None)
    return pa_difc.load(folder, crop="none"), runpy.run_path(str(folder / "use_onnx.py"))["probabilities"]


@pytest.mark.filterwarnings("ignore:the model was trained on")
def test_path_opened_image_and_program_agree(exported, files):
    model, program = exported
    for file in files:
        (expected,) = model(file)
        with Image.open(file) as image:
            (face,) = model(image)
        assert (face.probs_array == expected.probs_array).all(), file.name
        with Image.open(file) as image:
            np.testing.assert_allclose(
                list(program(image).values()), expected.probs_array, atol=1e-5, err_msg=file.name
            )


def test_drawing_does_not_change_a_large_face(exported, tmp_path):
    model, _ = exported
    file = saved(tmp_path, "large.jpg", (1500, 1100))
    (plain,) = predict_images(model.model, [file], crop="none")
    (drawn_on,) = predict_images(model.model, [file], crop="none", annotate=[tmp_path / "large.png"])
    assert (plain[0].probs_array == drawn_on[0].probs_array).all()


def test_an_opened_image_is_left_as_it_was_and_a_changed_one_is_not_read_from_its_file(tmp_path):
    file = saved(tmp_path, "large.jpg", (1500, 1100))
    with Image.open(file) as image:
        assert Photograph(image).near(300).factor == 4
        assert undecoded(image) == file.read_bytes() and image.size == (1500, 1100)
        image.draft("L", (750, 550))
        assert undecoded(image) is None and Photograph(image).size == (750, 550)
    with Image.open(file) as image:
        image.load()
        image.paste((255, 0, 0), (0, 0, 1500, 1100))
        assert undecoded(image) is None
        assert Photograph(image).near(300).image.getcolors() == [(375 * 275, (255, 0, 0))]
