"""Run the sweeps of a paper, draw its figures and write its verdicts: `fedstake reproduce`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pandas as pd
import tomli_w
from matplotlib.figure import Figure as Canvas

from experiments.figures.base import style
from experiments.numerals import how_many, number
from experiments.reports.page import Gallery, Panel, Section, page, save
from experiments.reproduce import verdicts
from experiments.reproduce.evidence import Evidence
from experiments.reproduce.paper import Paper, PaperFigure
from experiments.reproduce.plan import HERE, Part, count_rounds, parts, sizes
from experiments.results import Results
from experiments.rundir import RunError, write_file
from experiments.spreadsheet import csv_text
from experiments.sweeps.drive import OnReceipt, Sweep
from sim.data.folder import data_folder
from sim.world import World


@dataclass(frozen=True)
class Outcome:
    """The verdicts and the cost of a reproduction, and its page."""

    verdicts: pd.DataFrame
    cost: pd.DataFrame
    page: Path


class Reproduction:
    """A paper at a size, and its folder: a sweep per group, figures and verdicts beside them.

    The data folder is the one in force; some papers play more where they find files in it.
    """

    def __init__(
        self, paper: str, size: str, out: Path | None = None, extra: Sequence[str] = ()
    ) -> None:
        self.name, self.size = paper, size
        self.parts: dict[str, Part] = parts(paper, size, extra)
        self.parts |= load_paper(paper).at_hand(data_folder(), size)
        self.folder = out or Path("results") / f"reproduce-{paper}-{size}"
        self.sweeps = {
            name: Sweep(part.spec, self.folder / name) for name, part in self.parts.items()
        }
        options = "".join(f" --with {name}" for name in extra)
        self.command = f"fedstake reproduce {paper} --size {size}{options}"

    def estimate(self) -> pd.DataFrame:
        """Return per group its runs and rounds, the rounds to do and their expected CPU seconds.

        Nothing is played.
        """
        rows = []
        for name, sweep in self.sweeps.items():
            rows.append(
                {
                    "group": name,
                    "runs": len(sweep.runs),
                    "rounds": count_rounds(sweep.runs),
                    "to do": count_rounds(sweep.todo),
                    "cpu_s": self.parts[name].cpu_s(sweep.todo),
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
        """Run the missing runs of all sweeps.

        Raises `RunError` when a run failed, `DataError` when data files are missing.
        """
        # Build one world per sweep first: an error of one line instead of a failure per run.
        for sweep in self.sweeps.values():
            if sweep.todo:
                World(sweep.todo[0].scenario, data).close()
        results = {}
        for name, sweep in self.sweeps.items():
            if sweep.todo:
                sweep.play(workers=workers, data=data, on_receipt=on_receipt)
            results[name] = Results.open(sweep.folder)
            failed = results[name].failures()
            if len(failed):
                first = failed.iloc[0]
                raise RunError(
                    f"{sweep.folder}: {how_many(len(failed), 'run')} failed; "
                    f"the first in {first['stage']}: {first['error']}"
                )
        return Evidence(results)

    def write(self, evidence: Evidence) -> Outcome:
        """Write figures, `verdicts.csv`, `verdicts.md` and `report.html` of the recorded runs."""
        paper = load_paper(self.name)
        size = sizes(self.name)[self.size].what

        # Measure.
        expected = verdicts.load(HERE / self.name / "expected.json")
        found = verdicts.table(expected, paper.measures, evidence, self.size)
        cost = self.cost(evidence)
        tables = [("What reproduces", verdicts.by_part(found)), *_tables_of_verdicts(found)]
        tables += paper.findings(evidence)
        tables += [(self.cost_heading, cost)]
        tables = [(heading, table) for heading, table in tables if len(table)]

        # Write the tables.
        write_file(self.folder / "verdicts.csv", csv_text(found))
        text = [f"# {paper.title}\n\n`{self.command}`: {size}.\n"]
        text += [f"\n## {heading}\n\n{verdicts.markdown(table)}" for heading, table in tables]
        write_file(self.folder / "verdicts.md", "".join(text))

        # Draw the figures and write the page.
        specs = [part.spec for part in self.parts.values()]
        sweeps = [tomli_w.dumps(s.model_dump(mode="json", exclude_none=True)) for s in specs]
        with style():
            drawn = [self._draw(figure, evidence) for figure in paper.figures]
            html = page(
                paper.title,
                f"Size {self.size}: {size}. {verdicts.tally(found)}.",
                [
                    *(Section(heading, table) for heading, table in tables),
                    Gallery([panel for panel in drawn if panel]),
                    Section("Sweeps", pre="\n".join(sweeps)),
                ],
            )
            write_file(self.folder / "report.html", html)
        return Outcome(found, cost, self.folder / "report.html")

    def _draw(self, figure: PaperFigure, evidence: Evidence) -> Panel | None:
        """Draw and save a figure; return None when there is nothing to show."""
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

    @property
    def cost_heading(self) -> str:
        """The heading of the table of costs."""
        compared = any(part.authors_cpu_s_per_round for part in self.parts.values())
        return "CPU time against the authors' code" if compared else "CPU time"

    def cost(self, evidence: Evidence) -> pd.DataFrame:
        """Return CPU seconds by group and protocol.

        Beside those of the authors' code for as many rounds, where some have been measured. The
        last row sums up the rows for which their code has been measured.
        """
        found = self._measure_cost(evidence)
        known = found.dropna(subset=["theirs"])
        if len(known):
            sums = known[["runs", "rounds", "cpu_s", "theirs"]].sum()
            found.loc[len(found)] = ["both measured", "", *sums]
        shown = found[["group", "protocol"]].copy()
        for column in ("runs", "rounds"):
            shown[column] = found[column].astype(int)
        shown["CPU s"] = [number(s, 0) for s in found["cpu_s"]]
        if known.empty:
            return shown
        shown["authors' CPU s"] = [number(s, 0) for s in found["theirs"]]
        shown["per round"] = [
            verdicts.number(s / n) if n else "–"
            for s, n in zip(found["cpu_s"], found["rounds"], strict=True)
        ]
        ratio = found["theirs"] / found["cpu_s"]
        shown["times as fast"] = [number(r, 1) for r in ratio]
        return shown

    def _measure_cost(self, evidence: Evidence) -> pd.DataFrame:
        """Return runs, rounds and CPU seconds, ours and the authors', by group and protocol."""
        rows = []
        for name, results in evidence.results.items():
            runs = results.runs()
            runs = runs[runs["status"] == "done"].copy()
            scenarios = results.scenarios()
            for key in ("protocol", "rounds"):
                runs[key] = [scenarios[cell][key] for cell in runs["cell"]]
            for protocol, group in runs.groupby("protocol"):
                theirs = self.parts[name].authors_cpu_s_per_round.get(str(protocol), float("nan"))
                rounds = group["rounds"].sum()
                cpu_s = group["cpu_s"].sum()
                rows.append((name, protocol, len(group), rounds, cpu_s, theirs * rounds))
        columns = ["group", "protocol", "runs", "rounds", "cpu_s", "theirs"]
        return pd.DataFrame(rows, columns=columns)


def load_paper(name: str) -> Paper:
    """Return the paper of a folder: `PAPER` of its package."""
    return import_module(f"experiments.reproduce.{name}").PAPER


def _tables_of_verdicts(found: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the verdicts on each part of a paper with its heading."""
    groups = found.groupby("part", sort=False)
    return [(str(part) or "Verdicts", verdicts.brief(group)) for part, group in groups]
