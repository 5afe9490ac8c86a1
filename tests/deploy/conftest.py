"""Models to predict with, trained for a moment on noise: on images as they are, and as if their faces were cut out."""

import csv
import io

import numpy as np
import pytest
from made import random_faces
from PIL import Image

from pa_difc.commands.console import exit_with
from pa_difc.commands.parser import main
from pa_difc.data import Domain
from pa_difc.deploy.model import FaceModel, load_model, save_model
from pa_difc.training.record import RunFolder
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings


@pytest.fixture(scope="session")
def as_they_are(tmp_path_factory):
    """The folder of a model that was trained on images as they are."""
    out = tmp_path_factory.mktemp("trained")
    source = Domain("a", random_faces(45, 1), random_faces(14, 2))
    target = Domain("b", random_faces(61, 3), random_faces(21, 4))
    settings = resolve(Settings.of(method="source_only", loss="ce", epochs=1, crop_px=32, batch_size=16))
    run_cell(settings, source, target, out, progress=False)
    save_model(load_model(RunFolder.of(out, settings, source, target).path), out / "model")
    return out / "model"


@pytest.fixture(scope="session")
def prepared(as_they_are, tmp_path_factory):
    """Folders of the same model, as if trained on a store of each crop."""
    model = load_model(as_they_are)
    folders = {}
    for crop in ("cdfer", "arcface", "none"):
        other = FaceModel(model.settings | {"input": model.settings["input"] | {"crop": crop, "prepared": True}})
        other.load_state_dict(model.state_dict())
        folders[crop] = tmp_path_factory.mktemp(crop)
        save_model(other, folders[crop])
    return folders


@pytest.fixture(scope="session")
def portrait():
    """A photograph of one face, some 85 pixels wide, read off by eye: left 181, top 70, right 269, bottom 178."""
    from skimage.data import astronaut

    return Image.fromarray(astronaut())


@pytest.fixture
def album(tmp_path, portrait):
    """A folder of photographs with the same names in its folders and in two formats, and a file of the disk's own."""
    small = portrait.crop((120, 0, 330, 210))
    for name in ("monday/1.jpg", "tuesday/1.jpg", "tuesday/1.png", "tuesday/@eaDir/1.jpg/preview.jpg"):
        (tmp_path / "album" / name).parent.mkdir(parents=True, exist_ok=True)
        small.save(tmp_path / "album" / name)
    return tmp_path / "album"


@pytest.fixture
def content():
    """A function that gives every file below a folder and what is in it."""
    return lambda folder: {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def group(portrait):
    """A function that gives a photograph of faces that are so wide, as a share of its width, and their boxes."""

    def draw(share, size=(2000, 1500), faces=6):
        face = portrait.crop((120, 0, 330, 210))
        scale = share * size[0] / 88
        side = round(210 * scale)
        sheet = Image.new("RGB", size, (120, 130, 140))
        corners = [(30 + (i % 3) * size[0] // 3, 40 + i // 3 * size[1] // 2) for i in range(faces)]
        for corner in corners:
            sheet.paste(face.resize((side, side)), corner)
        box = (np.array([181, 70, 269, 178]) - [120, 0, 120, 0]) * scale
        return sheet, [box + np.array([x, y, x, y]) for x, y in corners]

    return draw


@pytest.fixture
def predict(capsys):
    """A function that runs the command; gives its code, rows, and what it said."""

    def run(model, *words):
        with pytest.raises(SystemExit) as stop:
            exit_with(lambda: main(["predict", "--model", str(model), *map(str, words)]))
        out, err = capsys.readouterr()
        return stop.value.code, list(csv.DictReader(io.StringIO(out))), err

    return run
