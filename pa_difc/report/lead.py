"""The sentences that a grid's report begins with."""

from __future__ import annotations

from math import isclose
from statistics import mean

from ..util.names import cell_name, listed
from ..util.numbers import fixed, signed, signed_points, spread
from .choice_lead import AS_IS_IN_WORDS, lower, training_on, unscored_sentence
from .compared import evidence
from .grid import BASE, Cell, Grid
from .pairs import SOURCE_ONLY, simpler
from .run import AS_IS, Run
from .seeds import named
from .selection import Selection, select
from .statistics import Difference, difference, differences, over

#: Sentences name at most so many cells that are not ranked.
_NAMED = 2


def sentence(grid: Grid, selection: Selection | None = None) -> str:
    """The main result: the best cell by mean recall, and what its loss gained over cross-entropy.

    If the grid has the pretrained classifier without training, the text begins with whether training on the source
    helped. For a target without labels, it names the cell to use, or warns of it.

    Args:
        grid: the runs.
        selection: the choice among them without labels; None makes it here if it is needed.
    """
    if not grid.labelled:
        return unscored_sentence(grid, selection or select(grid))
    cells = grid.ranked
    method, loss = best = _best(cells, "macro_recall")
    runs = cells[best]
    recall, accuracy = (spread([100 * r.scores[m] for r in runs.values()]) for m in ("macro_recall", "accuracy"))
    text = f"{cell_name(*best)} has the highest mean recall on {grid.target}, {recall} %, with {accuracy} % accuracy"
    text += _of_seeds(grid, best)
    rivals = [other for other in grid.losses if other != loss and grid.of(method, other)]
    if (gain := difference(grid, best, (method, BASE), "macro_recall")) and loss != BASE:
        text += _over_cross_entropy(grid, gain) + _classes_that_moved(grid, method, loss)
    elif loss == BASE and rivals:
        ranked = [other for other in rivals if (method, other) in cells]
        text += "; no loss gained over cross-entropy there" * (ranked == rivals)
        text += "; of its losses with all seeds, none gained over cross-entropy" * (0 < len(ranked) < len(rivals))
    elif loss != BASE:
        text += f"; there is no run of {method} with cross-entropy to compare it with"
    seeds = max(map(len, cells.values())) if method == AS_IS else len(runs)  # as_is is deterministic: one run only
    few = {1: ["One seed: an anecdote, not a result."], 2: ["Two seeds are too few to say what others would give."]}
    against = [
        _equal(cells, best),
        _collapsed(cells, best, (method, BASE)),
        *few.get(seeds, _simplest(grid, best)),
    ]
    said = [*_whether_training_paid(grid, cells), f"{text}.", *_over_source_only(grid, best)]
    return " ".join([*said, *filter(None, against)])


def in_short(grid: Grid) -> str:
    """The main result for an overview: the best cell's mean recall, and its gains, without their evidence.

    Args:
        grid: whose target has labels.
    """
    cells = grid.ranked
    best = _best(cells, "macro_recall")
    recall = spread([100 * r.scores["macro_recall"] for r in cells[best].values()])
    found = [d for d in differences(grid, "macro_recall") if d.cell == best and d.over == (best[0], BASE)]
    if (base := grid.as_is) is not None and best != base.cell[:2]:
        trained = [cell for cell in cells if cell != base.cell[:2]]
        found += [d for d in over(grid, trained, base.cell[:2], "macro_recall") if d.cell == best]
    gains = [f"{_apart(d)} {_baseline(d.over)}{_SURE[d.within_noise]}" for d in found]
    few = {1: "One seed: an anecdote, not a result.", 2: "Two seeds are too few to say what others would give."}
    said = ": ".join(
        filter(
            None,
            [
                f"{cell_name(*best)} has the highest mean recall on {grid.target}, {recall} %{_of_seeds(grid, best)}",
                "; ".join(gains),
            ],
        )
    )
    more = [
        _equal(cells, best),
        few.get(max(map(len, cells.values())), ""),
        _collapsed(cells, best),
    ]
    return " ".join([f"{said}.", *filter(None, more)])


#: What may be said of a difference by whether it is within noise; None: there are too few seeds to tell.
_SURE = {True: ", which may be chance", False: "", None: ""}


