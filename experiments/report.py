"""`fedstake report`: the figures of a run as PNG, SVG and CSV, and one self-contained page."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure as Canvas

from experiments.figures import FIGURES
from experiments.figures.base import canvas, style
from experiments.rundir import RunResult, check_place, write_file

_CSS = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Panel:
    """One figure of a page: file stem, caption, PNG bytes, and the command that makes it."""

    name: str
    caption: str
    png: bytes
    command: str


def report(run: RunResult, out: str | Path | None = None) -> Path:
    """Write figures and `report.html` of one run to `out` (default: `<run>/report`); returns the page's path."""
    target = Path(out) if out else run.path / "report"
    check_place(target)
    target.mkdir(parents=True, exist_ok=True)
    with style():
        panels = []
        for figure in FIGURES:
            table = figure.data(run)
            if table.empty:
                continue
            sheet = canvas(figure, table)
            panels.append(save(sheet, table, target, figure.name, figure.caption, f"fedstake report {run.path}"))
        text = page(
            run.settings["name"],
            f"run {run.run_id} · seed {run.settings['seed']} · {len(run.rounds)} rounds · {run.settings['devices']} devices",
            [("Summary", summary(run)), ("Utility by group", incomes(run))],
            panels,
            (run.path / "scenario.toml").read_text(),
        )
        write_file(target / "report.html", text)
    return target / "report.html"


def save(sheet: Canvas, table: pd.DataFrame, folder: Path, name: str, caption: str, command: str) -> Panel:
    """Write a canvas as PNG and SVG, and the table that it draws as CSV; other files of the folder are left alone."""
    png, svg = io.BytesIO(), io.BytesIO()
    sheet.savefig(png, format="png", metadata={"Software": None})
    sheet.savefig(svg, format="svg", metadata={"Date": None})
    write_file(folder / f"{name}.png", png.getvalue())
    write_file(folder / f"{name}.svg", svg.getvalue())
    write_file(folder / f"{name}.csv", table.to_csv(index=False))
    return Panel(name, caption, png.getvalue(), command)


def summary(run: RunResult) -> pd.DataFrame:
    """A few numbers of a run, one row each."""
    r = run.rounds
    total = {c: int(r[c].sum()) for c in ("accepted_honest", "rejected_honest", "accepted_adversary", "rejected_adversary")}

    def share(part: str, whole: int) -> str:
        return f"{total[part]:,} of {whole:,} ({total[part] / whole:.1%})" if whole else "none in any block"

    honest = total["accepted_honest"] + total["rejected_honest"]
    bad = total["accepted_adversary"] + total["rejected_adversary"]
    rows = [
        ("final accuracy", f"{r['accuracy'].iloc[-1]:.3f}"),
        ("best accuracy", f"{r['accuracy'].max():.3f}"),
        ("honest updates rejected", share("rejected_honest", honest)),
        ("adversaries' updates accepted", share("accepted_adversary", bad)),
        ("rounds forked", f"{int(r['forked'].sum())} of {len(r)}"),
        ("devices shut out at the end", f"{int(r['blocked'].iloc[-1])}"),
        ("issued, less what was burned", f"{int(r['issued'].sum() - r['burned'].sum()):,} {run.settings['payout']['asset']}"),
        ("simulated time", f"{r['end_s'].iloc[-1]:,.0f} s"),
    ]
    return pd.DataFrame(rows, columns=["", "value"])


def incomes(run: RunResult) -> pd.DataFrame:
    """Utility per device over the whole run by group, in base units: stakes lost, costs and benefits included."""
    total = run.participants.groupby(["group", "device"], observed=True)["utility"].sum().groupby("group", observed=True)
    table = total.agg(["count", "mean", "min", "max"]).reset_index()
    table["count"] = table["count"].map("{:,.0f}".format)
    for column in ("mean", "min", "max"):
        table[column] = table[column].astype(float).map("{:,.0f}".format)
    return table.rename(columns={"count": "devices", "mean": "mean utility per device", "min": "lowest", "max": "highest"})


def page(
    title: str,
    subtitle: str,
    tables: Sequence[tuple[str, pd.DataFrame]],
    panels: Sequence[Panel],
    scenario: str,
    of: str = "Scenario",
) -> str:
    """A page that needs nothing but itself; `of` is the heading of the scenario at its end."""
    parts = [f"<h1>{html.escape(title)}</h1><p class=sub>{html.escape(subtitle)}</p>"]
    for heading, table in tables:
        body = table.to_html(index=False, border=0, escape=True)
        parts.append(f"<h2>{html.escape(heading)}</h2><div class=wrap>{body}</div>")
    figures = "".join(
        f'<figure><img alt="{html.escape(p.caption)}" src="data:image/png;base64,{base64.b64encode(p.png).decode()}">'
        f"<figcaption>{html.escape(p.caption)} Data: <code>{p.name}.csv</code>. "
        f"Made by <code>{html.escape(p.command)}</code></figcaption></figure>"
        for p in panels
    )
    parts.append(f"<h2>Figures</h2><div class=grid>{figures}</div>")
    parts.append(f"<h2>{html.escape(of)}</h2><pre>{html.escape(scenario)}</pre>")
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)} · Fedstake</title><style>{_CSS}</style>"
    )
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'
