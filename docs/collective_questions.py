"""Two questions about a collective: who drains its pool, and what audits are worth.

    python docs/collective_questions.py [--seeds 5] [--workers N]

Plays `docs/collective/collusion.toml` and `docs/collective/audits.toml`. Writes
`docs/reference/collective-questions.md`, its numbers and its figures beside the other reference
results.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from experiments.intervals import interval
from fedstake import Results, report, sweep

HERE = Path(__file__).parent
PAGE = HERE / "reference" / "collective-questions.md"
REFERENCE = HERE.parent / "results" / "reference"


class Question(NamedTuple):
    """One sweep and the table of it: rows by `factor`, columns by `numeric`, cells of `outcome`."""

    plan: str
    title: str
    text: str
    factor: str
    numeric: str
    outcome: str
    figure: str


QUESTIONS = (
    Question(
        "collusion",
        "What is left of the engineers' pool against colluding members",
        "Twelve contributors, an honest engineer and one that sends spam for 20 rounds; the "
        "engineers' pool is 60,000 base units. Members of a coalition approve the spam and "
        "nothing else, for the whole pool; the others approve what improves the accuracy that "
        "they measure, for a tenth. Where m of 7 must approve, a coalition of m takes all, or "
        "with a fixed share s all but (1 - s)^20 of it. From 8 - m members on a coalition keeps "
        "honest engineers from being paid: what is left then is not safe, it is blocked. One "
        "member less than m is no guarantee: noise that gains a single test sample by chance is "
        "approved by honest members too, which is how four members drain 5 of 7 in some seeds. "
        "A margin of honest members is the remedy (`honest`, parameter `margin`).",
        "rule",
        "adversaries.0.count",
        "engineers_pool_left",
        "pool-left",
    ),
    Question(
        "audits",
        "Licence income against the probability of an audit",
        "Twelve clients buy licences of five rounds at 1,000 base units for 20 rounds, where "
        "that is worth it. Every offer gets a licence; who is audited pays four times what "
        "was saved. A calculating client pays the fee from a probability of 1/4 on, where a "
        "fine costs on average "
        "what is saved; below, the creator lives on fines.",
        "clients",
        "licences.params.probability",
        "licence_income",
        "licence-income",
    ),
)


def shown(values: pd.Series) -> str:
    """Return mean and half of the 95 % interval, rounded to base units."""
    mean = values.mean()
    half = interval(values.to_numpy(dtype=float))[1] - mean
    return f"{mean:,.0f}" + (f" ± {half:,.0f}" if round(half) else "")


def section(question: Question, table: pd.DataFrame) -> list[str]:
    """Return the lines of a question on the page."""
    levels = sorted(table[question.numeric].unique())
    picture = f"![{question.title}](../../results/reference/{question.figure}.png)"
    lines = ["", f"## {question.title}", "", question.text, "", picture, ""]
    lines += [f"| {question.factor} | " + " | ".join(f"{level:g}" for level in levels) + " |"]
    lines += ["|---|" + "---:|" * len(levels)]
    for name in table[question.factor].unique():
        own = table[table[question.factor] == name]
        cells = [shown(own[own[question.numeric] == n][question.outcome]) for n in levels]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def complete(results: Results) -> None:
    """Stop unless every run finished."""
    failures = results.failures()
    if len(failures):
        raise SystemExit(f"{len(failures)} runs failed, the first: {failures['error'].iloc[0]}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--out", default="results/collective-questions")
    args = parser.parse_args()
    REFERENCE.mkdir(parents=True, exist_ok=True)
    lines = ["# Questions about a collective", ""]
    lines += [
        f"Made by `python docs/collective_questions.py`: {args.seeds} seeds, scikit-learn digits.",
        "Numbers: [pool](../../results/reference/pool-left.csv),",
        "[licences](../../results/reference/licence-income.csv). Base units, means with 95 %",
        "intervals (Student) where seeds differ.",
    ]
    for question in QUESTIONS:
        plan, out = HERE / "collective" / f"{question.plan}.toml", Path(args.out) / question.plan
        results = sweep(plan, out, seeds=args.seeds, workers=args.workers)
        complete(results)
        table = results.outcomes()[[question.factor, question.numeric, "seed", question.outcome]]
        target = REFERENCE / question.figure
        table.to_csv(target.with_suffix(".csv"), index=False, float_format="%.6g")
        drawn = report(results, figures=[question.figure], formats=["png"])
        (figure,) = drawn.parent.rglob(f"{question.figure}*.png")
        shutil.copy(figure, target.with_suffix(".png"))
        lines += section(question, table)
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