def _apart(d: Difference, of_what: str = "") -> str:
    """A difference before the name of what it is over: "+3.0 points over", "15.8 points below"."""
    if d.points < 0:
        return f"{signed_points(d.points)[1:]} points{of_what} below"
    return f"{signed_points(d.points)} points{of_what} over"


def _of_seeds(grid: Grid, cell: Cell) -> str:
    """The seeds by which a cell is ranked, if it has others too; else empty."""
    own = grid.ranked[cell]
    return f" {named(own)}" if len(own) < len(grid.of(*cell)) else ""


def not_ranked(grid: Grid) -> list[str]:
    """A sentence on cells that have other seeds than the rest."""
    found = grid.unranked
    many = [f"{len(found)} cells that lack seeds are not ranked; tables name their seeds."]
    return [f"Not ranked, for lack of seeds: {listed(found)}."] if 0 < len(found) <= _NAMED else many if found else []


def _baseline(cell: Cell) -> str:
    """What the best cell is compared with: its method's loss, or as_is."""
    return cell[0] if cell[0].partition(" ")[0] == AS_IS else cell[1]


def _over_source_only(grid: Grid, best: Cell) -> list[str]:
    """A sentence on what the best cell's method gains over the baseline method with the same loss."""
    found = [d for d in differences(grid, "macro_recall", "methods") if d.cell == best]
    return [
        f"It is {_apart(d, ' of mean recall')} {d.over[0]} with {best[1]} ({evidence(d)})."
        if d.points < 0
        else f"Over {d.over[0]} with {best[1]} it has {signed_points(d.points)} points of mean recall ({evidence(d)})."
        for d in found
        if _first(grid.of(*d.over)).method == SOURCE_ONLY
    ]


def _collapsed(cells: dict[Cell, dict[int, Run]], *named: Cell) -> str:
    """A warning of the cells that the main sentence names, if runs of theirs have collapsed; else empty."""
    found = []
    for cell in dict.fromkeys(named):
        runs = cells.get(cell, {}).values()
        if n := sum(bool(run.scores["collapsed"]) for run in runs):
            found.append(f"{n} of {len(runs)} run{'s' * (len(runs) > 1)} of {cell_name(*cell)}")
    return f"Collapsed: {', '.join(found)}." if found else ""


def _over_cross_entropy(grid: Grid, recall: Difference) -> str:
    """What the best cell gains over its method's cross-entropy, in recall, accuracy and faces."""
    found = (d for d in differences(grid, "macro_recall") if (d.cell, d.over) == (recall.cell, recall.over))
    tested = next(found, recall)
    accuracy = difference(grid, recall.cell, recall.over, "accuracy")
    assert accuracy is not None  # it has a value wherever mean recall has one
    return (
        f": over cross-entropy {signed_points(recall.points)} points of mean recall ({evidence(tested)}) and "
        f"{signed_points(accuracy.points)} of accuracy ({_more_right(recall)})"
    )


def _more_right(d: Difference) -> str:
    """How many more faces are right, such as "22 fewer of 1,500 faces are right"."""
    n = fixed(abs(d.net_faces), 0)
    if n == "0":
        return f"as many of {d.faces:,} faces are right"
    return f"{n} {'more' if d.net_faces > 0 else 'fewer'} of {d.faces:,} faces {'is' if n == '1' else 'are'} right"


def _simplest(grid: Grid, best: Cell) -> list[str]:
    """A sentence on the simplest loss whose difference from the best one may be chance."""
    losses = {base for base in simpler(grid, best) if base[0] == best[0]}
    found = [d for d in differences(grid, "macro_recall") if d.cell == best and d.over in losses]
    if not found or any(d.within_noise is None for d in found):
        return []
    near = [d for d in found if d.within_noise]
    if not near:
        return ["Every simpler loss is clearly worse."]
    lead, text = near[0], f"The simplest loss that is not clearly worse is {near[0].over[1]}"
    if lead.over[1] == BASE:  # which was described before
        return [f"{text}."]
    return [f"{text}: {best[1]} has {signed_points(lead.points)} points over it ({evidence(lead)})."]


