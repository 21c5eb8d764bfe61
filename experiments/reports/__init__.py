"""Reports of a run, a sweep or a game: figures as PNG, SVG and CSV, and one self-contained page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from experiments.games.record import GAME, RecordedGame, open_game
from experiments.recorded import sound
from experiments.reports.drawing import wanted
from experiments.reports.game import report_game
from experiments.reports.page import FORMATS
from experiments.reports.run import report_run
from experiments.reports.sweep import report_sweep
from experiments.results import Results
from experiments.rundir import FAILED, MANIFEST, RunError, check_writable
from experiments.runresult import RunResult, open_failed, open_run
from experiments.sweeps.manifest import SWEEP
from fedstake.folders import chosen_folder, recorded_folder

__all__ = ["open_recorded", "report"]


def report(
    recorded: RunResult | Results | RecordedGame | str | Path,
    out: str | Path | None = None,
    *,
    figures: str | Sequence[str] = (),
    formats: str | Sequence[str] = FORMATS,
    width: str = "",
    on_figure: Callable[[int], None] | None = None,
    on_missing: Callable[[str], None] | None = None,
) -> Path:
    """Write the figures and `report.html`; return the page's path.

    Doing it again gives the same files.

    Args:
        recorded: a run, a sweep or a game: its folder, or what `open_run` or `Results.open` gives.
        out: folder, by default `report` in the run's or sweep's own, and that of a game itself;
            other files are left alone.
        figures: names of those to draw, in a list or with commas between them; none: all.
        formats: of their files: "png", "svg", "pdf".
        width: "single" or "double", one or two columns of a printed page (3.4 or 7 inches); by
            default what each figure needs, at most 7 inches.
        on_figure: called with the number done as each figure of a sweep or game is.
        on_missing: called with a sentence for each figure that could not be drawn, or that was
            asked for and has nothing to show.
    """
    if not isinstance(recorded, RunResult | Results | RecordedGame):
        recorded = open_recorded(recorded)
    home = recorded.path if isinstance(recorded, RunResult) else recorded.folder
    usual = home if isinstance(recorded, RecordedGame) else home / "report"
    target = chosen_folder(out) or usual
    check_writable(target)
    target.mkdir(parents=True, exist_ok=True)
    command = ["fedstake", "report", str(home)]
    want = wanted(figures, formats, width)
    options = {
        "--out": str(out or ""),
        "--figures": ",".join(want.figures),
        "--format": ",".join(want.formats) if want.formats != FORMATS else "",
        "--width": width,
    }
    for option, value in options.items():
        command += [option, value] if value else []
    with sound(home, "the report"):
        if isinstance(recorded, RunResult):
            return report_run(recorded, target, command, want, on_missing)
        if isinstance(recorded, RecordedGame):
            return report_game(recorded, target, command, want, on_figure, on_missing)
        return report_sweep(recorded, target, command, want, on_figure, on_missing)


def open_recorded(folder: str | Path) -> RunResult | Results | RecordedGame:
    """Return the run, sweep or game that a folder holds; `RunError` when it holds none of them."""
    path = recorded_folder(folder, "recorded")
    if (path / GAME).is_file():
        return open_game(path)
    if (path / SWEEP).is_file():
        return Results.open(path)
    if (path / FAILED).is_file():
        return open_failed(path)
    if (path / MANIFEST).is_file() or not path.is_dir():
        return open_run(path)
    inside = _inside(path)
    hint = f"; {inside} is one" if inside else ""
    raise RunError(
        f"{path}: neither a run ({MANIFEST}) nor a sweep ({SWEEP}) nor a game ({GAME}): "
        f"give a folder of fedstake run, fedstake sweep or fedstake game{hint}"
    )


def _inside(path: Path) -> Path | None:
    """Return a sweep or a run in the folders of a folder, or in theirs; None when there is none."""
    for name in (SWEEP, MANIFEST):
        for depth in ("*", "*/*"):
            for file in path.glob(f"{depth}/{name}"):
                return file.parent
    return None
