"""Near duplicates: pictures that were saved anew, scaled or mirrored, on drawn faces."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from pa_difc.data import load_domain
from pa_difc.data.arrange import Arrangement
from pa_difc.data.grouping import STRADDLING
from pa_difc.data.labels import SEVEN
from pa_difc.data.near import find_near
from pa_difc.data.readers import Sample, read_class_folders
from pa_difc.data.toy import toy_dataset
from pa_difc.util.errors import UserError


@pytest.fixture(scope="module")
def faces():
    pytest.importorskip("imagehash")
    images, _, labels = toy_dataset("toy_street", "train", 64)
    return [Image.fromarray(pixels.transpose(1, 2, 0)) for pixels in images[:120]], labels


def sample(image, name="x", label="happy", split="train", **more):
    return Sample(name, label, split, pixels=np.asarray(image), **more)


def jpeg(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=60)
    return Image.open(file).convert("RGB")


CHANGES = {
    "saved anew": jpeg,
    "twice as large": lambda image: image.resize((128, 128), Image.Resampling.BICUBIC),
    "smaller": lambda image: image.resize((40, 40), Image.Resampling.LANCZOS),
    "mirrored": ImageOps.mirror,
    "gray": lambda image: image.convert("L").convert("RGB"),
    "mirrored and saved anew": lambda image: jpeg(ImageOps.mirror(image)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_and_another_face_is_not(faces, change):
    images = faces[0]
    copies = [CHANGES[change](image) for image in images[:20]]
    groups = find_near([sample(image) for image in (*images, *copies)])
    assert sorted(groups) == [[i, 120 + i] for i in range(20)]


def test_what_shows_nothing_and_what_can_t_be_read_is_near_to_nothing(faces, tmp_path):
    blank = [sample(np.full((40, 40), value, dtype=np.uint8)) for value in (0, 128, 128, 255)]
    gone = [Sample(name, "happy", "train", tmp_path / name) for name in "ab"]
    assert find_near([*blank, *gone]) == [] and find_near([]) == []


def test_faces_of_one_photograph_are_compared_by_their_boxes(faces):
    both = Image.new("RGB", (128, 64))
    both.paste(faces[0][0], (0, 0))
    both.paste(faces[0][1], (64, 0))
    boxes = [(0, 0, 64, 64), (64, 0, 128, 64), (0, 0, 64, 64)]
    assert find_near([sample(both, box=box) for box in boxes]) == [[0, 2]]


def save(image, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.fixture
def leaking(faces, tmp_path):
    """Of 40 training faces four are in the test split as well, mirrored; one of them under another label."""
    images, labels = faces
    for i in range(60):
        split = "train" if i < 40 else "test"
        save(images[i], tmp_path / "mine" / split / SEVEN[labels[i]] / f"{i:02d}.png")
    for i in range(4):
        word = SEVEN[(labels[i] + (i == 3)) % 7]
        save(jpeg(ImageOps.mirror(images[i])), tmp_path / "mine" / "test" / word / f"copy{i}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("how", "train", "test", "dropped"), [("keep", 40, 24, 0), ("group", 36, 24, 4), ("drop", 36, 23, 5)]
)
def test_near_duplicates_are_counted_and_treated_as_asked(leaking, how, train, test, dropped):
    domain = load_domain("folder:mine", leaking, size_px=32, near_duplicates=how)
    assert (len(domain.train), len(domain.test)) == (train, test)
    found = domain.summary()["near_duplicates"]
    assert found == {"groups": 4, "across_splits": 4, "conflicting": 1, "dropped": dropped, "treated": how}
    assert domain.left_out.get(STRADDLING, 0) == (4 if how == "group" else 0)
    assert load_domain("folder:mine", leaking, size_px=32).near_duplicates is None


def test_where_the_split_is_ours_near_duplicates_are_moved_to_one_side(faces, tmp_path):
    images, labels = faces
    for i in range(60):
        word = SEVEN[labels[i]]
        save(images[i], tmp_path / "mine" / word / f"{i:02d}.png")
        save(jpeg(images[i]), tmp_path / "mine" / word / f"{100 + i}.png")
    number = lambda name: int(name.rpartition("/")[2][:-4]) % 100  # noqa: E731
    plain, grouped = (
        load_domain("folder:mine", tmp_path, size_px=32, near_duplicates=how) for how in ("keep", "group")
    )
    shared = [{number(n) for n in d.train.names} & {number(n) for n in d.test.names} for d in (plain, grouped)]
    assert len(shared[0]) > 5 and not shared[1]
    assert len(grouped.train) + len(grouped.test) == 120 and len(grouped.test) > 5


def test_a_wrong_word_and_a_missing_package(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="unknown near duplicates 'dorp': did you mean 'drop'"):
        Arrangement(near_duplicates="dorp")
    save(Image.new("L", (20, 20)), tmp_path / "mine" / "train" / "happy" / "1.png")
    samples = read_class_folders(tmp_path / "mine").samples
    monkeypatch.setattr("pa_difc.data.near.can_find_near", lambda: False)
    with pytest.raises(UserError, match=r"near duplicates need imagehash: pip install 'pa-difc\[duplicates\]'"):
        find_near(samples)