def _whether_training_paid(grid: Grid, cells: dict[Cell, dict[int, Run]]) -> list[str]:
    """A sentence on what the best cell trained on the source gains over the pretrained classifier as it is."""
    if (base := grid.as_is) is None:
        return []
    recall, accuracy = (f"{fixed(100 * base.scores[metric])} %" for metric in ("macro_recall", "accuracy"))
    bar = f"{AS_IS_IN_WORDS}, which has {recall} mean recall and {accuracy} accuracy"
    no_source = not base.has_source
    with_source = {
        cell: runs for cell, runs in cells.items() if (cell[0] != AS_IS if no_source else _first(runs).uses_source)
    }
    if no_source and not with_source:
        return []
    if not with_source:
        return [f"No cell was trained on {grid.source} to be compared with {bar}."]
    metrics = ("macro_recall", "accuracy")
    gains = {m: {d.cell: d for d in over(grid, with_source, base.cell[:2], m)} for m in metrics}
    best = _best(with_source, "macro_recall")
    if round(gains["macro_recall"][best].points, 1) > 0:
        alone = round(gains["accuracy"][best].points, 1) < 0
        verdict, tested = "helped mean recall only" if alone else "helped", gains["macro_recall"][best]
    elif round(gains["accuracy"][most := _best(with_source, "accuracy")].points, 1) > 0:
        verdict, best, tested = "helped accuracy only", most, gains["accuracy"][most]
    else:
        verdict, tested = "did not help", gains["macro_recall"][best]
    doing = training_on(grid)
    if tested.within_noise and gains["accuracy"][best].points < 0 and not gains["accuracy"][best].within_noise:
        verdict = "did not help"  # its gain may be chance, and its loss of accuracy is not
    elif verdict != "did not help" and tested.within_noise:
        doing, verdict = f"Whether {lower(doing)} {verdict}", "is unclear"
    more, right = gains["macro_recall"][best], gains["accuracy"][best]
    below = more.points < 0 and right.points <= 0
    values = [fixed(-d.points) if below else signed_points(d.points) for d in (more, right)]
    return [
        f"{doing} {verdict}: {cell_name(*best)} {'is' if below else 'has'} {values[0]} points of mean recall"
        f"{_shown(more)} and {values[1]} of accuracy{_shown(right)} {'below' if below else 'over'} {bar}."
    ]


def _shown(gain: Difference) -> str:
    return "" if gain.p is None and gain.over_faces is None else f" ({evidence(gain)})"


def _first(runs: dict[int, Run]) -> Run:
    return next(iter(runs.values()))


def _best(cells: dict[Cell, dict[int, Run]], metric: str) -> Cell:
    return equally_good(cells, metric)[0]


def _equal(cells: dict[Cell, dict[int, Run]], best: Cell) -> str:
    """A sentence on other cells with the best one's mean recall; empty without any."""
    names = [cell_name(*cell) for cell in equally_good(cells) if cell != best]
    if not names:
        return ""
    who = listed(names) if len(names) <= _NAMED else f"{len(names)} other cells"
    return f"{who} {'have' if names[1:] else 'has'} the same mean recall."


def equally_good(cells: dict[Cell, dict[int, Run]], metric: str = "macro_recall") -> list[Cell]:
    """The cells with the highest mean of a metric: several if they are equal."""
    means = {cell: mean(run.scores[metric] for run in runs.values()) for cell, runs in cells.items()}
    return [cell for cell, value in means.items() if isclose(value, max(means.values()))]


def _classes_that_moved(grid: Grid, method: str, loss: str) -> str:
    """Which class gained most by a loss over cross-entropy, and which one lost most or gained least."""
    shared = grid.of(method, BASE).keys() & grid.of(method, loss).keys()

    def average(name: str) -> list[float | None]:
        rows = [run.scores["recall"] for seed, run in grid.of(method, name).items() if seed in shared]
        return [None if None in column else mean(column) for column in zip(*rows, strict=True)]

    both = zip(average(BASE), average(loss), strict=True)
    change = {k: 100 * (b - a) for k, (a, b) in enumerate(both) if a is not None and b is not None}
    up, down = (pick(change, key=lambda k: change[k]) for pick in (max, min))
    most, least = (f"({signed(change[k], 0)})" for k in (up, down))
    gains = f"loses least {most}" if most.startswith("(-") else f"gains most {most}"
    loses = f"loses most {least}" if least.startswith("(-") else f"gains least {least}"
    return f"; {grid.classes[up]} {gains}, {grid.classes[down]} {loses}"
