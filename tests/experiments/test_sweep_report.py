"""The figures of a sweep and the page around them."""

import dataclasses
import functools
import re
import shutil
import warnings
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.path import Path
from matplotlib.text import Text

from experiments import Results, RunError, report, sweep
from experiments.figures import (
    curves,
    fans,
    incomes,
    lines,
    over_rounds,
    pareto,
    payoffs,
    responses,
    strategies,
    sweep_figures,
    vote_scatter,
)
from experiments.figures.base import (
    ADVERSARY,
    DOUBLE,
    HONEST,
    LEVELS,
    LINE,
    SINGLE,
    SMALL,
    Look,
    blank,
    ink,
    level_ticks,
    luminance,
    style,
)
from experiments.figures.factors import (
    choose,
    continuous,
    crossed,
    ordered,
    share_explained,
    thin,
)
from experiments.figures.gains import gains
from experiments.figures.outcome_lines import by_level, draw_outcome
from experiments.figures.panels import keep, name_points, spread
from experiments.figures.pareto import front, settled
from experiments.intervals import bands_in_words, interval
from experiments.labels import Labels
from experiments.reports import open_recorded
from experiments.reports.answer import answer_of
from experiments.reports.scorecard import scorecard_parts
from experiments.reports.sweep import factors
from experiments.scorecard.winner import compare
from tests.conftest import TINY, TINY_SERVER
from tests.forging import resealed

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
    assert chosen.notes[0] == "mechanism has no effect here and is not shown."
    assert (
        choose(grid, runs, ["honest_utility", "adversary_utility"], 1)
        .notes[-1]
        .startswith("Averaged over")
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


def test_levels_are_thinned():
    assert thin(list("abcdef"), 4) == list("abcd")
    assert thin(list(range(11)), 3) == [0, 5, 10]
    assert thin([1, 2], 3) == [1, 2]


# --- data ------------------------------------------------------------------------------------


def test_bands_are_those_of_results_and_of_closed_form():
    rng = np.random.default_rng(3)
    wide = rng.random((5, 4))
    part = pd.DataFrame(
        [{"seed": s, "round": r + 1, "mean": wide[s, r]} for s in range(5) for r in range(4)]
    )
    found = over_rounds.bands(part)
    assert found["mean"].to_numpy() == pytest.approx(wide.mean(axis=0))
    assert [(r.low, r.high) for r in found.itertuples()] == [
        pytest.approx(interval(wide[:, r], "t")) for r in range(4)
    ]
    alone = over_rounds.bands(part[part["seed"] == 0])
    assert alone[["low", "high"]].isna().all(axis=None), "one seed has no band"
    # Of two seeds the band is what lies between them: Student's interval is 12.7 times as wide.
    two = pd.DataFrame({"seed": [0, 1], "round": [1, 1], "mean": [0.0, 1.0]})
    bounds = over_rounds.bands(two)[["mean", "low", "high"]].iloc[0].tolist()
    assert bounds == [0.5, 0.0, 1.0]


def test_bands_are_said_to_be_what_they_are():
    assert bands_in_words([2, 2]) == "Bands: what lies between the two seeds, no interval."
    whiskers = bands_in_words([2, 3], "Whiskers")
    assert whiskers.startswith("Whiskers: 95 %")
    assert "the whisker is what lies between them" in whiskers
    assert bands_in_words([1]) == "Bands: none, there is one run each."
    assert bands_in_words([3]) == "Bands: 95 %, Student's t (fewer than ten runs)."
    assert bands_in_words([2, 3]) == (
        "Bands: 95 %, Student's t (fewer than ten runs). "
        "Where there are two seeds the band is what lies between them, no interval."
    )


def test_curves_are_the_means_of_rounds(grid):
    table = curves.FIGURE.data(grid)
    assert list(table.columns) == ["attack", *over_rounds.VALUES]
    want = (
        grid.rounds(columns=["round", "accuracy"])
        .query("mechanism == 'vbfl'")
        .groupby(["attack", "round"])["accuracy"]
        .mean()
    )
    found = table.set_index(["attack", "round"])["mean"]
    for key, value in want.items():
        assert found[key] == pytest.approx(value)
    assert (table["seeds"] == 2).all(), "runs that differ in payment alone are no further seeds"
    assert ((table["low"] <= table["mean"]) & (table["mean"] <= table["high"])).all()


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


@pytest.mark.slow
@pytest.mark.parametrize("which", ["grid", "sampled"])
def test_every_figure_draws_without_a_warning(which, request):
    results = request.getfixturevalue(which)
    drawn, asked = set(), [f for f in sweep_figures() if results.has(f.needs)]
    with warnings.catch_warnings(), style():
        warnings.simplefilter("error")
        for figure in asked:
            table = figure.data(results)
            if not table.empty:
                figure.draw(table, Look()).canvas.draw_without_rendering()
                drawn.add(figure.name)
    none = {"attack-success-curves", "strategy-curves", "malformed-curves", "lines"}
    left = {figure.name for figure in asked} - drawn
    assert left == none | ({"responses"} if which == "grid" else {"payoffs"})


def test_many_levels_are_cut_and_said_so():
    levels = [f"l{i}" for i in range(11)]
    rows = [
        {"a": a, "b": b, "c": c, "round": r, "mean": 0.5, "low": 0.4, "high": 0.6, "seeds": 3}
        for a in levels[:9]
        for b in levels
        for c in levels[:5]
        for r in (1, 2)
    ]
    table = pd.DataFrame(rows)
    for factor in "abc":
        table[factor] = pd.Categorical(table[factor], levels, ordered=True)
    with style():
        sheet = curves.FIGURE.draw(table, Look())
    assert len([a for a in sheet.canvas.axes if a.has_data()]) == 12
    assert all(len(a.lines) <= 8 for a in sheet.canvas.axes)
    assert len([note for note in sheet.notes if "are drawn; the CSV" in note]) == 3
    assert "8 of the 9 levels of a" in sheet.notes[0]


def test_labels_never_overlap(grid):
    assert spread([0, 0, 0], 10) == [-10, 0, 10]
    assert spread([5, 100, 0], 10) == [7.5, 100, -2.5]
    with style():
        for name in ("pareto", "accuracy-curves", "stake-fans"):
            sheet = FIGURES[name].draw(FIGURES[name].data(grid), Look()).canvas
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
    payoffs._matrix(axes, pd.DataFrame([[value]]), 1.0, 2, SMALL)
    assert axes.texts[0].get_color() == "black", "one rule for all cells"
    assert (luminance(payoffs.COLORS((value + 1) / 2)) + 0.05) / 0.05 >= 4.5


@pytest.mark.parametrize("width", [SINGLE, DOUBLE, 0.0])
@pytest.mark.parametrize("across", [2, 5, 8])
def test_numbers_of_payoffs_are_upright_and_in_their_cells(across, width):
    rows = [
        (f"rule number {i}", f"attack {j}", who, -12_345.0 * (i - j))
        for i in range(across + 1)
        for j in range(across)
        for who in payoffs.WHOSE
    ]
    table = pd.DataFrame(rows, columns=["rule", "attack", "who", "utility"])
    table = table.assign(low=0.0, high=0.0, runs=3).astype(
        {"rule": "category", "attack": "category"}
    )
    with style():
        found = payoffs.FIGURE.draw(table, Look(width=width))
        found.canvas.draw_without_rendering()
    for axes in found.canvas.axes:
        one, other = axes.transData.transform([(0, 0), (1, 0)])
        for text in axes.texts:
            assert text.get_rotation() == 0
            assert text.get_window_extent().width <= other[0] - one[0] + 1
    if not found.canvas.axes[0].texts:
        assert "The cells have no room for numbers; the CSV has them." in found.notes


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


@pytest.mark.slow
def test_the_page_needs_nothing_but_itself(page):
    text = page.read_text()
    loads = Loads()
    loads.feed(text)
    assert loads.fetched
    assert all(f.startswith("data:image/webp;base64,") for f in loads.fetched)
    assert all((page.parent / link).is_file() for link in loads.links), (
        "data and drawings lie beside it"
    )
    bare = re.sub(r"base64,[^\"]*", "", text)
    for outside in ("http:", "https:", "url(", "@import", "file:"):
        assert outside not in bare


@pytest.mark.slow
def test_the_page_tells_what_was_run(grid, page):
    text = page.read_text()
    assert "12 runs: 12 done, 0 failed, 0 missing · 6 cells · 2 seeds (0, 1) · from vbfl" in text
    assert text.count("fedstake report") == text.count("<figure")
    assert "nobody, noise, flip" in text
    assert "<h2>Failures" not in text
    assert pd.read_csv(page.parent / "outcomes.csv")["runs"].tolist() == [2] * 6


@pytest.mark.slow
def test_the_same_sweep_gives_the_same_bytes(grid, page, tmp_path):
    before = {p.name: p.read_bytes() for p in page.parent.iterdir()}
    report(Results.open(grid.folder))
    assert {p.name: p.read_bytes() for p in page.parent.iterdir()} == before
    few = report(grid, tmp_path / "again", figures="payoffs,accuracy-curves")
    drawn = [p for p in few.parent.iterdir() if p.suffix != ".html"]  # it says where it was made
    assert len(drawn) == 7
    for file in drawn:
        assert file.read_bytes() == before[file.name], file.name


def test_failures_have_their_place(tmp_path):
    broken = {
        "kind": "grid",
        "factors": {"x": {"good": {"rounds": 1}, "bad": {"data.params.train": 5}}},
    }
    results = sweep(spec(broken, seeds=1), tmp_path / "broken", workers=1)
    assert results.runs()["status"].tolist() == ["done", "failed"]
    text = report(results, figures="accuracy-curves").read_text()
    order = [text.index(f"<h2>{h}</h2>") for h in ("Failures", "Outcomes", "Factors", "Sweep")]
    assert order == sorted(order)
    assert "2 runs: 1 done, 1 failed, 0 missing" in text
    assert "too few" in text
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


# --- figures as they are printed and read ----------------------------------------------------


@functools.cache
def drawings(results, width):
    """Return the name and the canvas of every figure of results that no test changes."""
    return list(every_drawing(results, width))


def every_drawing(results, width=0.0):
    """Yield the name and the canvas of every figure that the results have."""
    look = Look(results.labels.drawn(), {}, width)
    with style():
        for figure in sweep_figures():
            table = figure.data(results) if results.has(figure.needs) else pd.DataFrame()
            if not table.empty:
                sheet = figure.draw(table, look).canvas
                sheet.draw_without_rendering()
                yield figure.name, sheet


@pytest.mark.slow
@pytest.mark.parametrize(
    ("which", "width"),
    [
        ("grid", SINGLE),
        ("grid", 0.0),
        ("sampled", DOUBLE),
        pytest.param("grid", DOUBLE, marks=pytest.mark.soak),
        pytest.param("sampled", SINGLE, marks=pytest.mark.soak),
        pytest.param("sampled", 0.0, marks=pytest.mark.soak),
    ],
)
def test_figures_fit_a_printed_page(which, width, request):
    for name, sheet in drawings(request.getfixturevalue(which), width):
        assert sheet.get_figwidth() == width or (not width and sheet.get_figwidth() <= DOUBLE), name
        texts = [t for t in sheet.findobj(Text) if t.get_text() and t.get_visible()]
        assert min(t.get_fontsize() for t in texts) >= SMALL, name
        drawn = sheet.get_tightbbox()
        assert drawn.x0 > -0.03, name
        assert drawn.x1 < sheet.get_figwidth() + 0.03, f"{name}: clipped at the right"


@pytest.mark.slow
@pytest.mark.parametrize("which", ["grid", "sampled"])
def test_numbers_on_axes_do_not_touch(which, request):
    for name, sheet in drawings(request.getfixturevalue(which), 0.0):
        boxes = [
            t.get_window_extent()
            for axes in sheet.axes
            for t in axes.get_xticklabels()
            if t.get_text() and t.get_visible() and not t.get_rotation() and _in_view(axes, t)
        ]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :]), name


