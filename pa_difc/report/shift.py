"""What a label shift does to each method and loss: one page out of the records of a sweep over Dirichlet(α)."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from matplotlib.axes import Axes

from ..util.files import write_text
from .page import COLORS, html_figure, html_page, html_table, markdown_table, svg
from .tables import BASE

METRICS = {"accuracy": "accuracy", "macro_recall": "mean recall"}
PLAIN, BALANCED, ADJUSTED = "plain", "pseudo-balanced", "adjusted"
_STYLES = ("-", "--", ":", "-.")
_HEAD = ("method", "loss", "target")

#: α of a Dirichlet draw; None: no shift.
Alpha = float | None


@dataclass
class Line:
    """A method and a loss, with or without pseudo-balancing and prior adjustment, over draws of each α."""

    method: str
    loss: str
    variant: str
    scores: dict[Alpha, dict[int, dict[str, Any]]] = field(default_factory=dict)  #: on the test split, by α and draw
    refused: int = 0  #: how many estimates of the prior were refused, and predictions left as they were

    def values(self, alpha: Alpha, metric: str) -> list[float]:
        """In %, one for each draw."""
        return [100 * s[metric] for s in self.scores.get(alpha, {}).values()]

    def gains(self, base: Line, alpha: Alpha, metric: str) -> list[float]:
        """Differences to another line in points, one for each draw that both have."""
        ours, theirs = self.scores.get(alpha, {}), base.scores.get(alpha, {})
        return [100 * (ours[draw][metric] - theirs[draw][metric]) for draw in ours if draw in theirs]


def lines_from_records(records: Iterable[dict[str, Any]]) -> list[Line]:
    """The lines of a sweep in the order of their first records; an adjusted run gives two, before and after."""
    lines: dict[tuple[str, str, str], Line] = {}
    for record in records:
        config, scores, adjustment = record["config"], record["scores"], record["model"]["adjustment"]
        base = [BALANCED] if config["target_sampler"] == "pseudo_balanced" else []
        found = {tuple(base): scores.get("target_unadjusted", scores["target"])}
        if adjustment is not None:
            found[(*base, ADJUSTED)] = scores["target"]
        for words, score in found.items():
            key = (config["method"], config["loss"], " + ".join(words) or PLAIN)
            line = lines.setdefault(key, Line(*key))
            line.scores.setdefault(config["target_shift"], {})[config["seed"]] = score
            line.refused += ADJUSTED in words and adjustment["refused"] is not None
    return list(lines.values())


def table(lines: Sequence[Line], metric: str) -> list[list[str]]:
    """Lines down, α across; mean ± standard deviation over draws, in %."""
    alphas = _alphas(lines)
    rows = [[*_HEAD, *map(_alpha_name, alphas), "refused"]]
    for line in lines:
        refused = str(line.refused) if ADJUSTED in line.variant else ""
        rows.append([*_names(line), *(_spread(line.values(a, metric)) for a in alphas), refused])
    return rows


def gains_table(lines: Sequence[Line], metric: str) -> list[list[str]]:
    """The same as differences in points to the method's plain cross-entropy, paired by draw; draws differ a lot."""
    alphas = _alphas(lines)
    bases = {line.method: line for line in lines if (line.loss, line.variant) == (BASE, PLAIN)}
    rows = [[*_HEAD, *map(_alpha_name, alphas)]]
    for line in lines:
        if (base := bases.get(line.method)) not in (None, line):
            rows.append([*_names(line), *(_spread(line.gains(base, a, metric), "+.1f") for a in alphas)])
    return rows


