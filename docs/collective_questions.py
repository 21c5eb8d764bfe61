"""Two questions about a collective: who drains its pool, and what audits are worth.

    python docs/collective_questions.py [--seeds 5] [--workers N]

Plays `docs/collective/collusion.toml` and `docs/collective/audits.toml`. Writes
`docs/reference/collective-questions.md`, its numbers and its figures beside the other reference
results.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd
from sweep_pages import HERE, complete, keep_figure, keep_numbers, keep_page, options, shown

from fedstake import sweep

NAME = "collective-questions"


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


def cell(values: pd.Series) -> str:
    """Return mean and half of the 95 % interval, rounded to base units; no half that is 0."""
    return shown(values, 0).removesuffix(" ± 0")


def section(question: Question, table: pd.DataFrame) -> list[str]:
    """Return the lines of a question on the page."""
    levels = sorted(table[question.numeric].unique())
    picture = f"![{question.title}](../../results/reference/{question.figure}.png)"
    lines = ["", f"## {question.title}", "", question.text, "", picture, ""]
    lines += [f"| {question.factor} | " + " | ".join(f"{level:g}" for level in levels) + " |"]
    lines += ["|---|" + "---:|" * len(levels)]
    for name in table[question.factor].unique():
        own = table[table[question.factor] == name]
        cells = [cell(own[own[question.numeric] == n][question.outcome]) for n in levels]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    args = options(__doc__, f"results/{NAME}")
    lines = ["# Questions about a collective", ""]
    lines += [
        f"Made by `python docs/collective_questions.py`: {args.seeds} seeds, scikit-learn digits.",
        "Numbers: [pool](../../results/reference/pool-left.csv),",
        "[licences](../../results/reference/licence-income.csv). Base units, means with 95 %",
        "intervals (Student) where seeds differ.",
    ]
    for question in QUESTIONS:
        plan, out = HERE / "collective" / f"{question.plan}.toml", Path(args.out) / question.plan
        results = complete(sweep(plan, out, seeds=args.seeds, workers=args.workers))
        table = results.outcomes()[[question.factor, question.numeric, "seed", question.outcome]]
        keep_numbers(table, question.figure)
        keep_figure(results, question.figure, question.figure)
        lines += section(question, table)
    keep_page("\n".join(lines) + "\n", NAME)


if __name__ == "__main__":
    main()
