"""The named datasets: how each is read, where it comes from, and its expected layout."""

from __future__ import annotations

from .dataset_spec import DatasetSpec
from .readers.affectnet import read_affectnet
from .readers.ck_plus import read_ck48, read_ck_plus
from .readers.expw import read_expw
from .readers.fer2013 import read_fer2013
from .readers.fer_plus import read_fer_plus
from .readers.folders import read_class_folders, read_sfew
from .readers.images import read_images
from .readers.jaffe import read_jaffe
from .readers.kdef import read_kdef
from .readers.legend import read_legend_csv, read_muxspace
from .readers.listing import Reader
from .readers.oulu_casia import read_oulu_casia
from .readers.parquet import read_parquet
from .readers.raf_db import read_raf_db, read_raf_db_original

_BY_PERSON = "none; about a fifth of the people is held out, by a hash of their names"
_BY_NAME = "none; about a fifth of the images is held out, by a hash of their names"

TOY_STUDIO = DatasetSpec("synthetic faces, clean and frontal, RAF-DB's class proportions: the default source", None)
TOY_STREET = DatasetSpec("synthetic faces in varied pose, bad light, blur and occlusion: the default target", None)
RAF_DB = DatasetSpec(
    "RAF-DB basic (Li et al. 2017): 100×100 aligned web photographs, 12,271 / 3,068, the paper's source",
    read_raf_db,
    "its authors, on request (www.whdeng.cn/RAF/model1.html); non-commercial research",
    "basic/EmoLabel/list_patition_label.txt and basic/Image/aligned/*_aligned.jpg, or as uploaded again: "
    "train/1/*.jpg … test/7/*.jpg, 1 surprise, 2 fear, 3 disgust, 4 happy, 5 sad, 6 anger, 7 neutral",
)
RAF_DB_ORIGINAL = DatasetSpec(
    "RAF-DB basic, the original photographs, cropped to the boxes that come with them",
    read_raf_db_original,
    "as raf_db",
    "basic/EmoLabel/list_patition_label.txt, basic/Image/original/*.jpg, "
    "basic/Annotation/boundingbox/*_boundingbox.txt and, if there, the five points of basic/Annotation/auto/*.txt",
    folder="raf_db",
)
FER2013 = DatasetSpec(
    "FER2013 (Goodfellow et al. 2013, arXiv:1307.0414): 48×48 gray web photographs, 28,709 / 3,589 / 3,589",
    read_fer2013,
    "Kaggle, 'Challenges in Representation Learning: Facial Expression Recognition Challenge'; research use",
    "fer2013.csv, icml_face_data.csv or {train,test}/<class>/*.jpg; the image folders hold 1,449 groups of exact "
    "duplicates, 463 of them across train and test (--deduplicate)",
)
EXPW = DatasetSpec(
    "ExpW (Zhang et al. 2018, arXiv:1609.06426): 91,793 faces in web photographs, several in an image",
    read_expw,
    "its authors (mmlab.ie.cuhk.edu.hk/projects/socialrelation); non-commercial research",
    "label/label.lst and image/origin/*.jpg",
    _BY_NAME,
)
JAFFE = DatasetSpec(
    "JAFFE (Lyons et al. 1998): 213 posed photographs of ten women",
    read_jaffe,
    "its authors, on request (zenodo.org/records/3451524); non-commercial research, images not to be published",
    "*.tiff, named like KA.AN1.39.tiff",
    "none; every image is training and test image, as in the CD-FER protocol, and tables say so",
)
SFEW = DatasetSpec(
    "SFEW 2.0 (Dhall et al. 2011): film stills, 958 / 436",
    read_sfew,
    "its authors, on request (users.cecs.anu.edu.au/~few_group/AFEW.html); research",
    "Train/<Class>/*.png and Val/<Class>/*.png",
    "official: Train, and Val as test split",
)
CK_PLUS = DatasetSpec(
    "CK+ (Lucey et al. 2010): posed sequences; three peak frames, and the first as neutral",
    read_ck_plus,
    "its authors, on request (jeffcohn.net/Resources); research",
    "cohn-kanade-images/S005/001/*.png and Emotion/S005/001/*_emotion.txt, or <class>/S005_001_*.png",
    _BY_PERSON,
)
CK48 = DatasetSpec(
    "CK+48: 48×48 crops of CK+; seven expressions: contempt, and no neutral",
    read_ck48,
    "copies on Kaggle ('CKPLUS'); the terms are CK+'s",
    "<class>/S010_004_00000017.png, original file names, which begin with the person",
    _BY_PERSON,
)
KDEF = DatasetSpec(
    "KDEF (Lundqvist et al. 1998): posed photographs of 70 people; straight views",
    read_kdef,
    "kdef.se; non-commercial research",
    "AF01/AF01ANS.JPG, or <class>/*.jpg",
    _BY_PERSON,
)
AFE = DatasetSpec(
    "AFE (Chen et al. 2022, arXiv:2008.00923): Asian faces from film and television",
    read_class_folders,
    "its authors, on request (github.com/HCPLab-SYSU/CD-FER-Benchmark); non-commercial research",
    "<class>/*.jpg or {train,test}/<class>/*.jpg",
    "official where there are split folders; else as folder:PATH",
)
MUXSPACE = DatasetSpec(
    "muxspace/facial_expressions: gray news photographs, extremely imbalanced, no official split",
    read_muxspace,
    "github.com/muxspace/facial_expressions; its licence file says Apache-2.0",
    "legend.csv and images/*.jpg",
    _BY_PERSON,
)
FERPLUS = DatasetSpec(
    "FERPlus (Barsoum et al. 2016, arXiv:1608.01041): FER2013 with the majority of ten votes, contempt among them",
    read_fer_plus,
    "github.com/microsoft/FERPlus for the votes, FER2013 for the images; research use",
    "fer2013new.csv beside fer2013.csv, in the folder of fer2013, or FER2013Train/ FER2013Valid/ FER2013Test/ with "
    "label.csv in each; unknown, no face and votes without a majority are "
    "left out",
    folder="fer2013",
)
AFFECTNET = DatasetSpec(
    "AffectNet (Mollahosseini et al. 2017, arXiv:1708.03985): web photographs, contempt among them",
    read_affectnet,
    "its authors, on request (mohammadmahoor.com/pages/databases/affectnet); research",
    "train/0/*.jpg … val/7/*.jpg, train_set/{images,annotations}/, or training.csv and validation.csv beside "
    "Manually_Annotated_Images/; 0 neutral, 1 happy, 2 sad, 3 surprise, 4 fear, 5 disgust, 6 anger, 7 contempt; "
    "8 none, 9 uncertain and 10 no face are left out",
    "official: train, and the validation set as test split; the test set has no public labels",
)
OULU_CASIA = DatasetSpec(
    "Oulu-CASIA (Zhao et al. 2011): posed sequences of 80 people; three peak frames, and the first as neutral",
    read_oulu_casia,
    "its authors, on request (oulu.fi/en/university/faculties-and-units/cmvs); research",
    "OriginalImg/VL/Strong/P001/Anger/*.jpeg: visible light, strong illumination",
    _BY_PERSON,
)

#: Readers of the user's own data, by the kinds of :data:`.datasets.OWN_DATA`.
OWN_READERS: dict[str, Reader] = {
    "folder": read_class_folders,
    "legend": read_legend_csv,
    "images": read_images,
    "parquet": read_parquet,
}
