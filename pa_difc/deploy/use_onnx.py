"""Classifies faces with the model.onnx beside this file; needs only onnxruntime, numpy and pillow.

    python use_onnx.py face.jpg another.png

Each image is one face, cut out as the model's training faces were ("crop" in the file's metadata says how). A file that
can't be read gives a line on standard error, and the exit code 1 after the others.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

MODEL = Path(__file__).with_name("model.onnx")
SESSION = onnxruntime.InferenceSession(MODEL.read_bytes(), providers=["CPUExecutionProvider"])
SAID = SESSION.get_modelmeta().custom_metadata_map
CLASSES, SIZE = json.loads(SAID["classes"]), int(SAID["size_px"])


def probabilities(image: Image.Image) -> dict[str, float]:
    """The probability of each class, for an image that is one face."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):  # Pillow's conversion to RGB would clip nearly all of it to white
        raise ValueError(f"gray of more than 8 bits ({image.mode}): save it with 8 over the full range")
    if image.has_transparency_data:  # on the gray background that pa-difc uses
        image = Image.alpha_composite(Image.new("RGBA", image.size, (128, 128, 128, 255)), image.convert("RGBA"))
    left, top, right, bottom = 0, 0, *image.size
    if SAID["crop"] == "centre square":
        side = min(image.size)
        left, top = (right - side) // 2, (bottom - side) // 2
        right, bottom = left + side, top + side
    resized = image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=(left, top, right, bottom))
    values = {"image": (np.asarray(resized, np.float32) / 255).transpose(2, 0, 1)[None]}  # (1, 3, P, P)
    if "landmark_places" in SAID:  # typical places of eyes, nose and mouth; this face's own would be better
        values["landmarks"] = np.array([json.loads(SAID["landmark_places"])], np.float32)  # (1, 5, 2)
    return dict(zip(CLASSES, SESSION.run(None, values)[0][0].tolist(), strict=True))


def main(files: list[str]) -> int:
    """Prints a line for each file; returns the exit code."""
    if not files:
        print(f"usage: python {Path(__file__).name} face.jpg …", file=sys.stderr)
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
