"""The figures of a sweep and the page around them."""

import re
import warnings
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.path import Path

from experiments import Results, RunError, report, sweep
from experiments.figures import curves, fans, payoffs, responses, sweep_figures, vote_scatter
from experiments.figures.base import LEVELS, blank, ink, luminance, style
from experiments.figures.factors import choose, continuous, crossed, label, share_explained, thin
from experiments.figures.gains import gains
from experiments.figures.panels import name_points, spread
from experiments.figures.pareto import front
from experiments.intervals import interval
from experiments.reports import open_recorded
from tests.conftest import TINY, TINY_SERVER

FIGURES = {f.name: f for f in sweep_figures()}
GRID = {
    "kind": "grid",
    "factors": {
        "mechanism": {
            "vbfl": {"payout.mechanism": "vbfl"},
            "slashed": {"payout.mechanism": "slashed-vbfl", "payout.initial_balance": 60_000},
        },
        "attack": {
            "nobody": {"adversaries": []},
            "noise": {
                "adversaries": [
                    {"count": 2, "worker": "gaussian-noise", "worker_params": {"scale": 5.0}}
                ]
            },
            "flip": {"adversaries": [{"count": 2, "worker": "sign-flip", "validator": "flip"}]},
        },
    },
}
SOBOL = {
    "kind": "sobol",
    "samples": 8,
    "factors": {
        "validation.params.threshold": {"low": 0.01, "high": 0.9},
        "training.learning_rate": {"low": 0.001, "high": 0.5, "log": True},
    },
}


def spec(*design, name="tiny", seeds=2, **settings):
    return {
        "name": name,
        "scenario": "vbfl",
        "set": {**TINY, **settings},
        "seeds": seeds,
        "design": list(design),
    }


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    return sweep(spec(GRID), tmp_path_factory.mktemp("grid") / "sweep", workers=1)


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    block = {"kind": "grid", "factors": {"payout.mechanism": ["vbfl", "flat"]}}
    attacked = spec(
        block,
        SOBOL,
        name="sampled",
        seeds=1,
        adversaries=[{"count": 2, "worker": "gaussian-noise"}],
    )
    return sweep(attacked, tmp_path_factory.mktemp("sampled") / "sweep", workers=1)


@pytest.fixture(scope="module")
def page(grid):
    return report(grid)


# --- factors ---------------------------------------------------------------------------------


def test_factors_are_sorted_by_what_they_do(grid):
    runs = grid.outcomes()
    assert crossed(grid, runs) == ["mechanism", "attack"]
    chosen = choose(grid, runs, ["accuracy"], 3)
    assert chosen.shown == ["attack"]
    assert chosen.idle == ["mechanism"], (
        "how devices are paid does not change what honest devices learn"
    )
    assert "mechanism" in chosen.notes[0]
    assert (
        choose(grid, runs, ["honest_utility", "adversary_utility"], 1)
        .notes[-1]
        .startswith("Pooled")
    )


def test_of_factors_that_change_together_one_is_shown(tmp_path):
    zipped = {
        "kind": "zip",
        "factors": {"training.epochs": [1, 2], "training.learning_rate": [0.1, 0.2]},
    }
    results = sweep(spec(zipped, seeds=1, rounds=1), tmp_path / "zip", workers=1)
    assert crossed(results, results.outcomes()) == ["training.epochs"]
    assert continuous(results) == []


def test_sampled_numbers_go_on_an_axis(sampled):
    assert continuous(sampled) == ["validation.params.threshold", "training.learning_rate"]
    assert crossed(sampled, sampled.outcomes()) == ["payout.mechanism"]


def test_share_explained_is_eta_squared():
    values = pd.Series([0.0, 2.0, 4.0, 6.0])
    assert share_explained(pd.Series(list("aabb")), values) == pytest.approx(
        4 / 5
    )  # means 1 and 5, variance 4 of 5
    assert share_explained(pd.Series(list("abab")), values) == pytest.approx(1 / 5)
    assert share_explained(pd.Series(list("aabb")), values * 0) == 0


def test_levels_are_thinned_and_named():
    assert thin(list("abcdef"), 4) == list("abcd")
    assert thin(list(range(11)), 3) == [0, 5, 10]
    assert thin([1, 2], 3) == [1, 2]
    assert label("adversaries.0.count", np.int64(3)) == "count = 3"
    assert label("payout.mechanism", "vbfl") == "vbfl"
    assert label("x.rate", 0.123456) == "rate = 0.123"


# --- data ------------------------------------------------------------------------------------


