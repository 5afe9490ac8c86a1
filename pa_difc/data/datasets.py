"""The datasets by name: how each is read, where it comes from, and what is looked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..util.errors import UserError
from ..util.names import shown, unknown
from ..util.plugins import plugins
from .readers import (
    Reader,
    read_ck48,
    read_ck_plus,
    read_class_folders,
    read_expw,
    read_fer2013,
    read_images,
    read_jaffe,
    read_kdef,
    read_legend_csv,
    read_muxspace,
    read_raf_db,
    read_raf_db_original,
    read_sfew,
)


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset as the commands know it. Other packages add theirs under the entry point ``pa_difc.datasets``."""

    about: str
    reader: Reader | None  #: takes the dataset's folder; None for faces that are drawn, not read
    obtain: str = ""  #: where the set comes from and under which terms
    layout: str = ""  #: what is looked for in the dataset's folder
    split: str = "official"  #: where the test split comes from
    folder: str | None = None  #: the folder's name below ``--data-root``; None: the dataset's own


_BY_PERSON = "none; about a fifth of the people is held out, by a hash of their names"
_BY_NAME = "none; about a fifth of the images is held out, by a hash of their names"

DATASETS: dict[str, DatasetSpec] = {
    "toy_studio": DatasetSpec("drawn faces, clean and frontal, RAF-DB's class proportions: the default source", None),
    "toy_street": DatasetSpec("drawn faces in pose, bad light, blur and occlusion: the default target", None),
    "raf_db": DatasetSpec(
        "RAF-DB basic (Li et al. 2017): 100×100 aligned web photographs, 12,271 / 3,068, the paper's source",
        read_raf_db,
        "its authors, on request (www.whdeng.cn/RAF/model1.html); non-commercial research",
        "basic/EmoLabel/list_patition_label.txt and basic/Image/aligned/*_aligned.jpg",
    ),
    "raf_db_original": DatasetSpec(
        "RAF-DB basic, the original photographs, cut out by the boxes that come with them",
        read_raf_db_original,
        "as raf_db",
        "basic/EmoLabel/list_patition_label.txt, basic/Image/original/*.jpg, "
        "basic/Annotation/boundingbox/*_boundingbox.txt and, if there, the five points of basic/Annotation/auto/*.txt",
        folder="raf_db",
    ),
    "fer2013": DatasetSpec(
        "FER2013 (Goodfellow et al. 2013, arXiv:1307.0414): 48×48 gray web photographs, 28,709 / 3,589 / 3,589",
        read_fer2013,
        "Kaggle, 'Challenges in Representation Learning: Facial Expression Recognition Challenge'; research use",
        "fer2013.csv, icml_face_data.csv or {train,test}/<class>/*.jpg; the image folders hold 1,449 groups of exact "
        "duplicates, 463 of them across train and test (--deduplicate)",
    ),
    "expw": DatasetSpec(
        "ExpW (Zhang et al. 2018, arXiv:1609.06426): 91,793 faces in web photographs, several in an image",
        read_expw,
        "its authors (mmlab.ie.cuhk.edu.hk/projects/socialrelation); non-commercial research",
        "label/label.lst and image/origin/*.jpg",
        _BY_NAME,
    ),
    "jaffe": DatasetSpec(
        "JAFFE (Lyons et al. 1998): 213 posed photographs of ten women",
        read_jaffe,
        "its authors, on request (zenodo.org/records/3451524); non-commercial research, images not to be published",
        "*.tiff, named like KA.AN1.39.tiff",
        "none; every image is training and test image, as in the CD-FER protocol, and tables say so",
    ),
    "sfew": DatasetSpec(
        "SFEW 2.0 (Dhall et al. 2011): film stills, 958 / 436",
        read_sfew,
        "its authors, on request (users.cecs.anu.edu.au/~few_group/AFEW.html); research",
        "Train/<Class>/*.png and Val/<Class>/*.png",
        "official: Train, and Val as test split",
    ),
    "ck_plus": DatasetSpec(
        "CK+ (Lucey et al. 2010): posed sequences; three peak frames, and the first as neutral",
        read_ck_plus,
        "its authors, on request (jeffcohn.net/Resources); research",
        "cohn-kanade-images/S005/001/*.png and Emotion/S005/001/*_emotion.txt, or <class>/*.png",
        _BY_PERSON,
    ),
    "ck48": DatasetSpec(
        "CK+48: 48×48 crops of CK+; no neutral, contempt left out: scored over the six classes present",
        read_ck48,
        "copies on Kaggle ('CKPLUS'); the terms are CK+'s",
        "<class>/S010_004_00000017.png",
        _BY_PERSON,
    ),
    "kdef": DatasetSpec(
        "KDEF (Lundqvist et al. 1998): posed photographs of 70 people; straight views",
        read_kdef,
        "kdef.se; non-commercial research",
        "AF01/AF01ANS.JPG, or <class>/*.jpg",
        _BY_PERSON,
    ),
    "afe": DatasetSpec(
        "AFE (Chen et al. 2022, arXiv:2008.00923): Asian faces from film and television",
        read_class_folders,
        "its authors, on request (github.com/HCPLab-SYSU/CD-FER-Benchmark); non-commercial research",
        "<class>/*.jpg or {train,test}/<class>/*.jpg",
        "official where there are split folders; else as folder:PATH",
    ),
    "muxspace": DatasetSpec(
        "muxspace/facial_expressions: gray news photographs, extremely imbalanced, no official split",
        read_muxspace,
        "github.com/muxspace/facial_expressions; its licence file says Apache-2.0",
        "legend.csv and images/*.jpg",
        _BY_PERSON,
    ),
}

#: Readers for data of the user's own, "folder:PATH", PATH below --data-root or absolute; "images" has no labels.
OWN_DATA: dict[str, Reader] = {"folder": read_class_folders, "legend": read_legend_csv, "images": read_images}

#: The word before the path of a face store.
STORE = "store"

#: What a folder may hold, for whoever names one and does not say.
_OF_A_FOLDER = ("folder", "images")


def all_datasets() -> dict[str, DatasetSpec]:
    """Our datasets, and those of other packages."""
    return {**plugins("pa_difc.datasets"), **DATASETS}


def dataset_names() -> list[str]:
    """What can be given as a dataset, for help texts and errors."""
    return [*all_datasets(), *(f"{kind}:PATH" for kind in (*OWN_DATA, STORE))]


def find_dataset(name: str, data_root: Path) -> tuple[Reader | None, Path]:
    """The reader of a dataset (None for drawn faces and for stores) and the folder that holds it.

    Raises:
        UserError: there is no such dataset, or no such folder.
    """
    kind, colon, path = name.partition(":")
    if colon and kind in (*OWN_DATA, STORE):
        root = data_root / path
        if not root.is_dir():
            raise UserError(f"dataset {name}: no folder {root}")
        return OWN_DATA.get(kind), root
    datasets = all_datasets()
    if name not in datasets:
        if Path(name).is_dir() or (data_root / name).is_dir():
            raise UserError(
                f"dataset {shown(name)} is a folder: {' or '.join(f'{kind}:{name}' for kind in _OF_A_FOLDER)}?"
            )
        raise unknown("dataset", name, dataset_names())
    spec = datasets[name]
    root = data_root / name
    if not root.is_dir():
        root = data_root / (spec.folder or name)
    if spec.reader is not None and not root.is_dir():
        raise UserError(
            f"dataset {name}: no folder {root} (looked for {spec.layout}); "
            f"`pa-difc datasets {name}` says where it comes from. "
            "No data at hand? --source toy_studio --target toy_street needs none."
        )
    return spec.reader, root
