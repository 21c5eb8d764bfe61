"""`fedstake reproduce`: play a paper's sweeps, draw its figures, say what holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pandas as pd
import tomli_w
from matplotlib.figure import Figure as Canvas

from experiments.figures.base import style
from experiments.numerals import number
from experiments.reports.page import Panel, Section, page, save
from experiments.reproduce import verdicts
from experiments.reproduce.evidence import Evidence
from experiments.reproduce.paper import Paper, PaperFigure
from experiments.reproduce.plan import HERE, Part, parts, sizes
from experiments.results import Results
from experiments.rundir import RunError, write_file
from experiments.sweeps.drive import OnReceipt, Sweep
from sim.world import World


@dataclass(frozen=True)
class Outcome:
    """What a reproduction came to, and where its page is."""

    verdicts: pd.DataFrame
    cost: pd.DataFrame
    page: Path


class Reproduction:
    """A paper at a size, and its folder: one sweep in each `out/<group>`, figures and verdicts beside them."""

    def __init__(
        self, paper: str, size: str, out: Path | None = None, extra: Sequence[str] = ()
    ) -> None:
        self.name, self.size = paper, size
        self.parts: dict[str, Part] = parts(paper, size, extra)
        self.folder = out or Path("results") / f"reproduce-{paper}-{size}"
        self.sweeps = {
            name: Sweep(part.spec, self.folder / name) for name, part in self.parts.items()
        }
        self.command = f"fedstake reproduce {paper} --size {size}" + "".join(
            f" --with {name}" for name in extra
        )

    def estimate(self) -> pd.DataFrame:
        """One row per group: runs, rounds, those to do, and the CPU seconds that they would take; nothing is played."""
        rows = []
        for name, sweep in self.sweeps.items():
            rounds, todo = (
                sum(p.scenario.rounds for p in some) for some in (sweep.runs, sweep.todo)
            )
            cpu_s = todo * self.parts[name].cpu_s_per_round
            rows.append(
                {
                    "group": name,
                    "runs": len(sweep.runs),
                    "rounds": rounds,
                    "to do": todo,
                    "cpu_s": cpu_s,
                }
            )
        return pd.DataFrame(rows)

    def play(
        self,
        *,
        workers: int | None = None,
        data: Path | None = None,
        on_receipt: OnReceipt | None = None,
    ) -> Evidence:
        """Run what is not there yet. Raises `RunError` when a run failed, `DataError` when the data are not there."""
        for sweep in self.sweeps.values():
            if sweep.todo:
                World(
                    sweep.todo[0].scenario, data
                ).close()  # better one line now than a failure per run
        results = {}
        for name, sweep in self.sweeps.items():
            if sweep.todo:
                sweep.play(workers=workers, data=data, on_receipt=on_receipt)
            results[name] = Results.open(sweep.folder)
            failed = results[name].failures()
            if len(failed):
                first = failed.iloc[0]
                raise RunError(
                    f"{sweep.folder}: {len(failed)} runs failed; the first in {first['stage']}: {first['error']}"
                )
        return Evidence(results)

    def write(self, evidence: Evidence) -> Outcome:
        """Figures, `verdicts.csv`, `verdicts.md` and `report.html` from what was recorded."""
        paper = load_paper(self.name)
        found = verdicts.table(
            verdicts.load(HERE / self.name / "expected.json"), paper.measures, evidence, self.size
        )
        cost = self.cost(evidence)
        findings = [(heading, table) for heading, table in paper.findings(evidence) if len(table)]
        tables = [
            ("Verdicts", verdicts.brief(found)),
            *findings,
            ("CPU time against the authors' code", cost),
        ]
        write_file(self.folder / "verdicts.csv", found.to_csv(index=False))
        text = [f"# {paper.title}\n\n`{self.command}`: {sizes(self.name)[self.size].what}.\n"]
        text += [f"\n## {heading}\n\n{verdicts.markdown(table)}" for heading, table in tables]
        write_file(self.folder / "verdicts.md", "".join(text))
        with style():
            panels = [panel for figure in paper.figures if (panel := self._draw(figure, evidence))]
            html = page(
                paper.title,
                f"Size {self.size}: {sizes(self.name)[self.size].what}. {tally(found)}.",
                [Section(heading, table) for heading, table in tables],
                panels,
                [
                    Section(
                        "Sweeps",
                        pre="\n".join(
                            tomli_w.dumps(p.spec.model_dump(mode="json"))
                            for p in self.parts.values()
                        ),
                    )
                ],
            )
            write_file(self.folder / "report.html", html)
        return Outcome(found, cost, self.folder / "report.html")

    def _draw(self, figure: PaperFigure, evidence: Evidence) -> Panel | None:
        table = figure.data(evidence)
        if table.empty:
            return None
        folder = self.folder / "figures"
        folder.mkdir(exist_ok=True)
        sheet = Canvas(layout="constrained")
        figure.draw(table, sheet)
        return save(
            sheet,
            table,
            folder,
            figure.name,
            figure.name,
            f"{figure.caption} Published: {figure.published}",
            self.command,
        )

    def cost(self, evidence: Evidence) -> pd.DataFrame:
        """CPU seconds of the recorded runs by group and protocol, beside what the authors' code takes for as many rounds.

        The last row sums up those for which the authors' code has been measured.
        """
        rows = []
        for name, results in evidence.results.items():
            runs = results.runs()
            runs = runs[runs["status"] == "done"]
            scenarios = results.scenarios()
            labels = {
                what: [scenarios[cell][what] for cell in runs["cell"]]
                for what in ("protocol", "rounds")
            }
            for protocol, group in runs.assign(**labels).groupby("protocol"):
                theirs = self.parts[name].authors_cpu_s_per_round.get(str(protocol), float("nan"))
                rounds = group["rounds"].sum()
                rows.append(
                    (name, protocol, len(group), rounds, group["cpu_s"].sum(), theirs * rounds)
                )
        found = pd.DataFrame(
            rows, columns=["group", "protocol", "runs", "rounds", "cpu_s", "theirs"]
        )
        known = found.dropna(subset=["theirs"])
        if len(known):
            found.loc[len(found)] = [
                "both measured",
                "",
                *known[["runs", "rounds", "cpu_s", "theirs"]].sum(),
            ]
        shown = found[["group", "protocol"]].copy()
        for column in ("runs", "rounds"):
            shown[column] = found[column].astype(int)
        shown["CPU s"] = [number(s, 0) for s in found["cpu_s"]]
        shown["authors' CPU s"] = [number(s, 0) for s in found["theirs"]]
        shown["per round"] = [
            verdicts.number(s / n) if n else "–"
            for s, n in zip(found["cpu_s"], found["rounds"], strict=True)
        ]
        ratio = found["theirs"] / found["cpu_s"]
        shown["times as fast"] = [number(r, 1) for r in ratio]
        return shown


def load_paper(name: str) -> Paper:
    """The paper of a folder: `PAPER` of its package."""
    return import_module(f"experiments.reproduce.{name}").PAPER


def tally(found: pd.DataFrame) -> str:
    """How many verdicts there are of each kind."""
    kinds = found["verdict"].str.replace(r" by .*", "", regex=True)
    counts = kinds.value_counts()
    order = (
        verdicts.WITHIN,
        "outside",
        verdicts.OTHER_SIZE,
        verdicts.UNPUBLISHED,
        verdicts.NOT_RUN,
    )
    return ", ".join(f"{counts[kind]} {kind}" for kind in order if kind in counts)
