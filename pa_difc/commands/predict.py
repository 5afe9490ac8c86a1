"""``pa-difc predict``: the classes of the faces in images."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..util.errors import UserError

if TYPE_CHECKING:
    from ..deploy.prediction import Prediction

EXAMPLES = """\
  pa-difc predict --model runs/demo/runs/mcd-difc-seed0-… photo.jpg
  pa-difc predict --model my_model holiday/ --out holiday.csv --annotate holiday_annotated
  pa-difc predict --model my_model *.jpg --format json"""


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("images", nargs="+", type=Path, help="image files, or folders of them")
    add("--model", type=Path, required=True, metavar="DIR", help="a finished run's folder, or an exported model")
    add("--format", default="csv", choices=("csv", "json"), help="(default: %(default)s)")
    add("--out", type=Path, metavar="FILE", help="(default: standard output)")
    add("--annotate", type=Path, metavar="DIR", help="write each picture there, with boxes, points and bars")
    add("--views", metavar="NAME", help="average over none, flip or flip+scales (default: as the model was scored)")
    add("--device", default="cpu", metavar="NAME", help="cpu, cuda or cuda:N (default: %(default)s)")


def run(parsed: argparse.Namespace) -> int:
    from tqdm import tqdm

    from ..deploy.model import load_model
    from ..deploy.predict import find_images, picture_files, predict_images
    from ..training.device import set_device
    from ..training.groups import EvalSettings
    from ..training.model_settings import product_line
    from ..util.files import refuse_foreign, write_text

    set_device(parsed.device)
    model = load_model(parsed.model)
    if parsed.views is not None:
        EvalSettings(views=parsed.views)  # fails here if there are no such views
        model.take_views(parsed.views)
    if line := product_line(model.settings):
        print(f"{parsed.model}: {line}", file=sys.stderr)
    images = find_images(parsed.images)
    if parsed.out and parsed.out.resolve() in {path.resolve() for path in images}:
        raise UserError(f"--out {parsed.out} is one of the images: give another file")
    if parsed.out:
        refuse_foreign(parsed.out, ours=_is_ours(parsed.out), writer="predict", instead="another --out")
    pictures = picture_files(images, parsed.annotate) if parsed.annotate else None
    if parsed.annotate:
        try:
            parsed.annotate.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write {parsed.annotate}: {error.strerror}") from None
    found = predict_images(model, images, device=parsed.device, annotate=pictures)
    bar = tqdm(found, total=len(images), desc="predicting", unit="image", disable=None, leave=False)
    predictions = [p for faces in bar for p in faces]
    text = _text(predictions, model.classes, parsed.format)
    if parsed.out:
        write_text(parsed.out, text)
    else:
        sys.stdout.write(text)
    if problems := sum(bool(p.problem) for p in predictions):
        print(f"{problems} of {len(images)} images without a prediction; see the column 'problem'", file=sys.stderr)
    return 0


def _is_ours(file: Path) -> bool:
    """Whether a file may be written over: a table of predictions, an empty one, or none."""
    if not file.is_file():
        return True
    with file.open(encoding="utf-8", errors="replace") as stream:
        return stream.read(11).strip() in ("", "file,label,", '[\n {\n  "fil', "[]")


def _text(predictions: list[Prediction], classes: Sequence[str], kind: str) -> str:
    from ..deploy.prediction import columns

    rows = [p.row(classes) for p in predictions]
    if kind == "json":
        return json.dumps(rows, indent=1) + "\n"
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns(classes), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
