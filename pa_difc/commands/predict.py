"""``pa-difc predict``: classifies the faces in images or in a video."""

from __future__ import annotations

import argparse
import sys
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.protocol import SEARCH_PX
from ..util.errors import Stopped, UserError
from ..util.terminal import for_programs, wrapped
from . import predict_video

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..deploy.images import Images
    from ..deploy.predictor import Predictor
    from ..deploy.rows import Table

EXAMPLES = """\
  pa-difc predict --model runs/demo/runs/mcd-difc-seed0-… photo.jpg
  pa-difc predict --model my_model holiday/ \\
      --out holiday.csv --annotate holiday_annotated
  pa-difc predict --model my_model faces/ --crop none --out faces.json
  pa-difc predict --model my_model stadium.jpg --detect-px 4096
  pa-difc predict --model my_model --video walk.mp4 \\
      --out walk.csv --annotate walk_faces.mp4 --smooth ema:0.3"""


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("images", nargs="*", type=Path, help="image files, or folders of them")
    add("--model", type=Path, required=True, metavar="DIR", help="a finished run's folder, or an exported model")
    add("--format", choices=("csv", "json"), help="format of the table (default: that of --out's name, or csv)")
    add(
        "--out",
        type=Path,
        metavar="FILE",
        help="output file, .csv or .json (default: standard output); rerun a stopped command to resume it",
    )
    about = "folder for annotated images, with boxes, labels and bars; with --video, the .mp4 or .mkv file to write"
    add("--annotate", type=Path, metavar="DIR", help=about)
    add(
        "--crop",
        default="model",
        choices=("model", "cdfer", "none"),
        help="how to crop faces: model, like the faces it was trained on; cdfer, the box and about 10 %% around it; "
        "none, not at all, since each image is one face (default: %(default)s)",
    )
    add(
        "--detect-px",
        type=int,
        default=SEARCH_PX,
        metavar="P",
        help="larger images are reduced to this longer side for face detection, 64 to 4096; there, faces must have 25 "
        "pixels to be found: more finds smaller faces, but is slower (default: %(default)s)",
    )
    add(
        "--views",
        metavar="NAME",
        help="views to average over: none, flip or flip+scales (default: as the model was scored)",
    )
    add("--device", default="cpu", metavar="NAME", help="cpu, cuda or cuda:N (default: %(default)s)")
    predict_video.arguments(parser)


def run(parsed: argparse.Namespace) -> int:
    if not 64 <= parsed.detect_px <= 4096:
        raise UserError(f"--detect-px {parsed.detect_px}: must be from 64 to 4096")
    predict_video.refuse(parsed)
    from ..data.files import left_out_line
    from ..deploy.faces import Cut
    from ..deploy.images import find_images, picture_files
    from ..deploy.predictor import load
    from ..training.device import set_device
    from ..training.model_settings import product_line

    set_device(parsed.device)
    model = load(parsed.model, parsed.device, crop=parsed.crop, views=parsed.views, detect_px=parsed.detect_px)
    product = product_line(model.model.settings)
    notes = [product and f"{parsed.model}: {product}", Cut(model.model, parsed.crop).warning()]
    if parsed.video is not None:
        return predict_video.run_video(parsed, model, lambda: _say(*notes))
    images = find_images(parsed.images)
    pictures = picture_files(images, parsed.annotate) if parsed.annotate else None
    table = _table(parsed, model, images, pictures or [])
    _say(left_out_line(images.left_out), *notes)
    _predict(parsed, model, images, pictures, table)
    if table.problems:
        number = f"{table.problems} of {len(images.paths)}"
        print(f"{number} images without a prediction; see the column 'problem'", file=sys.stderr)
    if table.unreadable:
        _say(_film_line(images.paths))
    return 1 if table.unreadable == len(images.paths) else 0


def _film_line(paths: Sequence[Path]) -> str | None:
    """Advice if a file that was given as an image has the name of a video."""
    films = [path for path in paths if (guess_type(path.name)[0] or "").startswith("video/")]
    return f"{films[0]} has the name of a video: give it as --video {films[0]}" if films else None


def _say(*lines: str | None) -> None:
    for line in filter(None, lines):
        print(wrapped(line, 2, sys.stderr), file=sys.stderr)


def _table(parsed: argparse.Namespace, model: Predictor, images: Images, pictures: Sequence[Path]) -> Table:
    """The table that the rows are written to: standard output, or --out with what an earlier run left."""
    from ..deploy.rows import FileTable, Format, Table, identity
    from .outputs import table_format

    if parsed.out is not None and parsed.out.resolve() in {path.resolve() for path in (*images.paths, *pictures)}:
        raise UserError(f"--out {parsed.out} is one of the images: give another file")
    form = Format(table_format(parsed.out, parsed.format), model.labels)
    if parsed.out is None:
        return Table(for_programs(sys.stdout), form)
    same = identity(
        model.model.state_dict(),
        [model.model.settings, model.model.views, parsed.crop, parsed.detect_px, parsed.annotate],
        images.paths,
    )
    table = FileTable(parsed.out, form, same, list(map(str, images.paths)), pictures)
    if parsed.out.is_file():
        _say(f"{parsed.out} has earlier predictions for these images: it is replaced at the end")
    if table.done:
        print(f"{table.done} of {len(images.paths)} images are done: {table.part}", file=sys.stderr)
    return table


def _predict(
    parsed: argparse.Namespace, model: Predictor, images: Images, pictures: Sequence[Path] | None, table: Table
) -> None:
    """Predicts the images that the table lacks, and adds their rows."""
    from ..util.bars import tqdm

    done = table.done
    found = model.each(images.paths[done:], annotate=pictures and pictures[done:])
    total = len(images.paths)
    bar = tqdm(found, total=total, initial=done, desc="predicting", unit="image", disable=None, leave=False)
    try:
        for faces in bar:
            table.add(faces.rows())
        table.finish()
    except KeyboardInterrupt:
        if parsed.out is None:
            raise
        raise Stopped(f"stopped after {table.done} of {total} images") from None
    finally:
        table.close()