def _in_view(axes, tick):
    low, high = sorted(axes.get_xlim())
    return low <= tick.get_position()[0] <= high and axes.xaxis.get_tick_params()["labelbottom"]


def lab(color):
    """Return a colour in CIE Lab, in which distances are about as large as they look."""
    rgb = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    f = np.cbrt(xyz @ linear / [0.9505, 1.0, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_blue_and_orange_are_for_honest_devices_and_adversaries_alone():
    for color in (*LEVELS, LINE):
        for who in (HONEST, ADVERSARY):
            assert np.linalg.norm(lab(color) - lab(who)) > 30, color
    for i, one in enumerate(LEVELS):
        for other in LEVELS[i + 1 :]:
            assert np.linalg.norm(lab(one) - lab(other)) > 20, (one, other)


def curve_table(**curves_of):
    rows = [
        {"f": name, "round": r + 1, "mean": v, "low": v - 0.05, "high": v + 0.05, "seeds": 3}
        for name, values in curves_of.items()
        for r, v in enumerate(values)
    ]
    names = list(curves_of)
    return pd.DataFrame(rows).assign(f=lambda t: pd.Categorical(t["f"], names, ordered=True))


def test_curves_on_each_other_are_told_apart_and_said_so():
    same = [0.1, 0.5, 0.7, 0.8]
    table = curve_table(a=same, b=same, c=[0.1, 0.2, 0.3, 0.4])
    with style():
        sheet = curves.FIGURE.draw(table, Look())
    assert "The curves of a and b coincide." in sheet.notes
    one, other, _ = sheet.canvas.axes[0].lines
    assert one.get_linestyle() != other.get_linestyle()
    assert one.get_color() != other.get_color()
    assert one.get_marker() != other.get_marker()
    assert one.get_markevery() != other.get_markevery(), "marks of one are not under the other's"


def test_a_long_whisker_does_not_squeeze_the_boxes():
    boxes = [np.array([0, 1, 2, 3, 4]), np.array([0, 1, 2, 3, 4_000])]
    low, high = incomes.view(boxes)
    assert high < 10
    assert low <= 0
    gained = [0, 1, 2, 3, 4] * 10 + [5_000] * 5
    table = pd.DataFrame({"seed": 0, "device": range(55), "who": "honest", "gained": gained})
    with style():
        sheet = incomes.FIGURE.draw(table, Look())
    assert "5,000" in [t.get_text() for t in sheet.canvas.axes[0].texts]
    assert any("arrow" in note for note in sheet.notes)


def pareto_table(points):
    rows = [
        {"point": p, "beside": "", "seeds": 3,
         "accuracy": a, "accuracy_low": a - 0.01, "accuracy_high": a + 0.01,
         "gained": g, "gained_low": g - 5.0, "gained_high": g + 5.0, "front": g == 0}
        for p, a, g in points
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_an_axis_with_one_value_is_told_instead_of_drawn():
    with style():
        sheet = FIGURES["pareto"].draw(pareto_table([("a", 0.9, 0.0), ("b", 0.9, 50.0)]), Look())
    assert sheet.notes == [
        "The final test accuracy is the same for all choices (0.900) and is not drawn."
    ]
    (axes,) = sheet.canvas.axes
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "b"]


def test_title_and_caption_say_what_is_drawn():
    """No axis, no direction and no line that is not there."""
    income = pareto_table([("a", 0.9, 0.0), ("b", 0.9, 50.0)])
    accuracy = pareto_table([("a", 0.8, 7.0), ("b", 0.9, 7.0)])
    both = pareto_table([("a", 0.9, 0.0), ("b", 0.8, 50.0)])
    draw = FIGURES["pareto"].draw
    with style():
        first, second, third = (draw(table, Look()) for table in (income, accuracy, both))
        stairs = draw(both.assign(front=True), Look())
    for sheet, drawn, hidden in ((first, "earn", "accuracy"), (second, "accuracy", "earn")):
        assert hidden not in f"{sheet.title} {sheet.caption.partition('Net income')[0]}".lower()
        assert drawn in sheet.caption.lower()
        assert "up and to the left" not in sheet.caption
        assert "line" not in sheet.caption
    assert not third.title, "the figure's own"
    assert "up and to the left" in third.caption
    assert "the line joins them" not in third.caption, "of a single point there is no line"
    assert "the line joins them" in stairs.caption


def test_a_ranking_by_what_is_no_axis_is_told():
    table = pareto_table([("a", 0.9, 0.0), ("b", 0.9, 50.0)])
    both = pareto_table([("a", 0.9, 0.0), ("b", 0.8, 50.0)])
    with style():
        for drawn, measure, told in (
            (table, "advantage", True),
            (table, "accuracy", True),
            (both, "advantage", True),
            (both, "accuracy", False),
            (both, "", False),
        ):
            notes = FIGURES["pareto"].draw(drawn, Look(ranked_by=measure)).notes
            assert any(f"another measure, {measure}," in note for note in notes) == told


def test_the_title_of_a_drawing_is_on_the_page(answered, tmp_path):
    text = report(answered, tmp_path, figures="pareto").read_text()
    assert "<h3>Adversaries&#x27; income under each choice</h3>" in text
    assert "another measure, adversary_utility, and may differ" in text


def test_the_rounding_of_a_sum_makes_no_front():
    taken, accuracy = pd.Series([-7e12, 0.0]), pd.Series([0.9164345403899721, 0.9164345403899722])
    assert front(*map(settled, (taken, accuracy))).tolist() == [True, False]


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Three rules times two learning rates."""
    factors = {
        "training.learning_rate": [0.05, 0.1],
        "mechanism": {
            "vbfl": {"payout.mechanism": "vbfl"},
            "slashed": {"payout.mechanism": "slashed-vbfl", "payout.initial_balance": 60_000},
            "flat": {"payout.mechanism": "flat"},
        },
    }
    noisy = [{"count": 2, "worker": "gaussian-noise"}]
    return sweep(
        spec({"factors": factors}, name="several", rounds=2, adversaries=noisy),
        tmp_path_factory.mktemp("several") / "sweep",
        workers=1,
    )


def test_each_rule_of_several_factors_can_be_found(several):
    table = FIGURES["pareto"].data(several)
    assert table.columns[0] == "mechanism"
    with style():
        sheet = FIGURES["pareto"].draw(table, Look(several.labels.drawn()))
    (axes,) = sheet.canvas.axes
    (legend,) = sheet.canvas.legends
    assert [t.get_text() for t in legend.get_texts()] == ["vbfl", "slashed", "flat"]
    clouds = [c for c in axes.collections if len(c.get_offsets()) and c.get_zorder() == 3]
    assert len({c.get_paths()[0].vertices.tobytes() for c in clouds}) == 3, "a mark for each rule"
    assert sorted(t.get_text() for t in axes.texts if t.get_text()) == ["0.05"] * 3 + ["0.1"] * 3
    assert "Beside the points: learning_rate." in sheet.notes
    for cloud, rule in zip(clouds, ("vbfl", "slashed", "flat"), strict=True):
        hollow = [tuple(color) == (1, 1, 1, 1) for color in cloud.get_facecolors()]
        assert hollow == (~table.loc[table["mechanism"] == rule, "front"]).tolist()


def test_points_of_several_rules_on_each_other_are_told(several):
    table = FIGURES["pareto"].data(several)
    alike = table["point"].str.contains("vbfl|flat") & table["point"].str.contains("0.1")
    for column in pareto.DRAWN:
        table.loc[alike, column] = table.loc[alike, column].iloc[0]
    with style():
        notes = FIGURES["pareto"].draw(table, Look(several.labels.drawn())).notes
    assert any(note.startswith("On each other: ") for note in notes)


def test_points_have_names_and_wide_intervals_do_not_hide_them():
    table = pareto_table([("a", 0.5, 0.0), ("b", 0.9, 50.0)])
    table["gained_high"] = 9_000.0
    with style():
        sheet = FIGURES["pareto"].draw(table, Look())
    (axes,) = sheet.canvas.axes
    assert {"a", "b"} <= {t.get_text() for t in axes.texts}
    assert axes.get_xlim()[1] < 200
    assert any("cut at the frame" in note for note in sheet.notes)


def test_no_accuracy_above_one_is_drawn():
    table = pareto_table([("a", 0.97, 0.0), ("b", 1.0, 50.0)])
    table["accuracy_high"] = 1.0
    with style():
        (axes,) = FIGURES["pareto"].draw(table, Look()).canvas.axes
    low, high = axes.get_ylim()
    assert [tick for tick in axes.get_yticks() if low <= tick <= high and tick > 1] == []
    assert high < 1.01


def test_intervals_of_an_accuracy_end_at_one(grid):
    table = FIGURES["pareto"].data(grid)
    known = table[["accuracy_low", "accuracy_high"]].dropna()
    assert not known.empty
    assert known.stack().between(0, 1).all()


def test_many_points_are_numbered_by_names_with_their_factors():
    points = [(f"rate = {i / 100} · top = {i}", 0.5 + i / 100, 10.0 * i) for i in range(9)]
    table = pareto_table(points).assign(front=True)
    with style():
        sheet = FIGURES["pareto"].draw(table, Look())
    assert sheet.notes[-1].startswith("On the front: 1: rate = 0.0 · top = 0; 2: rate = 0.01")


@pytest.fixture(scope="module")
def colluding(tmp_path_factory):
    """A numeric factor of a grid, and a targeted attack."""
    grown = {"adversaries.0.count": [1, 2, 3]}
    attack = [{"count": 1, "worker": "label-flip", "worker_params": {"source": 0}}]
    return sweep(
        spec({"factors": grown}, name="grown", rounds=2, adversaries=attack),
        tmp_path_factory.mktemp("grown") / "sweep",
        workers=1,
    )


def test_payoffs_against_the_size_of_a_group_are_a_line_with_a_band(colluding):
    table = lines.FIGURE.data(colluding)
    assert set(table["factor"]) == {"adversaries.0.count"}
    runs = colluding.outcomes().groupby("adversaries.0.count")["adversary_utility"]
    found = table[table["outcome"] == "adversary_utility"].set_index("value")
    for count, values in runs:
        assert found["mean"][count] == pytest.approx(values.mean())
        assert found["low"][count] == pytest.approx(values.min()), "two seeds: what lies between"
        assert found["high"][count] == pytest.approx(values.max())
    with style():
        sheet = lines.FIGURE.draw(table, Look(colluding.labels)).canvas
    assert [axes.get_xlabel() for axes in sheet.axes][-1] == "count"
    assert sheet.axes[0].collections, "the band"
    assert FIGURES["pareto"].data(colluding).empty, "sizes of an attack are no designer's choice"


def test_each_compared_rule_has_its_line_against_a_numeric_factor(several):
    table = lines.FIGURE.data(several)
    runs = several.outcomes().groupby(["mechanism", "training.learning_rate"])
    want = runs["adversary_utility"].mean()
    found = table[table["outcome"] == "adversary_utility"].set_index(["mechanism", "value"])["mean"]
    assert len(found) == 6, "not averaged over what is compared"
    for key, value in want.items():
        assert found[key] == pytest.approx(value)
    with style():
        sheet = lines.FIGURE.draw(table, Look(several.labels.drawn()))
    (legend,) = sheet.canvas.legends
    assert [t.get_text() for t in legend.get_texts()] == ["vbfl", "slashed", "flat"]
    for axes in sheet.canvas.axes:
        colors = [line.get_color() for line in axes.lines]
        assert colors == list(LEVELS[:3]), "blue and orange are not for levels"
    assert "Final test accuracy: the lines of vbfl, slashed and flat coincide." in sheet.notes
    assert "Averaged over" not in " ".join(table.attrs["notes"])


def test_ticks_of_a_numeric_factor_are_at_its_levels(several):
    table = lines.FIGURE.data(several)
    with style():
        sheet = lines.FIGURE.draw(table, Look(several.labels.drawn())).canvas
        other = draw_outcome(
            by_level(several, ordered(several, several.outcomes()), "accuracy"),
            Look(several.labels.drawn()),
            "accuracy",
        ).canvas
        sheet.draw_without_rendering()
        other.draw_without_rendering()
    for axes in (sheet.axes[-1], other.axes[0]):
        assert [t.get_text() for t in axes.get_xticklabels()] == ["0.05", "0.1"]
        assert axes.get_xticks().tolist() == [0.05, 0.1]


def test_ticks_at_close_levels_do_not_touch():
    sheet = blank(3, 2)
    axes = sheet.add_subplot(xlim=(0, 1_000))
    sheet.draw_without_rendering()
    level_ticks(axes, {v: f"{v:,}" for v in (1, 2, 4, 8, 500, 1_000)})
    assert axes.get_xticks().tolist() == [1, 500, 1_000]
    level_ticks(axes, {7: "7"})
    assert axes.get_xticks().tolist() == [7]


def test_intervals_are_called_what_they_are_drawn_as(several, sampled):
    for name, results, drawn in (
        ("accuracy-curves", several, "Bands"),
        ("stake-fans", several, ""),
        ("lines", several, "Whiskers"),
        ("accuracy-curves", sampled, "Bands"),
    ):
        notes = " ".join(FIGURES[name].data(results).attrs["notes"])
        assert ("Bands" in notes, "Whiskers" in notes) == (drawn == "Bands", drawn == "Whiskers")
    rows = ordered(several, several.outcomes())
    notes = " ".join(by_level(several, rows, "accuracy").attrs["notes"])
    assert "Whiskers" in notes
    assert "Bands" not in notes


def test_whiskers_and_marks_are_inside_the_frame():
    table = curve_table(a=[0.1, 0.5, 0.7, 0.8], b=[0.2] * 4, c=[0.1, 0.2, 0.3, 0.4])
    with style():
        sheet = curves.FIGURE.draw(table, Look()).canvas
        sheet.draw_without_rendering()
    (axes,) = sheet.axes
    frame = axes.get_window_extent()
    first, last = axes.transData.transform([(1, 0.5), (4, 0.5)])[:, 0]
    half_a_mark = 3.5 / 2 * sheet.dpi / 72
    assert first - half_a_mark > frame.x0
    assert last + half_a_mark < frame.x1
    assert all(1 <= tick <= 4 for tick in axes.get_xticks()), "no round before the first"


def test_attack_success_has_its_curves(colluding):
    table = FIGURES["attack-success-curves"].data(colluding)
    assert list(table.columns) == ["adversaries.0.count", *over_rounds.VALUES]
    assert table["mean"].between(0, 1).all()


@pytest.fixture(scope="module")
def choosing(tmp_path_factory):
    """Devices that choose among strategies, and updates that overflow."""
    groups = [
        {
            "name": "rational",
            "count": 4,
            "strategies": [{"worker": "honest"}, {"worker": "free-ride-zero"}],
            "learner": "bandit",
            "learner_params": {"epsilon": 0.9},
        },
        {
            "name": "broken",
            "count": 2,
            "worker": "gaussian-noise",
            "worker_params": {"scale": 1e39},
        },
    ]
    rules = {"payout.mechanism": ["vbfl", "flat"]}
    return sweep(
        spec({"factors": rules}, name="choosing", rounds=6, adversaries=groups),
        tmp_path_factory.mktemp("choosing") / "sweep",
        workers=1,
    )


def test_strategies_of_played_runs_are_drawn(choosing):
    table = FIGURES["strategy-curves"].data(choosing)
    assert set(table["strategy"]) == {"honest", "free-ride-zero"}
    rest = [c for c in table.columns if c not in ("strategy", *over_rounds.VALUES)]
    shares = table.groupby([*rest, "round"], observed=True)["mean"].sum()
    assert shares.to_numpy() == pytest.approx(1)
    people = choosing.participants(columns=["round", "group", "strategy"])
    people = people[people["group"] == "rational"]
    want = people.assign(honest=people["strategy"] == "honest")
    want = want.groupby(["run_id", "round"])["honest"].mean().groupby("round").mean()
    honest = table[table["strategy"] == "honest"].groupby("round")["mean"].mean()
    assert honest.to_numpy() == pytest.approx(want.to_numpy())
    _drawn_within(choosing, "strategy-curves", table, 0, 1)


def test_malformed_updates_of_played_runs_are_drawn(choosing):
    table = FIGURES["malformed-curves"].data(choosing)
    malformed = choosing.rounds(columns=["round", "malformed"])["malformed"].sum()
    assert malformed > 0, "there is something to draw"
    seeds = choosing.runs()["run_id"].nunique()
    assert table.groupby("round")["mean"].mean().sum() == pytest.approx(malformed / seeds)
    _drawn_within(choosing, "malformed-curves", table, 0, np.inf)


def _drawn_within(results, name, table, least, most):
    """Draw a figure; no line, no band and no tick is beyond what can be."""
    with style():
        sheet = FIGURES[name].draw(table, Look(results.labels.drawn())).canvas
        sheet.draw_without_rendering()
    assert sheet.get_tightbbox().x1 < sheet.get_figwidth() + 0.03
    for axes in sheet.axes:
        low, high = axes.get_ylim()
        ticks = [t for t in axes.get_yticks() if low <= t <= high]
        assert [t for t in ticks if not least - 1e-9 <= t <= most + 1e-9] == []


def test_shares_of_strategies_sum_to_one():
    seen = pd.DataFrame(
        {
            "round": [1, 1, 2],
            "strategy": ["honest", "lazy", "lazy"],
            "devices": [1, 3, 4],
        }
    )
    table = strategies.shares(seen, [])
    assert table.groupby("round")["share"].sum().tolist() == [1, 1]
    assert table.set_index(["round", "strategy"])["share"][2, "honest"] == 0


# --- nothing that a figure meets costs the page ---------------------------------------------


def test_a_figure_that_fails_is_told_and_the_others_are_drawn(grid, tmp_path, monkeypatch):
    def fail(_):
        raise ZeroDivisionError("by\nnothing <b>")

    broken = dataclasses.replace(FIGURES["payoffs"], data=fail)
    others = [FIGURES["accuracy-curves"]]
    monkeypatch.setattr("experiments.reports.sweep.sweep_figures", lambda: (*others, broken))
    (tmp_path / "payoffs.png").write_text("of an earlier report")
    told = []
    text = report(grid, tmp_path, on_missing=told.append).read_text()
    assert "Payoffs: could not be drawn (ZeroDivisionError: by nothing &lt;b&gt;)." in text
    assert told == ["Payoffs: could not be drawn (ZeroDivisionError: by nothing <b>)."]
    assert 'id="accuracy-curves"' in text
    assert not (tmp_path / "payoffs.png").exists()


def test_names_that_leave_no_room_are_told(grid, tmp_path, monkeypatch):
    def draw(table, look):
        sheet = FIGURES["payoffs"].draw(table, look)
        sheet.canvas.axes[0].set_ylabel("long " * 400, rotation=0)
        return sheet

    broken = dataclasses.replace(FIGURES["payoffs"], draw=draw)
    monkeypatch.setattr("experiments.reports.sweep.sweep_figures", lambda: (broken,))
    text = report(grid, tmp_path).read_text()
    assert "Payoffs: could not be drawn (ValueError: its names leave no room" in text


ODD = [
    "x" * 200,
    "many words " * 20,
    "from $10% to $20%, <b>&amp;</b>",
    "_hidden",
    "=cmd|' /C calc'!A0",
    "zwei\nzeilen",
    "ein wort ohne leerzeichen" * 5,
]


@pytest.mark.slow
def test_any_length_of_name_can_be_drawn(tmp_path, grid):
    """Levels, factors and groups with any text: every figure is drawn, titles stay on the sheet."""
    long = Results.open(grid.folder)
    names = dict(zip(["vbfl", "slashed", "nobody", "noise", "flip"], ODD, strict=False))
    levels = {
        "mechanism": {"vbfl": names["vbfl"], "slashed": names["slashed"]},
        "attack": {k: names[k] for k in ("nobody", "noise", "flip")},
    }
    long.__dict__["labels"] = Labels({"mechanism": "m" * 90, "attack": "a " * 50}, levels)
    text = report(long, tmp_path).read_text()
    assert "could not be drawn" not in text
    for name, sheet in every_drawing(long):
        frame = sheet.bbox.padded(3)
        for axes in sheet.axes:
            title = axes.title if axes.get_title() else axes._left_title
            if title.get_text():
                box = title.get_window_extent()
                assert frame.contains(box.x0, box.y0), name
                assert frame.contains(box.x1, box.y1), name


@pytest.mark.slow
def test_only_what_is_asked_for_is_drawn_in_the_formats_asked_for(grid, tmp_path):
    page = report(grid, tmp_path, figures="payoffs,pareto", formats=["pdf", "svg"], width="single")
    drawn = {p.name for p in tmp_path.iterdir()} - {"outcomes.csv", "report.html"}
    kinds = ("csv", "pdf", "svg")
    assert drawn == {f"{name}.{kind}" for name in ("payoffs", "pareto") for kind in kinds}
    assert "--figures payoffs,pareto --format pdf,svg --width single" in page.read_text()
    assert b"%PDF" in (tmp_path / "payoffs.pdf").read_bytes()[:8]
    before = (tmp_path / "payoffs.pdf").read_bytes()
    report(grid, tmp_path, figures="payoffs", formats="pdf", width="single")
    assert (tmp_path / "payoffs.pdf").read_bytes() == before


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"figures": "payofs"}, "--figures payofs: no such figure; did you mean 'payoffs'?"),
        ({"formats": "gif"}, "--format gif: no such format; known: png, svg, pdf"),
        ({"width": "wide"}, "--width wide: no such width; known: single, double"),
    ],
)
def test_a_wrong_choice_is_one_line(grid, tmp_path, wrong, message):
    with pytest.raises(RunError) as error:
        report(grid, tmp_path, **wrong)
    assert str(error.value) == message


# --- the answer ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answered(grid, tmp_path_factory):
    """The grid with an objective; how a sweep is read is no part of what is run."""
    folder = tmp_path_factory.mktemp("answered")
    shutil.copytree(grid.folder, folder / "sweep")
    file = folder / "sweep" / "sweep.json"
    read = {
        "scorecard": {
            "mechanism": "mechanism",
            "objective": {"measure": "adversary_utility", "best": "min"},
        },
        "labels": {"levels": {"mechanism": {"slashed": "with stakes"}}},
    }
    resealed(file, lambda header: header["spec"].update(read))
    return Results.open(folder / "sweep")


@pytest.mark.slow
def test_the_page_leads_with_the_answer_and_the_figure_that_shows_it(answered, tmp_path):
    text = report(answered, tmp_path, figures="payoffs,accuracy-curves").read_text()
    order = [
        text.index(part)
        for part in (
            "<h2>Answer</h2>", "with stakes wins, ahead of vbfl by", "paired by seed",
            "Ranking by adversary_utility, worst attack",
            "This rests on 12 of 12 runs with 2 seeds", "<figure", "<h2>Ranking",
            "<h2>Scorecard: learning", "<h2>Other figures", "<h2>Outcomes", "<h2>Factors",
        )
    ]  # fmt: skip
    assert order == sorted(order)


def test_the_winner_is_drawn_first(answered, tmp_path):
    order = answer_of(answered).order
    assert order == {"mechanism": ["slashed", "vbfl"]}
    look = Look(answered.labels, order)
    assert look.levels(ordered(answered, answered.runs())["mechanism"]) == ["slashed", "vbfl"]
    many = pd.Series(pd.Categorical(list("abcdefgh"), list("abcdefgh"), ordered=True), name="m")
    frame = pd.DataFrame({"m": many})
    notes = []
    kept = keep(frame, "m", 3, Look(first={"m": list("hgf")}), notes)
    assert kept["m"].tolist() == list("fgh")


def test_tables_of_the_scorecard_fit_a_page(answered):
    table = compare(answered).table
    parts = scorecard_parts(table, answered.labels)
    assert len(parts) == 3
    shown = set()
    for part in parts:
        assert len(part.table.columns) <= 10
        assert set(part.legend) <= set(part.table.columns)
        assert set(part.table.columns) - set(part.legend) == {"mechanism", "attack"}
        shown |= set(part.legend)
    assert {"accuracy", "advantage", "gini"} <= shown


def test_levels_with_commas_are_quoted(grid):
    plan = grid.runs().replace("noise", "noise, 3 of 20")
    other = Results.open(grid.folder)
    other.runs = lambda: plan
    assert factors(other)["which"].tolist()[-1] == "nobody, “noise, 3 of 20”, flip"
