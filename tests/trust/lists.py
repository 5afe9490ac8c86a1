"""Datasets' lists, whole and with rows that mean nothing."""

from PIL import Image

PIXELS = " ".join(["7"] * 2304)
LABELS = "basic/EmoLabel/list_patition_label.txt"
BOX = "basic/Annotation/boundingbox/train_00001_boundingbox.txt"
POINTS = "basic/Annotation/auto/train_00001_auto_attri.txt"
EMOTION = "Emotion/S005/001/S005_001_00000003_emotion.txt"

#: The files of each dataset that say something, whole.
WHOLE = {
    "fer2013": {
        "fer2013.csv": f"emotion,pixels,Usage\n0,{PIXELS},Training\n3,{PIXELS},PrivateTest\n6,{PIXELS},PublicTest\n"
    },
    "muxspace": {"legend.csv": "user.id,image,emotion\n1,a_1.jpg,happiness\n1,b_1.jpg,ANGER\n2,c_2.jpg,contempt\n"},
    "raf_db": {LABELS: "train_00001.jpg 5\ntest_0001.jpg 1\n"},
    "raf_db_original": {
        LABELS: "train_00001.jpg 5\n",
        BOX: "10 8 40 38\n",
        POINTS: "15\t20\n30\t20.5\n22\t26\n17\t33\n29\t33\n1\n0\n2\n",
    },
    "expw": {"label/label.lst": "a.jpg 0 5 10 30 25 98.5 3\na.jpg 1 6 32 52 26 50.1 5\nb.jpg 0 1 2 20 19 12.0 6\n"},
    "ck_plus": {EMOTION: "   3.0000000e+00\n"},
    "jaffe": {"KA.AN1.39.tiff": ""},
    "kdef": {"AF01/AF01ANS.JPG": ""},
    "afe": {"train/happy/1.jpg": "", "test/sad/2.jpg": ""},
}

_FRAMES = [f"cohn-kanade-images/S005/001/S005_001_0000000{i}.png" for i in range(1, 4)]

_FER_ROWS = [
    *(f"{code},{PIXELS},Training" for code in ("7", "-1", "", "x", "1.0", "1e0", "9" * 5000, "²", "nan")),
    *(f"0,{p},Training" for p in ("", "7", PIXELS + " 7", PIXELS[:-1] + "x", PIXELS + "e3", PIXELS[:-1] + "256")),
    *(f"0,{p},Training" for p in (PIXELS[:-1] + "-7", PIXELS.replace("7", "7.5", 1), "9" * 5000, "\0")),
    *(f"0,{PIXELS},{usage}" for usage in ("", "training", "x" * 5000)),
    "0",
    f"0,{PIXELS}",
]
_OUT = ("../../etc/passwd", "/etc/passwd", "a/../../b.jpg", "..", "..\\\\b.jpg", "C:\\\\b.jpg", "")
_EXPW = [
    *(f"{name} 0 5 10 30 25 98.5 3" for name in _OUT),
    *(f"a.jpg 0 {box} 98.5 3" for box in ("nan 10 30 25", "-inf 10 30 25", "5 10 inf 25", "25 10 30 5", "5 10 10 25")),
    *(f"a.jpg 0 5 10 30 25 98.5 {code}" for code in ("7", "-1", "x", "1.0", "9" * 5000)),
    "a.jpg",
    "a.jpg 0 5 10 30 25",
    "a.jpg 0 5 10 30 25 98.5 3 4 5",
]
_RAF = [
    *(
        f"{name} 5"
        for name in ("train_../../x.jpg", "/train_1.jpg", "train_", "val_1.jpg", "train_1", "../train_1.jpg")
    ),
    *(f"train_1.jpg {code}" for code in ("0", "8", "x", "-1", "1.0", "", "9" * 5000)),
    "train_1.jpg 5 6",
]


def good_lists(root, name, files):
    """Writes a dataset with some files' content replaced; returns the paths of all that say something."""
    folder = root / ("raf_db" if name == "raf_db_original" else name)
    written = []
    for path, text in {**WHOLE[name], **files}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, errors="surrogateescape")
        written.append(folder / path)
    for path in _FRAMES if name == "ck_plus" else ["image/origin/a.jpg"]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if name in ("ck_plus", "expw"):
            Image.new("L", (40, 40)).save(folder / path)
    return written


def bad_lists():
    """Datasets with a row that means nothing: name, and the files that replace whole ones."""
    fer = WHOLE["fer2013"]["fer2013.csv"]
    yield from (("fer2013", {"fer2013.csv": fer + row + "\n"}) for row in _FER_ROWS)
    for header in ("", "a,b,c\n", "emotion,pixels\n0,1\n", "\0", "emotion;pixels;Usage\n"):
        yield "fer2013", {"fer2013.csv": header}
    legend = WHOLE["muxspace"]["legend.csv"]
    rows = [*(f"1,{name},happiness" for name in _OUT), "1,d.jpg,joyless", "1,d.jpg,", "1,d.jpg", "1", "1,a_1.jpg,fear"]
    yield from (("muxspace", {"legend.csv": legend + row + "\n"}) for row in rows)
    yield from (("muxspace", {"legend.csv": text}) for text in ("", "image\na.jpg\n", "user.id,image,emotion\n"))
    yield "muxspace", {"legend.csv": legend + '1,"' + "x" * 200_000 + '",fear\n'}
    yield from (("raf_db", {LABELS: WHOLE["raf_db"][LABELS] + row + "\n"}) for row in [*_RAF, "test_0001.jpg 1"])
    for box in ("", "1 2 3", "40 8 10 38", "nan 8 40 38", "-inf 8 40 38", "10 8 inf 38", "a b c d", "\0"):
        yield "raf_db_original", {BOX: box}
    for points in ("1 2\n" * 4 + "x y\n", "1 2\n" * 4 + "nan 3\n", "1 2\n" * 4 + "inf 3\n"):
        yield "raf_db_original", {POINTS: points}
    label = WHOLE["expw"]["label/label.lst"]
    yield from (("expw", {"label/label.lst": label + row + "\n"}) for row in [*_EXPW, "b.jpg 0 1 2 20 19 12.0 6"])
    yield "expw", {"label/label.lst": ""}
    yield from (("ck_plus", {EMOTION: code}) for code in ("8", "-1", "x", "", "nan", "inf", "1.5", "9" * 5000))
    yield from (("jaffe", {name: ""}) for name in ("KA.XX1.39.tiff", "KA.jpg", "x.png"))
    yield from (("kdef", {f"AF01/{name}": ""}) for name in ("AF01XXS.JPG", "x.jpg", "CF01ANS.JPG"))
    yield from (("afe", {f"train/{name}/1.jpg": ""}) for name in ("hapy", "x", "x..", "'", "\udcff"))
