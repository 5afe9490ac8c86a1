"""The tables of a choice without target labels, and notes on how to read them."""

from __future__ import annotations

from statistics import mean

from ..evaluation.criteria import CONSENSUS_OF_METHODS as CONSENSUS
from ..evaluation.criteria import SOURCE_TOLERANCE
from ..evaluation.metrics import COLLAPSED_UNLABELLED
from ..util.intervals import Share, in_brackets
from ..util.names import shown_loss
from ..util.numbers import fixed, signed
from .run import AS_IS
from .selection import AGAINST_AS_IS, ALONE, REFERENCE, Selection
from .table import tells_frequent
from .tables import AGREES, Rows

#: What each criterion of the choice means, in a line.
ABOUT = {
    "class_ami": "how well the predicted classes match groups of similar faces; 1 at most, 0 by chance",
    "ensv": "agreement with the average prediction of all cells; 1 at most",
    "im": "information maximisation: how sure each prediction is and how evenly the classes are predicted",
    "bnm": "nuclear norm of the predictions: large if they are sure and of many classes",
}
#: Header of the column that decides the choice.
RANK = "rank"
#: Fewer cells than this are too few to judge a criterion.
FEWEST_TO_JUDGE = 3


def candidates_table(selection: Selection, narrow: bool = False) -> Rows:
    """Every cell with its criteria and mean rank; an arrow marks the chosen one.

    A single cell has neither criteria nor rank: these compare cells.

    Args:
        selection: the cells.
        narrow: for a terminal: without the criteria that only rule out cells.
    """
    several = len(selection.candidates) > 1
    shown = [name for name in CONSENSUS if name != "src_macro"] if several else []
    if not narrow and any(c.below_as_is for c in selection.candidates):
        shown += [name for name in AGAINST_AS_IS if name not in shown]
    compared = several and any(c.agreement is not None for c in selection.candidates)
    agrees = [AGREES] if compared else []
    recall = ["source recall"] if selection.has_source else []
    rows = [["method", "loss", *recall, *shown, *([RANK] if several else []), *agrees, "classes", "training"]]
    for c in selection.candidates:
        marks = [" †"] * c.collapsed + [" §"] * (not c.keeps_source) + [" ¶"] * c.below_as_is
        marks += [" ←"] * (several and c is selection.chosen)
        kept = [_with_interval(c.source)] if selection.has_source else []
        values = [*kept, *(fixed(c.scores[name], 3) for name in shown)]
        classes = f"{sum(share > 0 for share in c.predicted)} of {len(selection.classes)}"
        time = "–" if c.method == AS_IS else f"{int(c.seconds) // 60}:{int(c.seconds) % 60:02d}"
        values += [*([fixed(selection.rank(c))] if several else []), *([_share(c.agreement)] if compared else [])]
        rows.append([c.method, shown_loss(c.method, c.loss) + "".join(marks), *values, classes, time])
    return rows


def numbers(selection: Selection) -> list[list[object]]:
    """The same for programs, with all criteria, and shares in [0, 1]."""
    criteria, shares = (*ALONE, "ensv", "consensus"), [f"predicted_{name}" for name in selection.classes]
    rows: list[list[object]] = [
        [
            "method",
            "loss",
            "seeds",
            *criteria,
            "keeps_source",
            "collapsed",
            "below_as_is",
            "agrees_with_as_is",
            "chosen",
            *shares,
            "seconds",
        ]
    ]
    for c in selection.candidates:
        values = [*(f"{c.scores[name]:.6f}" for name in criteria), c.keeps_source, c.collapsed, c.below_as_is]
        values += ["" if c.agreement is None else f"{c.agreement:.6f}", c is selection.chosen]
        seeds, predicted = " ".join(str(run.cell[2]) for run in c.runs), [f"{share:.6f}" for share in c.predicted]
        rows.append([c.method, c.loss, seeds, *values, *predicted, f"{c.seconds:.1f}"])
    return rows


def predicted_table(selection: Selection) -> Rows:
    """The shares of predicted classes on the target in %, mean over seeds."""
    rows = [["method", "loss", *selection.classes]]
    for c in selection.candidates:
        rows.append([c.method, shown_loss(c.method, c.loss), *(fixed(100 * share) for share in c.predicted)])
    return rows


def selection_notes(selection: Selection) -> list[str]:
    """Notes on how to read the candidates' table."""
    several = len(selection.candidates) > 1
    notes = []
    if several:
        notes += [f"← chosen by {selection.chosen_by}: rank 1 is the best; of the criteria, larger is better"]
        notes += [f"{name}: {ABOUT[name]}" for name in CONSENSUS if name != "src_macro"]
    if selection.has_source:
        notes.append("source recall: mean recall in % on source faces held out from training, with its 95 % interval")
    barred = "; not chosen" if any(c.eligible for c in selection.candidates) else ""
    ruled_out = [name for name in AGAINST_AS_IS if name not in CONSENSUS]
    if several and any(c.below_as_is for c in selection.candidates):
        notes += [f"{name}: {ABOUT[name]}" for name in ruled_out]
    if any(c.collapsed for c in selection.candidates):
        notes.append(f"† collapsed: in at least one run {COLLAPSED_UNLABELLED}{barred}")
    if any(not c.keeps_source for c in selection.candidates):
        points = round(100 * SOURCE_TOLERANCE)
        notes.append(f"§ more than {points} points of source recall below {' + '.join(REFERENCE)}{barred}")
    if any(c.below_as_is for c in selection.candidates):
        notes.append(f"¶ better than as_is by fewer than two of {', '.join(AGAINST_AS_IS)}; not chosen")
    if several and not selection.has_reference and selection.has_source:
        notes.append(
            f"no cell is ruled out for forgetting the source, because {' + '.join(REFERENCE)}, with which the others "
            "are compared, is missing"
        )
    if not any(c.eligible for c in selection.candidates):
        notes.append("no cell passes these rules: the choice is unreliable")
    return notes


def judged(selection: Selection | None) -> Rows:
    """What each criterion would have picked, and its regret against the best cell; reads target labels.

    Spearman's correlation is between a criterion and the mean recall on the target, over all cells.
    """
    candidates = selection.candidates if selection else []
    frequent = tells_frequent(run.scores for c in candidates for run in c.runs)
    of_frequent = ["≥ 20 faces"] if frequent else []
    rows = [["criterion", "picks", "mean recall %", *of_frequent, "regret, points", "Spearman"]]
    from scipy.stats import spearmanr

    if selection is None or len(selection.candidates) < FEWEST_TO_JUDGE:
        return rows
    recalls = {c.name: 100 * mean(run.scores["macro_recall"] for run in c.runs) for c in selection.candidates}
    values = list(recalls.values())
    for criterion in ("consensus", "ensv", *ALONE):
        pick = selection.pick(criterion)
        scores = [c.scores[criterion] for c in selection.candidates]
        rho = signed(spearmanr(scores, values).statistic, 2) if len(set(scores)) > 1 < len(set(values)) else "–"
        recall = recalls[pick.name]
        known = [run.scores["macro_recall_20"] for run in pick.runs]
        shown = ["–" if None in known else fixed(100 * mean(known))] if frequent else []
        rows.append([criterion, pick.name, fixed(recall), *shown, fixed(max(values) - recall), rho])
    return rows


def _with_interval(share: Share | None) -> str:
    """In %, such as "52.1 (44–60)"."""
    return "–" if share is None else f"{fixed(100 * share.value)} {in_brackets(share)}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