def test_bands_are_those_of_results_and_of_closed_form():
    rng = np.random.default_rng(3)
    wide = rng.random((5, 4))
    part = pd.DataFrame(
        [{"seed": s, "round": r + 1, "accuracy": wide[s, r]} for s in range(5) for r in range(4)]
    )
    found = curves.bands(part)
    assert found["accuracy"].to_numpy() == pytest.approx(wide.mean(axis=0))
    assert [(r.low, r.high) for r in found.itertuples()] == [
        pytest.approx(interval(wide[:, r], "t")) for r in range(4)
    ]
    assert curves.bands(part[part["seed"] == 0])[["low", "high"]].isna().all(axis=None), (
        "one seed has no band"
    )
    # Two seeds at 0 and 1: a standard error of 1/2, 12.7 of which are half an interval of Student.
    two = pd.DataFrame({"seed": [0, 1], "round": [1, 1], "accuracy": [0.0, 1.0]})
    bounds = curves.bands(two)[["accuracy", "low", "high"]].iloc[0].tolist()
    assert bounds == pytest.approx([0.5, 0.5 - 12.7062 / 2, 0.5 + 12.7062 / 2], rel=1e-5)


def test_curves_are_the_means_of_rounds(grid):
    table = curves.FIGURE.data(grid)
    assert list(table.columns) == ["attack", *curves.VALUES]
    want = (
        grid.rounds(columns=["round", "accuracy"])
        .query("mechanism == 'vbfl'")
        .groupby(["attack", "round"])["accuracy"]
        .mean()
    )
    found = table.set_index(["attack", "round"])["accuracy"]
    for key, value in want.items():
        assert found[key] == pytest.approx(value)
    assert (table["seeds"] == 2).all(), "runs that differ in payment alone are no further seeds"
    assert ((table["low"] <= table["accuracy"]) & (table["accuracy"] <= table["high"])).all()


def test_gains_are_income_less_stake_lost(grid):
    found = gains(grid).merge(grid.runs()[["run_id", "mechanism", "attack"]], on="run_id")
    utility = (
        grid.participants(columns=["device", "utility"])
        .groupby(["run_id", "device"])["utility"]
        .sum()
    )
    # Without costs, what a device gains is its utility.
    assert found.set_index(["run_id", "device"])["gained"].sort_index().tolist() == pytest.approx(
        utility.sort_index().tolist()
    )
    assert (found.query("attack == 'nobody'")["who"] == "honest").all()
    assert (
        found.query("mechanism == 'slashed' and attack == 'noise' and who == 'adversary'")[
            "gained"
        ].min()
        < 0
    )


def test_fans_end_at_the_gains(grid):
    table = fans.FIGURE.data(grid)
    last = table[table["round"] == table["round"].max()].set_index(["mechanism", "attack", "who"])
    ends = gains(grid).merge(grid.runs()[["run_id", "mechanism", "attack"]], on="run_id")
    for key, part in ends.groupby(["mechanism", "attack", "who"])["gained"]:
        assert last.loc[key, list(fans.QUANTILES)].tolist() == pytest.approx(
            np.quantile(part, list(fans.QUANTILES.values()))
        )
        assert last.loc[key, "devices"] == len(part)


def test_payoffs_are_the_means_of_utility(grid):
    table = payoffs.FIGURE.data(grid).set_index(["who", "mechanism", "attack"])
    want = (
        grid.outcomes()
        .groupby(["mechanism", "attack"])[["honest_utility", "adversary_utility"]]
        .mean()
    )
    assert table.loc[("honest", "slashed", "flip"), "utility"] == pytest.approx(
        want.loc[("slashed", "flip"), "honest_utility"]
    )
    assert ("adversary", "vbfl", "nobody") not in table.index


def test_votes_carry_the_threshold_of_their_rule(grid, sampled):
    table = vote_scatter.FIGURE.data(grid)
    assert len(table) == len(
        grid.votes(columns=["vad"], where="mechanism = 'vbfl' and vad is not null")
    )
    assert (table["threshold"] == 0.08).all()
    assert vote_scatter.FIGURE.data(sampled)["threshold"].nunique() == 8


def test_votes_are_thinned_evenly_and_said_so(grid, monkeypatch):
    monkeypatch.setattr(vote_scatter, "MOST", 30)
    table = vote_scatter.FIGURE.data(grid)
    assert len(table) == 30
    assert any("30 of" in note for note in table.attrs["notes"])
    assert table.equals(vote_scatter.FIGURE.data(grid))


def test_front():
    taken, accuracy = np.array([1.0, 2.0, 3.0, 2.0, 1.0]), np.array([0.5, 0.7, 0.6, 0.7, 0.4])
    assert front(taken, accuracy).tolist() == [True, True, False, True, False], (
        "twins do not beat each other"
    )


