"""Names from outside are literal wherever they are drawn, printed, queried or stored."""

import csv
import io
import re
import tomllib
import warnings
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from experiments import load_scenario, report, sweep
from experiments.console import err_console, out_console
from experiments.figures.base import style
from experiments.reports.page import save, table
from experiments.scorecard.winner import compare
from experiments.spreadsheet import csv_frame, csv_text
from experiments.sweeps.plan import TAKEN
from experiments.terminal import show
from tests.conftest import TINY

NASTY = (
    "from $10% to $20%",
    "stake $1k, slash $500",
    "a\n[payout]\nmechanism = 'none'",
    "=cmd|'/c calc'!A1",
    "<script>alert(1)</script>&amp;",
    "\x1b]0;owned\x07\x1b[31mred",
    "[bold red]x[/bold red]",
    "\u202eright to left",
    "'quo\"ted'; drop view p; --",
    "_hidden",
    "\\frac{1}{2} ^ _ %s {0}",
    "🦊 é ｗｉｄｅ",
)
STEERS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
# Anything that a TOML file can hold.
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
FACTORS = WORDS.filter(lambda name: name and name.casefold() not in TAKEN)


def spec_of(factor, levels):
    """A sweep with one mechanism factor and one attack factor, called as given."""
    first, second = levels
    return {
        "name": "names",
        "scenario": "vbfl",
        "set": {**TINY, "rounds": 1},
        "design": [
            {
                "factors": {
                    factor: {
                        first: {"training.learning_rate": 0.001},
                        second: {"training.learning_rate": 0.5},
                    },
                    "attack": {"nobody": {"adversaries": []}},
                }
            }
        ],
        "scorecard": {
            "mechanism": factor,
            "objective": {"measure": "accuracy", "best": "max"},
        },
    }


def printed(capsys, frame, title):
    show(frame, title)
    out_console.print(title, markup=False)
    err_console.print(title, markup=False)
    said = capsys.readouterr()
    return said.out + said.err


@pytest.mark.slow
@settings(
    max_examples=4,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(factor=FACTORS, levels=st.lists(WORDS, min_size=2, max_size=2, unique=True))
@example(factor="=a'\"\n$", levels=["", "=1"])
@example(factor="t", levels=["'", '"'])
@example(factor="\u0345", levels=["\u2028", "\x85"])
def test_any_name_survives_sweep_results_scorecard_csv_and_terminal(
    tmp_path_factory, capsys, factor, levels
):
    folder = tmp_path_factory.mktemp("names") / "sweep"
    results = sweep(spec_of(factor, levels), folder, workers=1)

    # Stored and queried: the very names.
    assert results.factors == [factor, "attack"]
    assert set(results.rounds(columns=["accuracy"])[factor]) == set(levels)
    assert set(results.summary()[factor]) == set(levels)

    # The scorecard, its files and the winner.
    verdict = compare(results)
    assert verdict.winner in levels
    rows = csv_frame(folder / "ranking.csv") if all(levels) else None
    assert rows is None or set(rows.iloc[:, 0].astype(str)) == set(levels) or _numeric(levels)
    for name in ("scorecard.csv", "ranking.csv"):
        assert_no_formula((folder / name).read_text())
    text = (folder / "winner.toml").read_text()
    values = tomllib.loads(text)
    assert values == results.scenarios()[values_cell(results, verdict.winner)]
    load_scenario(folder / "winner.toml")

    # The terminal.
    said = printed(capsys, verdict.ranking, f"title of {factor}")
    assert not STEERS.search(said), ascii(said)


def _numeric(levels):
    """Names that read as numbers or gaps come back from a CSV as such."""
    read = pd.read_csv(io.StringIO("a\n" + "\n".join(map(repr, levels))))["a"]
    plain = re.compile(r"\s*[-+\w.]*\s*")
    return read is not None and any(plain.fullmatch(level) for level in levels)


def values_cell(results, winner):
    runs = results.runs()
    return int(runs[runs[results.factors[0]].astype(str) == winner]["cell"].iloc[0])


def assert_no_formula(text):
    for row in csv.reader(io.StringIO(text)):
        for cell in row:
            number = re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?|-inf", cell)
            assert number or not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")), cell


@pytest.mark.slow
def test_nasty_names_are_drawn_as_they_are(tmp_path):
    """A report of levels and factors that are markup in one language or another."""
    levels = {name: {"training.learning_rate": 0.1 + i / 20} for i, name in enumerate(NASTY[:4])}
    others = {
        name: {"adversaries": [{"name": "bad", "count": i, "worker": "gaussian-noise"}]}
        for i, name in enumerate(NASTY[4:7])
        if i
    }
    spec = {
        "name": "nasty",
        "scenario": "vbfl",
        "set": {**TINY, "rounds": 2},
        "design": [{"factors": {"$\\alpha$ <b>": levels, "=f_'\n": others}}],
    }
    results = sweep(spec, tmp_path / "nasty", workers=1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        page = report(results).read_text()
    assert "<script>alert" not in page
    assert "<b>" not in page
    drawn = "".join(file.read_text() for file in page_folder(tmp_path).glob("*.svg"))
    assert "from $10% to $20%" in drawn
    assert "stake $1k, slash $500" in drawn
    assert not STEERS.search(drawn.replace("\t", ""))
    for file in page_folder(tmp_path).glob("*.csv"):
        assert_no_formula(file.read_text())


def page_folder(tmp_path) -> Path:
    return tmp_path / "nasty" / "report"


@pytest.mark.parametrize("name", NASTY[2:6])
def test_each_nasty_name_is_literal_in_figures_pages_and_csv(tmp_path, name):
    from experiments.figures.base import blank

    frame = pd.DataFrame({name: [name, "b"], "value": [1, -2], "text": ["-5", "+x"]})
    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        sheet = blank(4, 3)
        axes = sheet.subplots()
        axes.set(title=name, xlabel=name)
        axes.text(0.1, 0.5, name)
        axes.set_xticks([0, 1], [name.replace("\n", " "), "b"])
        save(sheet, frame, tmp_path, "x", name, name, "command")
    svg = (tmp_path / "x.svg").read_text()
    assert not STEERS.search(svg)
    assert "<script>" not in svg
    html = table(frame, name)
    assert not STEERS.search(html)
    assert "<script>" not in html
    written = (tmp_path / "x.csv").read_text()
    assert_no_formula(written)
    assert csv_frame(tmp_path / "x.csv").iloc[0, 0] == name
    assert "-2" in written


@given(st.lists(WORDS, min_size=1, max_size=4, unique=True))
def test_text_comes_back_from_a_csv_and_numbers_are_untouched(tmp_path_factory, names):
    text = [f"{name}x" for name in names]  # so that none reads as a number or a gap
    frame = pd.DataFrame({"name": text, "n": -1.5, "i": range(len(names))})
    file = tmp_path_factory.mktemp("csv") / "x.csv"
    file.write_text(csv_text(frame), newline="")
    assert_no_formula(file.read_text())
    pd.testing.assert_frame_equal(csv_frame(file), frame, check_dtype=False)
    assert csv_text(frame[["n", "i"]]) == frame[["n", "i"]].to_csv(index=False)


def test_a_factor_needs_a_name():
    with pytest.raises(ValueError, match="a factor needs a name"):
        sweep(spec_of("", ["a", "b"]), "nowhere")
