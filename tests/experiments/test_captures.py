"""Capture of referenda against the price of a vote: the figure, and the page's numbers."""

import runpy
from pathlib import Path

import pytest

import fedstake as fs
from experiments.figures.base import Look, style
from experiments.figures.captures import FIGURE

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"
PLAN = """
name = "small"
scenario = "{scenario}"
seeds = 1

[[design]]
[design.factors]
"adversaries.0.voter_params.price" = [50, 1_000]

[design.factors.rule."majority"]
"referenda.rule" = "one-member-one-vote"

[design.factors.rule."stake leased"]
"referenda.rule" = "stake-weighted"
"adversaries.1.voter_params.means" = "stake"
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("captures")
    scenario = DOCS / "referenda-capture" / "scenario.toml"
    (folder / "plan.toml").write_text(PLAN.format(scenario=scenario))
    return fs.sweep(folder / "plan.toml", folder / "out", workers=1)


def test_cheap_votes_capture_and_dear_ones_do_not(results):
    table = FIGURE.data(results)
    assert table["factor"].unique().tolist() == ["adversaries.0.voter_params.price"]
    share = table.set_index(["rule", "value"])["mean"]
    for rule in ("majority", "stake leased"):
        assert share[rule, 50] > 0.8
        assert share[rule, 1_000] < 0.2
    with style():
        sheet = FIGURE.draw(table, Look(labels=results.labels))
    (axes,) = sheet.canvas.axes
    assert len(axes.lines) == 2


def test_numbers_of_the_page(results, monkeypatch):
    """A capture of members costs whole votes of one price; leased stake costs no more."""
    monkeypatch.syspath_prepend(DOCS)
    page = runpy.run_path(str(DOCS / "referenda_capture.py"))
    table = page["measured"](results).set_index(["rule", page["PRICE"]])
    assert len(table) == 4
    assert table["capture price"]["majority", 1_000] == 20 * table["capture price"]["majority", 50]
    assert table["capture price"]["stake leased", 50] < table["capture price"]["majority", 50]
    assert "| majority |" in page["page"](table.reset_index(), 1)
