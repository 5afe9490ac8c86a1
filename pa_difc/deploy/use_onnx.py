"""Classifies faces with the model.onnx beside this file; needs only onnxruntime, numpy and pillow.

    python use_onnx.py face.jpg another.png

Each image is one face, cropped as the model's training faces were ("crop" in the file's metadata says how). A file that
can't be read gives a line on standard error, and the exit code 1 after the others.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

MODEL = Path(__file__).with_name("model.onnx")
SESSION = onnxruntime.InferenceSession(MODEL.read_bytes(), providers=["CPUExecutionProvider"])
SAID = SESSION.get_modelmeta().custom_metadata_map
CLASSES, SIZE = json.loads(SAID["classes"]), int(SAID["size_px"])
LARGE = 1 << 20  # images with more pixels are reduced by a power of 2 first, JPEG files while they are decoded
ORIENTATION = 274  # an EXIF tag
TURNS = dict(enumerate(map(Image.Transpose, (0, 3, 1, 5, 4, 6, 2)), start=2))
FROM_RIGHT, FROM_BOTTOM = (2, 3, 6, 7), (3, 4, 7, 8)  # orientations in which the upright image begins at a far edge


def probabilities(image: Image.Image) -> dict[str, float]:
    """The probability of each class, for an image that is one face."""
    values = {"image": (np.asarray(face(image), np.float32) / 255).transpose(2, 0, 1)[None]}  # (1, 3, P, P)
    if "landmark_places" in SAID:  # typical places of eyes, nose and mouth; this face's own would be better
        values["landmarks"] = np.array([json.loads(SAID["landmark_places"])], np.float32)  # (1, 5, 2)
    return dict(zip(CLASSES, SESSION.run(None, values)[0][0].tolist(), strict=True))


def face(image: Image.Image) -> Image.Image:
    """The image upright, in RGB and at the network's size, by the steps that pa-difc takes."""
    size, factor = image.size, 1
    if size[0] * size[1] > LARGE:
        factor = 1 << max(0, int(min(size) / SIZE / 2).bit_length() - 1)
    decoded = reduced_while_decoding(image, min(factor, 8))
    image.load()
    turn = image.getexif().get(ORIENTATION, 1)  # Pillow turns TIFF files itself, and removes the tag
    small = rgb(image)
    small = small.reduce(factor // decoded) if factor > decoded else small
    if turn in TURNS:
        small = small.transpose(TURNS[turn])
    width, height = size[::-1] if turn in (5, 6, 7, 8) else size
    left, top, right, bottom = 0, 0, width, height
    if SAID["crop"] == "centre square":
        side = min(size)
        left, top = (width - side) // 2, (height - side) // 2
        right, bottom = left + side, top + side
    x = width - small.width * factor if turn in FROM_RIGHT else 0  # the last pixels of a row may be reduced from fewer
    y = height - small.height * factor if turn in FROM_BOTTOM else 0
    box = ((left - x) / factor, (top - y) / factor, (right - x) / factor, (bottom - y) / factor)
    return small.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=box)


def reduced_while_decoding(image: Image.Image, factor: int) -> int:
    """Sets a JPEG file to be decoded at a fraction of its size; returns by what it is reduced: 1 for other files."""
    if factor == 1 or image.format not in ("JPEG", "MPO"):
        return 1
    image.draft(None, (max(1, image.width // factor), max(1, image.height // factor)))
    return (getattr(image, "decoderconfig", ()) or (1,))[0]


def rgb(image: Image.Image) -> Image.Image:
    """A loaded image in RGB, with the gray background that pa-difc uses."""
    if image.mode.startswith(("I", "F")):  # Pillow's conversion to RGB would clip nearly all of it to white
        raise ValueError(f"gray of more than 8 bits ({image.mode}): save it with 8 over the full range")
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, (128, 128, 128, 255)), image.convert("RGBA"))
    return image.convert("RGB")


def other_names() -> str:
    """An error if config.json, where it is beside this file, names other classes; empty if they are the same."""
    try:
        config = json.loads(MODEL.with_name("config.json").read_bytes())
        named = [config["id2label"][str(index)] for index in range(len(config["id2label"]))]
        named = config["labels"]["names"] if named == CLASSES else named
    except (OSError, ValueError, KeyError, TypeError):  # it is not there, or names no classes
        return ""
    said = f"error: {MODEL} names its classes {', '.join(CLASSES)}, and config.json {', '.join(map(str, named))}"
    return "" if named == CLASSES else f"{said}: export the model again with --format onnx"


def main(files: list[str]) -> int:
    """Prints a line for each file; returns the exit code."""
    problem = other_names() if files else f"usage: python {Path(__file__).name} face.jpg …"
    if problem:
        print(problem, file=sys.stderr)
        return 2
    unread = 0
    for file in files:
        try:
            found = probabilities(Image.open(file))
        except Exception as error:  # Pillow can raise anything on a damaged file
            unread += 1
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            print(f"error: {file}: {' '.join(reason.split())}", file=sys.stderr)
        else:
            best = max(found, key=found.__getitem__)
            row = json.dumps({"file": file, "label": best, "probabilities": found}, ensure_ascii=False)
            print(row.encode(errors="backslashreplace").decode())  # bytes of a name that are not UTF-8
    return min(unread, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