def test_pareto_has_a_panel_per_attack(grid):
    table = FIGURES["pareto"].data(grid)
    assert list(table.columns[:2]) == ["attack", "point"]
    assert set(table["attack"]) == {"noise", "flip"}, "without adversaries nothing is taken"
    assert set(table["point"]) == {"vbfl", "slashed"}
    assert table.groupby("attack", observed=True)["front"].any().all()


def test_responses_are_the_outcomes(sampled):
    table = responses.FIGURE.data(sampled)
    assert set(table["factor"]) == set(continuous(sampled))
    assert table.loc[table["factor"] == "training.learning_rate", "log"].all()
    assert not table.loc[table["factor"] == "validation.params.threshold", "log"].any()
    rate = table[(table["outcome"] == "accuracy") & (table["factor"] == "training.learning_rate")]
    assert sorted(rate["result"]) == pytest.approx(sorted(sampled.outcomes()["accuracy"]))
    assert rate["point"].nunique() * 2 == rate["cell"].nunique() == 16


def test_binned_means_count_a_cell_once():
    part = pd.DataFrame(
        {"cell": [0, 0, 1, 2], "value": [1.0, 1.0, 1.0, 2.0], "result": [1.0, 3.0, 4.0, 5.0]}
    )
    assert responses.means(part)[["value", "result"]].to_numpy().tolist() == [
        [1.0, 3.0],
        [2.0, 5.0],
    ]
    values = pd.Series(np.arange(80.0))
    assert responses.bins(values).value_counts().tolist() == [10] * 8


# --- drawings --------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["grid", "sampled"])
def test_every_figure_draws_without_a_warning(which, request):
    results = request.getfixturevalue(which)
    drawn = set()
    with warnings.catch_warnings(), style():
        warnings.simplefilter("error")
        for figure in sweep_figures():
            table = figure.data(results)
            if not table.empty:
                figure.draw(table).canvas.draw_without_rendering()
                drawn.add(figure.name)
    assert set(FIGURES) - drawn == ({"responses"} if which == "grid" else {"payoffs"})


def test_many_levels_are_cut_and_said_so():
    levels = [f"l{i}" for i in range(11)]
    rows = [
        {"a": a, "b": b, "c": c, "round": r, "accuracy": 0.5, "low": 0.4, "high": 0.6, "seeds": 3}
        for a in levels[:9]
        for b in levels
        for c in levels[:5]
        for r in (1, 2)
    ]
    table = pd.DataFrame(rows)
    for factor in "abc":
        table[factor] = pd.Categorical(table[factor], levels, ordered=True)
    with style():
        sheet = curves.draw(table)
    assert len([a for a in sheet.canvas.axes if a.has_data()]) == 12
    assert all(len(a.lines) <= 8 for a in sheet.canvas.axes)
    assert len(sheet.notes) == 3
    assert "8 of the 9 levels of a" in sheet.notes[0]


def test_labels_never_overlap(grid):
    assert spread([0, 0, 0], 10) == [-10, 0, 10]
    assert spread([5, 100, 0], 10) == [7.5, 100, -2.5]
    with style():
        for name in ("pareto", "accuracy-curves", "stake-fans"):
            sheet = FIGURES[name].draw(FIGURES[name].data(grid)).canvas
            sheet.draw_without_rendering()
            for axes in sheet.axes:
                boxes = [t.get_window_extent() for t in axes.texts if t.get_text()]
                assert not any(
                    a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :]
                ), name


def test_crowded_points_have_labels_inside_their_panel_and_off_lines():
    sheet = blank(3, 2.5)
    axes = sheet.add_subplot(xlim=(0, 10), ylim=(0, 10))
    points = np.array([(8.8, 9.0), (9.0, 9.0), (9.2, 9.0), (9.4, 8.6), (0.5, 9.0)])
    line = np.array([(0.0, 9.0), (10.0, 9.0)])
    name_points(
        axes, points, ["a long name", "another long name", "short", "not so short", ""], line[None]
    )
    frame, struck = axes.get_window_extent(), Path(axes.transData.transform(line))
    boxes = [t.get_window_extent() for t in axes.texts if t.get_text()]
    assert len(boxes) == 4
    assert all(frame.contains(*corner) for box in boxes for corner in box.corners())
    assert not any(struck.intersects_bbox(box, filled=False) for box in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])


