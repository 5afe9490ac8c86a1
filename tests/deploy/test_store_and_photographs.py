"""A model sees the same pixels of a face, whether it comes from a store or from the photograph."""

import numpy as np
import pytest
from made_models import record
from PIL import Image

from pa_difc.data import load_domain
from pa_difc.data.datasets import find_dataset
from pa_difc.data.labels import LabelSet
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


def test_the_size_of_the_stored_faces_is_sealed_where_it_differs():
    run = record(LabelSet(("happy", "sad")))
    for stored_px, said in ((32, False), (112, True)):
        run["data"]["target"]["store"] = {"crop": "cdfer", "crop_px": stored_px}
        settings = model_settings(run)
        assert settings["input"].get("stored_px") == (stored_px if said else None)
    sealed = digests(settings)
    del settings["input"]["stored_px"]
    assert changed(settings, sealed) == ["input"]
