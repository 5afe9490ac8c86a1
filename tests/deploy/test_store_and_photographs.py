"""A model sees the same pixels of a face, whether it comes from a store or from the photograph."""

import numpy as np
import pytest
from made_models import record
from PIL import Image

from pa_difc.data import load_domain
from pa_difc.data.datasets import find_dataset
from pa_difc.data.labels import LabelSet
from pa_difc.data.photograph import Photograph
from pa_difc.data.prepare import PrepareSettings, prepare_store
from pa_difc.data.protocol import SEARCH_PX
from pa_difc.data.store import open_store
from pa_difc.deploy.faces import Cut
from pa_difc.deploy.model import FaceModel
from pa_difc.deploy.predict import look
from pa_difc.deploy.search import FaceSearch
from pa_difc.training.model_settings import checked, model_settings
from pa_difc.training.seals import changed, digests


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A set of photographs with a face each, small and large, of two classes."""
    from skimage.data import astronaut

    root, face = tmp_path_factory.mktemp("set"), Image.fromarray(astronaut()).crop((130, 10, 330, 260))
    for i in range(12):
        width, split = (90 + 3 * i) if i % 3 else 300 + 70 * i, "test" if i < 4 else "train"
        path = root / "faces" / split / ("happy" if i % 2 else "sad") / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        face.crop((i, 2 * i, 200 - i, 250)).rotate(i).resize((width, round(1.2 * width))).save(path)
    return root


def model_of(store, crop, size_px):
    """A model as trained on a store."""
    run = record(LabelSet(("happy", "sad")))
    run["settings"]["data"]["crop_px"] = size_px
    run["data"]["target"]["store"] = open_store(store).parameters
    assert run["data"]["target"]["store"]["crop"] == crop
    return FaceModel(checked(model_settings(run))).eval()


@pytest.mark.parametrize(
    ("crop", "stored_px", "size_px"), [("cdfer", 112, 112), ("cdfer", 112, 48), ("arcface", 64, 96)]
)
def test_predictions_see_what_training_saw(crop, stored_px, size_px, photographs, tmp_path):
    reader, path = find_dataset("folder:faces", photographs)
    prepare_store("folder:faces", reader(path), tmp_path / "faces", PrepareSettings(crop=crop, crop_px=stored_px))
    domain = load_domain("store:faces", tmp_path, size_px=size_px)
    model = model_of(tmp_path / "faces", crop, size_px)
    found = 0
    for faces in (domain.train, domain.test):
        files = [photographs / "faces" / name for name in faces.names]
        looks = look(files, FaceSearch("cpu", SEARCH_PX, model.crop_px), Cut(model, "model"))
        for i, looked in enumerate(looks):
            same = [np.array_equal(face.crop.image, faces.pixels(np.array([i]))[0]) for face in looked.faces]
            points = [np.array_equal(face.crop.landmarks, faces.landmarks[i]) for face in looked.faces]
            assert (same, points) == ([True], [True]), faces.names[i]
            found += 1
    assert found == 12


@pytest.fixture(scope="module")
def group_photograph(tmp_path_factory):
    """A photograph of 9 megapixels with a large face and, to the left of it, small ones, as a JPEG file."""
    from skimage.data import astronaut

    face = Image.fromarray(astronaut()).crop((130, 10, 330, 260))
    sheet = Image.new("RGB", (3600, 2500), (120, 130, 140))
    for i, side in enumerate((150, 190, 240)):
        sheet.paste(face.resize((side, round(1.25 * side))), (150 + 40 * i, 200 + 700 * i))
    sheet.paste(face.resize((1600, 2000)), (1500, 250))
    path = tmp_path_factory.mktemp("group") / "faces" / "train" / "happy" / "all.jpg"
    path.parent.mkdir(parents=True)
    sheet.save(path, quality=92)
    return path


@pytest.mark.parametrize("crop", ["cdfer", "arcface", "none"])
@pytest.mark.parametrize("at_once", [1, 16])
def test_a_large_jpeg_is_decoded_the_same_for_a_store_and_a_prediction(crop, at_once, group_photograph, tmp_path):
    """Whichever other faces are cropped from it, which need it finer."""
    reader, path = find_dataset("folder:faces", group_photograph.parents[3])
    settings = PrepareSettings(crop=crop, crop_px=48, face="largest")
    prepare_store("folder:faces", reader(path), tmp_path / "faces", settings)
    (stored,) = np.load(tmp_path / "faces" / "images.npy")
    model = model_of(tmp_path / "faces", crop, 48)
    cut = Cut(model, "none" if crop == "none" else "model")
    (looked,) = look([group_photograph], FaceSearch("cpu", SEARCH_PX, model.crop_px), cut, at_once)
    assert len(looked.faces) >= (1 if crop == "none" else 3)
    largest = max(looked.faces, key=lambda face: face.box[2] - face.box[0])
    np.testing.assert_array_equal(largest.crop.image, stored)


@pytest.mark.parametrize("mode", ["cdfer", "arcface", "none"])
def test_a_crop_does_not_depend_on_what_was_read_of_the_file_before(mode, group_photograph):
    box, points = (
        (1900.0, 500.0, 2700.0, 1500.0),
        np.array([[2100, 900], [2500, 900], [2300, 1100], [2150, 1300], [2450, 1300]]),
    )
    small = (180.0, 260.0, 260.0, 360.0)

    def crop(before):
        photograph = Photograph(group_photograph)
        before(photograph)
        return photograph.face(box, points.astype(np.float32), mode, 48).image

    alone = crop(lambda photograph: None)
    for before in (
        lambda photograph: photograph.near(300),
        lambda photograph: photograph.near(768),
        lambda photograph: photograph.near(4096),
        lambda photograph: photograph.face(small, points * 0.1, "cdfer", 112),
        lambda photograph: photograph.region((0, 0, 3600, 2500), points, 48),
    ):
        np.testing.assert_array_equal(crop(before), alone)


def test_the_size_of_the_stored_faces_is_sealed_where_it_differs():
    run = record(LabelSet(("happy", "sad")))
    for stored_px, said in ((32, False), (112, True)):
        run["data"]["target"]["store"] = {"crop": "cdfer", "crop_px": stored_px}
        settings = model_settings(run)
        assert settings["input"].get("stored_px") == (stored_px if said else None)
    sealed = digests(settings)
    del settings["input"]["stored_px"]
    assert changed(settings, sealed) == ["input"]
