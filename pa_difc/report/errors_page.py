"""The error page of a model: its errors, their confidence and groups; without labels, what it is unsure of."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..util.files import refuse_foreign, refuse_links, write_text
from .brief import split_lead
from .errors_style import GENERATOR, bdi, document
from .errors_tables import confidences, matrix, predicted
from .face_cards import cards
from .face_groups import Groups
from .group_recall import ByGroup, recall_by_group
from .group_section import group_section
from .mistakes import evenly, find_pairs, least_sure, surest_errors
from .page import slug
from .predictions_file import GROUPS, PREDICTIONS, require_our_tables, write_groups, write_predictions
from .reviewed import Reviewed
from .words import gap_sentence, lead, share

PAGE = "errors.html"

_PAIRS, _OF_A_PAIR, _SHOWN = 8, 8, 24  #: most pairs of classes, faces of a pair, and faces of any other section
_MATRIX, _GAPS = 12, 2  #: most classes of a confusion matrix, and most gaps between groups at the top


def require_our_page(folder: Path) -> None:
    """Refuses a folder in which somebody else's page or table would be overwritten.

    Raises:
        UserError: it holds an errors.html, predictions.csv or groups.csv that this command did not write, or a link.
    """
    page = folder / PAGE
    refuse_links(folder, page, instead="another --out")
    refuse_foreign(page, ours=_is_ours, writer="this command", instead="another --out")
    require_our_tables(folder)


def _is_ours(page: Path) -> bool:
    return GENERATOR in page.read_text(encoding="utf-8", errors="replace")


@dataclass(frozen=True)
class Written:
    """The files of an error page."""

    files: Sequence[Path]  #: the page first
    said: Sequence[str]  #: its main findings, in sentences


def write_error_page(reviewed: Reviewed, folder: Path, groups: Groups | None = None) -> Written:
    """Writes errors.html and predictions.csv, and groups.csv if groups are given.

    Args:
        reviewed: predictions and their faces.
        folder: to write to.
        groups: of the faces; ignored without labels.

    Raises:
        UserError: see :func:`require_our_page`; or a file can't be written.
    """
    require_our_page(folder)
    found = _recalls(reviewed, groups)
    files = [folder / PAGE, folder / PREDICTIONS]
    write_predictions(reviewed, files[1])
    if found:
        files.append(folder / GROUPS)
        write_groups(found, reviewed.classes, files[2])
    write_text(files[0], error_page(reviewed, found, groups.notes if groups else ()))
    return Written(files, [*lead(reviewed), *filter(None, map(gap_sentence, found))])


def _recalls(r: Reviewed, groups: Groups | None) -> list[ByGroup]:
    if groups is None or r.labels is None:
        return []
    return [recall_by_group(column, r.labels, r.predicted, len(r.classes)) for column in groups.columns]


def error_page(r: Reviewed, groups: Sequence[ByGroup] = (), notes: Sequence[str] = ()) -> str:
    """The page as HTML.

    Args:
        r: predictions and their faces.
        groups: recalls by group, for each column of the --groups file.
        notes: on parts of that file that did not fit.
    """
    sections = _of_labelled(r) if r.labels is not None else _of_unlabelled(r)
    if groups:
        sections["By group"] = group_section(groups, r.classes, notes)
    sections["Every face"] = _files(r, bool(groups))
    title = (
        f"What {r.model} gets wrong on {r.target}"
        if r.labels is not None
        else f"What {r.model} is unsure of on {r.target}"
    )
    links = "".join(f"<a href='#{slug(name)}'>{html.escape(name)}</a>" for name in sections)
    body = [f"<h1>{html.escape(title)}</h1><p class='about'>{html.escape(r.about)}</p>"]
    first, *more = lead(r)
    told, detail = split_lead(" ".join([first, *more]))
    body.append(f"<p class='lead'><b>{html.escape(first)}</b>{html.escape(told.removeprefix(first))}</p>")
    body += [f"<p>{html.escape(said)}</p>" for said in (detail, *map(gap_sentence, groups[:_GAPS])) if said]
    body.append(_labels_note(r))
    body += [f"<p class='note'>{html.escape(note)}</p>" for note in r.notes]
    body.append(f"<nav aria-label='Contents'>{links}</nav>")
    body += [
        f"<section><h2 id='{slug(name)}'>{html.escape(name)}</h2>{content}</section>"
        for name, content in sections.items()
    ]
    return document(title, "\n".join(body))


def _labels_note(r: Reviewed) -> str:
    if r.labels is None:
        return "<p class='note'>No label was read. How many of these predictions are right is unknown.</p>"
    return (
        f"<p class='warn'>The labels of {html.escape(r.target)} were read for this page, after training. If you change "
        "the model because of what you see here and score it on these faces again, you have selected it by their "
        "labels (an oracle).</p>"
    )


def _of_labelled(r: Reviewed) -> dict[str, str]:
    assert r.labels is not None
    if not (r.predicted != r.labels).any():
        return {"Confidence and accuracy": confidences(r)}
    found = {"Which classes are confused": _pairs(r), "The most confident errors": _surest(r)}
    if len(r.classes) <= _MATRIX:
        found["All pairs"] = matrix(r)
    return found | {"Confidence and accuracy": confidences(r)} | _divided(r)


def _of_unlabelled(r: Reviewed) -> dict[str, str]:
    shown = least_sure(r.probs, _SHOWN)
    said = f"<p>The {len(shown)} faces with the lowest confidence of {len(r.probs):,}.</p>"
    return {
        "Least sure": said + cards(r, shown),
        **_divided(r),
        "What was predicted": predicted(r),
        "How sure": confidences(r),
    }


def _pairs(r: Reviewed) -> str:
    assert r.labels is not None
    pairs = find_pairs(r.labels, r.probs)
    top = len(pairs[0].faces)
    rows = [
        f"<p>True class → predicted class, the most frequent of {len(pairs)} pairs first. Faces are sampled evenly "
        "from the most to the least confident error; the confidence is below each.</p>"
    ]
    for pair in pairs[:_PAIRS]:
        n = len(pair.faces)
        true, said = bdi(r.classes[pair.true]), bdi(r.classes[pair.predicted])
        rows.append(
            f"<div class='pair'><div><h3>{true} → {said}</h3>"
            f"<div class='bar'><i style='width:{100 * n / top:.0f}%'></i></div>"
            f"<b>{n:,}</b> faces, {share(pair.of_errors)} of all errors,<br>{share(pair.of_true)} of all {true}</div>"
            f"{cards(r, evenly(pair.faces, _OF_A_PAIR), short=True)}</div>"
        )
    if more := sum(len(pair.faces) for pair in pairs[_PAIRS:]):
        rows.append(f"<p>{more:,} errors are of the {len(pairs) - _PAIRS} other pairs.</p>")
    return "".join(rows)


def _surest(r: Reviewed) -> str:
    assert r.labels is not None
    shown = surest_errors(r.labels, r.probs, _SHOWN)
    said = "<p>Wrong, with the highest confidence. Labels that are wrong themselves show up here first.</p>"
    return said + cards(r, shown)


def _divided(r: Reviewed) -> dict[str, str]:
    """The section on faces that the grid's cells disagree on; empty if there is one cell."""
    if r.committee is None:
        return {}
    cells = r.committee.cells
    if not len(shown := r.committee.most_divided(_SHOWN)):
        return {"Where cells disagree": f"<p>All {cells} cells name the same class for every face.</p>"}
    split = r.committee.split
    said = (
        f"<p>On {int(split.sum()):,} faces ({share(float(split.mean()))}) the {cells} cells of the grid do not all "
        "name the same class. Those with the largest mean divergence to the mean of all cells come first.</p>"
    )
    return {"Where cells disagree": said + cards(r, shown, votes=True)}


def _files(r: Reviewed, grouped: bool) -> str:
    """The section on the tables next to the page."""
    true = "" if r.labels is None else "true class, "
    divided = "" if r.committee is None else "disagreement of the cells (mean KL divergence to their mean, in nats), "
    said = (
        f"<p><a href='{PREDICTIONS}'>{PREDICTIONS}</a> has a row for each of the {len(r.probs):,} faces: path, {true}"
        f"predicted class, confidence, {divided}and the probability of each class. A name that a spreadsheet "
        "would take for a formula begins with the code of its first character, such as \\x3d for =.</p>"
    )
    if grouped:
        said += f"<p><a href='{GROUPS}'>{GROUPS}</a> has a row for each group.</p>"
    elif r.labels is not None:
        said += (
            "<p>To compare groups of faces, add columns to a copy of it (age, source, camera …) and give that as "
            "<code>--groups</code>.</p>"
        )
    return said
