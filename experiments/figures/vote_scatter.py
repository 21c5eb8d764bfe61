"""Distance of updates from the validators' baselines, over the cells of a sweep."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.ticker import MaxNLocator

from experiments.figures.base import NEUTRAL, WHO, Look, Sheet, SweepFigure, beside_line
from experiments.figures.factors import choose, ordered
from experiments.figures.panels import Panel, multiples, words
from experiments.figures.votes import threshold
from experiments.results import Results

VALUES = ("seed", "round", "validator", "worker", "who", "vad", "vote", "threshold")
MOST = 6_000
_WORDS = {"honest": "honest workers' updates", "adversary": "adversaries' updates"}


def data(results: Results) -> pd.DataFrame:
    """Return one row per vote, at most 6,000 drawn evenly.

    vad = accuracy of the baseline minus accuracy of the update.
    """
    per_run = results.sql(
        "select run_id, avg(vad) as vad, count(vad) as votes from t group by run_id", t="votes"
    )
    runs = ordered(results, results.runs().merge(per_run, on="run_id"))
    runs = runs[runs["votes"] > 0]
    if runs.empty:
        return pd.DataFrame()
    chosen = choose(results, runs, ["vad"], 2)
    for factor in chosen.idle:  # its other levels repeat the very same votes
        runs = runs[runs[factor] == runs[factor].cat.categories[0]]
    notes = list(chosen.notes)
    if runs["votes"].sum() > MOST:
        notes.append(f"{MOST:,} of {int(runs['votes'].sum()):,} votes, drawn evenly.")
    ids = ", ".join(f"'{r}'" for r in runs["run_id"])
    votes = results.sql(
        "select run_id, p.cell, p.seed, t.round, t.validator, t.worker, t.vad, t.vote, "
        "case when t.worker_adversary then 'adversary' else 'honest' end as who "
        f"from t join p using (run_id) where t.vad is not null and run_id in ({ids}) "
        f"order by md5(run_id || t.row) limit {MOST}",
        t="votes",
    )
    rules = {cell: threshold(scenario) for cell, scenario in results.scenarios().items()}
    votes["threshold"] = votes["cell"].map(rules).astype(float)
    table = votes.merge(runs[["run_id", *chosen.shown]], on="run_id")
    keys = [*chosen.shown, "seed", "round", "validator", "worker"]
    table = table.sort_values(keys, ignore_index=True)[[*chosen.shown, *VALUES]]
    table.attrs["notes"] = notes
    return table


def draw(table: pd.DataFrame, look: Look) -> Sheet:
    """Draw a point per vote, and the line above which the rule says reject."""
    notes: list[str] = []
    facets = [c for c in table.columns if c not in VALUES]
    sheet, panels = multiples(table, facets, look, notes, height=1.7)
    present = {who: color for who, color in WHO.items() if (table["who"] == who).any()}
    for panel in panels:
        # Adversaries beside honest workers, not on them.
        shift = panel.part["who"].map({"honest": -0.17, "adversary": 0.17})
        part = panel.part.assign(at=panel.part["round"] + shift)
        sns.scatterplot(
            part,
            x="at",
            y="vad",
            hue="who",
            palette=WHO,
            ax=panel.axes,
            s=9,
            alpha=0.45,
            linewidth=0,
            legend=False,
            rasterized=True,
        )
        thresholds = part["threshold"].dropna().unique()
        if len(thresholds) == 1:
            _draw_threshold(panel, thresholds[0])
        panel.axes.set(xlabel="", ylabel="")
        panel.axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    sheet.supxlabel("round", fontsize="medium")
    sheet.supylabel("accuracy loss against baseline", fontsize="medium")
    words(sheet, {_WORDS[who]: color for who, color in present.items()})
    return Sheet(sheet, notes)


def _draw_threshold(panel: Panel, limit: float) -> None:
    """Draw the line of the rule, with its value in the last column."""
    panel.axes.axhline(limit, color=NEUTRAL, linestyle="--", linewidth=1)
    if panel.last:
        beside_line(panel.axes, limit, f"threshold\n{limit:g}")


FIGURE = SweepFigure(
    name="vote-scatter",
    title="Accuracy loss that validators measured",
    caption="One point per vote: how much lower the accuracy of the update is than that of the "
    "validator's own baseline (vad). Above the line the rule says reject.",
    needs={"votes": ("round", "validator", "worker", "worker_adversary", "vad", "vote")},
    data=data,
    draw=draw,
    order=70,
)