@pytest.mark.parametrize("value", np.linspace(-1, 1, 21))
def test_payoffs_can_be_read_on_their_colours(value):
    axes = blank(3, 3).add_subplot()
    payoffs._matrix(axes, pd.DataFrame([[value]]), 1.0, 2)
    ground = luminance(payoffs.COLORS((value + 1) / 2))
    light, dark = sorted([luminance(axes.texts[0].get_color()), ground], reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.parametrize("color", LEVELS)
def test_labels_are_dark_enough(color):
    r, g, b = (int(ink(color)[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (r, g, b)]
    assert 1.05 / (np.dot(linear, [0.2126, 0.7152, 0.0722]) + 0.05) >= 4.5


def test_nothing_is_drawn_of_what_is_not_there(tmp_path):
    quiet = sweep(
        spec(name="quiet", seeds=1, rounds=1)
        | {"scenario": "fedavg", "set": {**TINY_SERVER, "rounds": 1}},
        tmp_path / "quiet",
        workers=1,
    )
    text = report(quiet).read_text()
    assert [f.name for f in sweep_figures() if f'id="{f.name}"' in text] == ["accuracy-curves"]


# --- the page --------------------------------------------------------------------------------


class Loads(HTMLParser):
    """Whatever a page would fetch by itself, and where it leads."""

    def __init__(self):
        super().__init__()
        self.fetched, self.links = [], []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.links += [given["href"]] if tag == "a" else []
        self.fetched += [
            given[k] for k in ("src", "href", "data", "srcset") if k in given and tag != "a"
        ]


def test_the_page_needs_nothing_but_itself(page):
    text = page.read_text()
    loads = Loads()
    loads.feed(text)
    assert loads.fetched
    assert all(f.startswith("data:image/png;base64,") for f in loads.fetched)
    assert all((page.parent / link).is_file() for link in loads.links), (
        "data and drawings lie beside it"
    )
    bare = re.sub(r"base64,[^\"]*", "", text)
    for outside in ("http:", "https:", "url(", "@import", "file:"):
        assert outside not in bare


def test_the_page_tells_what_was_run(grid, page):
    text = page.read_text()
    assert "12 runs: 12 done, 0 failed, 0 missing · 6 cells · 2 seeds (0, 1) · from vbfl" in text
    assert text.count("fedstake report") == text.count("<figure")
    assert "nobody, noise, flip" in text
    assert "<h2>Failures" not in text
    assert pd.read_csv(page.parent / "outcomes.csv")["runs"].tolist() == [2] * 6


def test_the_same_sweep_gives_the_same_bytes(grid, page, tmp_path):
    before = {p.name: p.read_bytes() for p in page.parent.iterdir()}
    other = report(Results.open(grid.folder), tmp_path / "again")
    for name, body in before.items():
        if name != "report.html":  # it says where it was made
            assert (other.parent / name).read_bytes() == body, name
    report(grid)
    assert {p.name: p.read_bytes() for p in page.parent.iterdir()} == before


def test_failures_and_the_scorecard_have_their_place(tmp_path):
    broken = {
        "kind": "grid",
        "factors": {"x": {"good": {"rounds": 1}, "bad": {"data.params.train": 5}}},
    }
    results = sweep(spec(broken, seeds=1), tmp_path / "broken", workers=1)
    assert results.runs()["status"].tolist() == ["done", "failed"]
    (tmp_path / "broken" / "scorecard.csv").write_text("mechanism,accuracy\nvbfl,0.9\n<b>,\n")
    (tmp_path / "broken" / "winner.toml").write_text('mechanism = "vbfl"\n')
    text = report(results).read_text()
    order = [
        text.index(f"<h2>{h}</h2>")
        for h in ("Scorecard", "Winner", "Factors", "Failures", "Figures", "Outcomes")
    ]
    assert order == sorted(order)
    assert "2 runs: 1 done, 1 failed, 0 missing" in text
    assert "too few" in text
    assert "&lt;b&gt;" in text
    assert "Traceback" in (tmp_path / "broken" / "report" / "failures.csv").read_text()


def test_a_sweep_that_has_just_begun_has_a_report(grid, tmp_path):
    for name in ("sweep.json", "plan.parquet"):
        (tmp_path / name).write_bytes((grid.folder / name).read_bytes())
    text = report(Results.open(tmp_path)).read_text()
    assert "0 done, 0 failed, 12 missing" in text
    assert "No run is done yet." in text


def test_what_a_folder_holds_decides(grid, tmp_path):
    assert isinstance(open_recorded(grid.folder), Results)
    assert open_recorded(next((grid.folder / "runs").glob("[0-9a-f]*"))).rounds is not None
    with pytest.raises(RunError, match=r"neither a run .* nor a sweep .*; .* is one"):
        open_recorded(grid.folder.parent)
    with pytest.raises(RunError, match="no such folder"):
        open_recorded(tmp_path / "nowhere")
