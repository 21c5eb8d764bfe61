"""What commands print fits the terminal, and nothing that names something is cut."""

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from typer.testing import CliRunner

from experiments import run
from experiments.cli import app
from experiments.console import err_console, out_console
from experiments.fitting import LABEL, columns_of, fitted, records, wrapped
from experiments.kinds import listed
from experiments.sweeps.drive import Sweep
from experiments.terminal import show
from tests.experiments.test_compare import RULE, write

WIDTHS = (80, 60)
COMMANDS = ("compare", "demo", "devchain", "list", "replay", "report", "reproduce", "run", "sweep")
LISTS = (["list"], *(["list", kind] for kind in [*listed(), "scenarios"]))
HELPS = (["--help"], *([name, "--help"] for name in COMMANDS), ["devchain", "up", "--help"])
MISTAKES = (
    ["list", "attacks"],
    ["run", "nowhere"],
    ["run", "digits-quick", "--set", "epochs=3"],
    ["run", "digits-quick", "--set", "devices=10"],
    ["run", "digits-quick", "--set", "payout.mechanism=slashed-vbfl"],
    ["run", "digits-quick", "--set", "payout.mechanism=nothing"],
    ["run", "digits-quick", "--data", "/nowhere", "--set", "data.dataset=mnist"],
    ["compare", "."],
    ["reproduce", "nobody"],
)
COSTS = (["reproduce", "vbfl", "--dry-run"],)
words = st.text("abcdefgh_-.:/", min_size=1, max_size=30)
tables = st.integers(1, 7).flatmap(
    lambda n: st.tuples(
        st.lists(st.lists(words, min_size=1, max_size=3).map(" ".join), min_size=n, max_size=n),
        st.lists(
            st.lists(st.lists(words, max_size=9).map(" ".join), min_size=n, max_size=n), min_size=1
        ),
    )
)


@pytest.fixture(autouse=True)
def measured_anew(monkeypatch):
    """Consoles that were made at a terminal of some width ask again how wide it is."""
    for console in (out_console, err_console):
        monkeypatch.setattr(console, "_width", None)


@pytest.fixture(params=WIDTHS)
def terminal(request, monkeypatch, tmp_path):
    """Run a command as at a terminal of a width; return what it prints."""
    monkeypatch.setenv("COLUMNS", str(request.param))
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.chdir(tmp_path)

    def printed(*given):
        done = CliRunner().invoke(app, list(map(str, given)), terminal_width=request.param)
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.output)
        assert too_wide(plain, request.param) == [], given
        return plain

    return printed


def too_wide(text, width):
    """Lines over the width that could have been broken at a blank after their label."""
    lines = [line.rstrip() for line in text.splitlines() if cell_len(line.rstrip()) > width]
    return [line for line in lines if " " in LABEL.sub("", line, count=1).strip()]


@pytest.mark.parametrize("given", [*LISTS, *HELPS, *MISTAKES, *COSTS], ids=" ".join)
def test_lists_helps_and_errors_fit(terminal, given):
    printed = terminal(*given)
    assert printed
    assert not re.search(r"[a-z]\.\.\.$", printed, re.MULTILINE), "a sentence is cut"


@pytest.fixture(scope="module")
def taped(tmp_path_factory, tiny):
    return run(
        tiny(record__tape=True, adversaries__0__count=2), tmp_path_factory.mktemp("r") / "run"
    )


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("s")
    return Sweep(write(folder, RULE, seeds=2), folder / "rules").play(workers=1).folder


def test_the_summary_of_a_run_fits(terminal, taped):
    name = str(taped.path / "scenario.toml")
    printed = terminal("run", name, "--out", taped.path)
    assert "already recorded" in printed
    assert "utility per device (STAKE)" in printed


def test_what_rules_would_have_paid_fits(terminal, taped):
    printed = terminal("compare", taped.path)
    assert "slashed-vbfl: nobody could have joined" in " ".join(printed.split())


def test_a_scorecard_fits_and_every_block_names_its_rows(terminal, swept):
    printed = terminal("compare", swept)
    table = printed[: printed.index("gain from deviating")].strip().split("\n\n")
    for block in table:
        rows = [tuple(line.split()[:2]) for line in block.splitlines()[-6:]]
        assert len(set(rows)) == 6, "rows of a block can be told apart"
    assert terminal("sweep", swept.parent / "rules.toml", "--out", swept)


def test_a_pipe_gets_whole_lines(monkeypatch, tmp_path):
    """One line per error: scripts look for them."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.delenv("TTY_COMPATIBLE", raising=False)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["run", "digits-quick", "--set", "epochs=3"])
    assert done.output.count("\n") == 1


@pytest.mark.parametrize("width", [*WIDTHS, 30])
def test_long_names_stay_apart(width, monkeypatch, capsys):
    """Names that differ in their last letter, longer than a line of the narrowest terminal."""
    monkeypatch.setenv("COLUMNS", str(width))
    names = [f"folder/of/plug-ins/that/have/long/names.py:Mechanism{i}" for i in range(3)]
    numbers = {f"measure_number_{i}": [1.0, 2.0, 3.0] for i in range(9)}
    show(pd.DataFrame({"mechanism": names, **numbers}), "three rules", keys=1)
    printed = capsys.readouterr().out
    assert [name for name in names if name not in printed] == []
    assert too_wide(printed, width) == []


@given(table=tables, width=st.integers(20, 100), keys=st.integers(1, 3))
def test_no_cell_is_lost_at_any_width(table, width, keys):
    headings, rows = table
    blocks = fitted(columns_of(headings, rows), width, keys)
    if not blocks:
        text = "".join(records(headings, rows, width).split())
        cells = ["".join(cell.split()) for row in rows for cell in row]
        assert [cell for cell in cells if cell not in text] == []
        return
    shown = {column.cells for block in blocks for column in block}
    assert shown == {tuple(row[i] for row in rows) for i in range(len(headings))}
    for block in blocks:
        assert sum(c.width for c in block) + 2 * (len(block) - 1) <= width
        for column in block:
            parts = column.cells if not column.folds else " ".join(column.cells).split()
            assert max(map(cell_len, [*parts, *column.head.split("\n")]), default=0) <= column.width


@given(text=st.lists(words, max_size=30).map(" ".join), width=st.integers(10, 80))
def test_words_stay_whole(text, width):
    broken = wrapped(text, width)
    assert broken.split() == text.split()
    assert too_wide(broken, width) == []