def to_csv(lines: Sequence[Line]) -> str:
    """One row for each line, α and draw; scores in [0, 1]."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["method", "loss", "target", "alpha", "draw", *METRICS])
    for line in lines:
        for alpha, scores in line.scores.items():
            name = "none" if alpha is None else f"{alpha:g}"
            writer.writerows(
                [*_names(line), name, draw, *(f"{score[m]:.6f}" for m in METRICS)] for draw, score in scores.items()
            )
    return buffer.getvalue()


def write_shift_report(records: Sequence[dict[str, Any]], out: Path) -> Path:
    """Writes label_shift.html, .md and .csv and the figures below ``out``; returns the page.

    Raises:
        UserError: a file can't be written.
    """
    lines, data = lines_from_records(records), records[0]["data"]
    title = f"{data['source']['name']} → {data['target']['name']} under label shift"
    draws = max(len(scores) for line in lines for scores in line.scores.values())
    notes = [
        "The target's class proportions are drawn from Dirichlet(α · K · p) around its own p, and both of its splits "
        f"are resampled to them (RLSbench's protocol). Mean ± standard deviation over up to {draws} draws, each with a "
        "seed of its own, in %, last epoch. Target labels made the task; none was used in training, selection or "
        "estimating the prior.",
    ]
    page, markdown = [f"<p>{html.escape(n)}</p>" for n in notes], [f"# {title}", *notes]
    for metric, name in METRICS.items():
        tables = {name: table(lines, metric), f"{name}, gained over cross-entropy": gains_table(lines, metric)}
        for heading, rows in tables.items():
            if len(rows) > 1:
                page.append(f"<h2>{heading.capitalize()}</h2>{html_table(rows, heading)}")
                markdown += [f"## {heading.capitalize()}", markdown_table(rows)]
        page.append("<div class='figures'>")
        for variant in dict.fromkeys(line.variant for line in lines):
            chosen = [line for line in lines if line.variant == variant]
            picture = svg(lambda ax, chosen=chosen, m=metric: _draw(ax, chosen, m, lines), (5.4, 3.6))
            page.append(html_figure(f"{name}, {variant}", picture))
            write_text(out / "figures" / f"{metric}-{variant.replace(' + ', '-')}.svg", picture)
        page.append("</div>")
    write_text(out / "label_shift.csv", to_csv(lines))
    write_text(out / "label_shift.md", "\n\n".join(markdown) + "\n")
    write_text(out / "label_shift.html", html_page(title, "\n".join(page)))
    return out / "label_shift.html"


def _draw(ax: Axes, lines: Sequence[Line], metric: str, all_lines: Sequence[Line]) -> None:
    """A line per method and loss: colours tell losses apart, dashes methods; one scale for all variants."""
    alphas = _alphas(all_lines)
    losses, methods = (list(dict.fromkeys(getattr(x, part) for x in all_lines)) for part in ("loss", "method"))
    for line in lines:
        style = _STYLES[methods.index(line.method) % len(_STYLES)]
        color = COLORS[losses.index(line.loss) % len(COLORS)]
        known = [i for i, a in enumerate(alphas) if line.values(a, metric)]
        y = [mean(line.values(alphas[i], metric)) for i in known]
        ax.plot(known, y, style, marker="o", ms=3, color=color, label=f"{line.method} · {line.loss}")
    ax.set_xticks(range(len(alphas)), [_alpha_name(a) for a in alphas])
    means = [mean(x.values(a, metric)) for x in all_lines for a in alphas if x.values(a, metric)]
    ax.set(xlabel="severity of the shift →", ylabel=f"{METRICS[metric]} (%)", ylim=(min(means) - 2, max(means) + 2))


def _alphas(lines: Sequence[Line]) -> list[Alpha]:
    """From no shift to the most severe."""
    known = {a for line in lines for a in line.scores}
    return sorted(known, key=lambda a: -float("inf") if a is None else -a)


def _alpha_name(alpha: Alpha) -> str:
    return "no shift" if alpha is None else f"α = {alpha:g}"


def _names(line: Line) -> tuple[str, str, str]:
    return line.method, line.loss, line.variant


def _spread(values: Sequence[float], form: str = ".1f") -> str:
    if not values:
        return ""
    return f"{mean(values):{form}}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")
