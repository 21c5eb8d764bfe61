"""Figures of a run: found in their folder, drawn where their columns are, or declared by it."""

import sys
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from experiments import RunError, figures, open_run, report, run
from experiments.cli import app
from experiments.figures import returns, run_figures, sweep_figures
from experiments.figures.base import (
    ADVERSARY,
    SCREEN,
    SIGNS,
    SINGLE,
    Look,
    blank,
    canvas,
    style,
    thousands,
)
from experiments.figures.declared import MOST_LINES, MOST_ROWS, declared_figures
from experiments.figures.over_rounds import draw_curves, label_curves
from experiments.labels import labels_of
from experiments.recorded import SCHEMA_VERSION, listing
from experiments.runfiles import setting
from fedstake.outside import seal

PRICE = {
    "name": "price",
    "title": "Price <b>of</b> a model",
    "caption": "In base units; $5 & more.",
    "table": "market",
    "x": "round",
    "y": "price",
}


def record(folder, tables, charts=None, scenario='name = "by-hand"\n'):
    """Write a run directory without playing anything."""
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, columns in tables.items():
        path = folder / f"{name}.parquet"
        pq.write_table(pa.table(columns), path)
        files[path.name] = listing(path)
    (folder / "scenario.toml").write_text(scenario)
    manifest = {"schema_version": SCHEMA_VERSION, "run_id": "0" * 32, "files": files}
    manifest["scenario"] = listing(folder / "scenario.toml")
    if charts is not None:
        manifest["charts"] = charts
    (folder / "manifest.json").write_text(seal(manifest))
    return open_run(folder)


LOTTERY = {
    "rounds": {
        "round": [1, 2],
        "start_s": [0.0, 1.0],
        "end_s": [1.0, 2.5],
        "duration_s": [1.0, 1.5],
        "issued": [10, 10],
        "burned": [0, 5],
    },
    "participants": {
        "round": [1, 1, 2, 2],
        "device": [0, 1, 0, 1],
        "group": ["honest", "cheats", "honest", "cheats"],
        "adversary": [False, True, False, True],
        "role": ["player"] * 4,
        "strategy": ["honest"] * 4,
        "online": [True] * 4,
        "income": [10, 0, 5, 0],
        "utility": [10.0, 0.0, 5.0, 0.0],
        "balance": [10, 0, 15, 0],
        "locked": [0, 0, 0, 0],
    },
}
MARKET = {
    "market": {
        "round": [1, 1, 2, 2, 3, 3],
        "price": [4, 5, 6, 5, 8, 4],
        "share": [0.1, 0.2, None, 0.4, 0.5, 0.6],
        "seller": ["ann", "bob", "ann", "bob", "ann", "bob"],
        "adversary": [False, True, False, True, False, True],
        "parts": [[1], [2], [3], [4], [5], [6]],
    }
}


# --- discovery -----------------------------------------------------------------------------------


def test_the_order_of_the_report():
    assert [f.name for f in run_figures()] == [
        "accuracy", "returns", "attack-success", "groups", "stakes", "votes", "strategies",
        "block-times", "forks", "incidents",
    ]  # fmt: skip
    assert [f.name for f in sweep_figures()] == [
        "accuracy-curves", "attack-success-curves", "pareto", "labels-per-unit", "lines",
        "pool-left", "captures", "licence-income", "payoffs", "responses",
        "strategy-curves", "stake-fans", "income-distributions", "vote-scatter",
        "malformed-curves",
    ]  # fmt: skip
    for figure in (*run_figures(), *sweep_figures()):
        assert figure.needs
        assert all(figure.needs.values()), "a table without a column is never missing"


def test_a_figure_is_one_file(tmp_path, monkeypatch, tiny):
    (tmp_path / "online.py").write_text(
        "from experiments.figures.base import Figure\n"
        "FIGURE = Figure(name='online', title='Devices', caption='Who was there.',\n"
        "    needs={'rounds': ('round', 'online')},\n"
        "    data=lambda run: run.rounds[['round', 'online']],\n"
        "    draw=lambda table, axes: axes.plot(table['round'], table['online']))\n"
    )
    monkeypatch.setattr(figures, "__path__", [*figures.__path__, str(tmp_path)])
    figures._discovered.cache_clear()
    try:
        page = report(run(tiny(), tmp_path / "run"), figures="online")
        assert run_figures()[-1].name == "online"
        assert (page.parent / "online.png").is_file()
    finally:
        sys.modules.pop("experiments.figures.online", None)
        figures._discovered.cache_clear()


def test_a_protocol_with_other_columns_has_a_report(tmp_path):
    result = record(tmp_path / "run", LOTTERY)
    page = report(result)
    drawn = {p.stem for p in page.parent.glob("*.png")}
    assert drawn == {"groups", "stakes", "block-times"}
    assert result.summary().frame().to_numpy().tolist() == [
        ["net issuance", "15 base units"],
        ["simulated time", "2 s"],
    ]
    assert sorted(result.summary().utility_frame()["mean"]) == [0.0, 15.0]


@pytest.mark.parametrize("tables", [{}, {"rounds": {"round": pa.array([], pa.int64())}}, MARKET])
def test_a_run_with_nothing_known_has_a_report(tmp_path, tables):
    result = record(tmp_path / "run", tables)
    text = report(result).read_text()
    assert "<h2>Scenario" in text
    assert "<figure" not in text
    assert result.summary().frame().empty
    assert result.summary().utility_frame().empty


def test_a_figure_that_is_asked_for_and_does_not_apply_is_told(tmp_path):
    """On the page and to the caller: with another protocol's columns, and without any data."""
    result = record(tmp_path / "run", LOTTERY)
    told = []
    page = report(result, figures="forks,stakes,incidents", on_missing=told.append)
    names = {"forks", "incidents"}
    assert {line.partition("(")[2].partition(")")[0] for line in told} == names
    assert all(line.endswith("there is nothing to show.") for line in told)
    assert all(line in page.read_text() for line in told)
    told.clear()
    report(result, on_missing=told.append)
    assert told == [], "nothing was asked for by name"


def test_the_terminal_tells_what_is_not_drawn(tmp_path):
    folder = record(tmp_path / "run", LOTTERY).path
    shown = CliRunner().invoke(app, ["report", str(folder), "--figures", "forks"])
    assert shown.exit_code == 0, shown.output
    assert shown.stderr == "fedstake: Winning miners and forks (forks): there is nothing to show.\n"
    assert shown.stdout.strip() == str(folder / "report" / "report.html")


def test_a_setting_that_is_not_there_is_none():
    settings = {"validation": {"params": {"threshold": 0.1}}, "payout": "none"}
    assert setting(settings, "validation.params.threshold") == 0.1
    assert setting(settings, "validation.rule") is None
    assert setting(settings, "payout.asset") is None


# --- declared charts -----------------------------------------------------------------------------


def test_a_declared_chart_is_drawn_after_the_others(tmp_path):
    charts = [PRICE, {**PRICE, "name": "by-seller", "by": "seller"}]
    page = report(record(tmp_path / "run", {**LOTTERY, **MARKET}, charts))
    text = page.read_text()
    order = [text.index(f'<figure id="{n}"') for n in ("block-times", "price", "by-seller")]
    assert order == sorted(order)
    assert "Price &lt;b&gt;of&lt;/b&gt; a model" in text
    for name in ("price", "by-seller"):
        assert {p.suffix for p in page.parent.glob(f"{name}.*")} == {".png", ".svg", ".csv"}
    assert (page.parent / "price.csv").read_text().startswith("round,price\n1,4\n")


@pytest.mark.parametrize("kind", ["line", "step", "points", "bar"])
@pytest.mark.parametrize("by", ["", "seller", "round", "adversary"])
def test_every_kind_draws_without_a_warning(tmp_path, kind, by):
    chart = {**PRICE, "kind": kind, "by": by, "y": "share", "y_label": "share of $x$ {y_2"}
    (figure,) = declared_figures(record(tmp_path / "run", MARKET, [chart]))
    with warnings.catch_warnings(), style():
        warnings.simplefilter("error")
        sheet = canvas(figure, figure.data(None))
        sheet.draw_without_rendering()
    assert sheet.axes[0].get_ylabel() == "share of $x$ {y_2"
    shown = {t.get_text() for t in sheet.axes[0].texts}
    shown |= {t.get_text() for legend in sheet.legends for t in legend.get_texts()}
    names = {"": set(), "seller": {"ann", "bob"}, "adversary": {"honest", "adversary"}}
    assert shown == names.get(by, {"round = 1", "round = 2", "round = 3"})


def test_bars_stand_beside_each_other_on_zero(tmp_path):
    chart = {**PRICE, "kind": "bar", "by": "seller"}
    (figure,) = declared_figures(record(tmp_path / "run", MARKET, [chart]))
    with style():
        axes = canvas(figure, figure.data(None)).axes[0]
    ann, bob = ([p.vertices for p in c.get_paths()] for c in axes.collections)
    assert [v[:, 1].max() for v in ann] == [4, 6, 8]
    assert {v[:, 1].min() for v in (*ann, *bob)} == {0}
    for left, right in zip(ann, bob, strict=True):
        assert left[:, 0].max() == pytest.approx(right[:, 0].min())


def test_bars_over_names(tmp_path):
    chart = {**PRICE, "kind": "bar", "x": "seller"}
    (figure,) = declared_figures(record(tmp_path / "run", MARKET, [chart]))
    with style():
        axes = canvas(figure, figure.data(None)).axes[0]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["ann", "bob"]
    assert "hides the others" in figure.data(None).attrs["notes"][0]


def test_many_lines_and_rows_are_thinned_and_said_so(tmp_path):
    n = MOST_ROWS + 1
    table = {"round": [1] * 20 + list(range(n)), "price": [1] * (20 + n)}
    table["seller"] = [f"_s{i}$" for i in range(20)] + ["_s0$"] * n
    chart = {**PRICE, "by": "seller"}
    run_ = record(
        tmp_path / "run", {"market": table}, [chart, {**chart, "name": "p", "kind": "points"}]
    )
    text = report(run_).read_text()
    assert f"{MOST_LINES} of the 20 levels of seller are drawn" in text
    assert f"at most {MOST_ROWS:,} rows" in text
    assert len((run_.path / "report" / "price.csv").read_text().splitlines()) == 21 + n


def test_what_is_empty_is_left_out(tmp_path):
    table = {"round": [1, 2], "price": [None, None], "seller": pa.array([None, None], pa.string())}
    table["price"] = pa.array([None, None], pa.int64())
    table["volume"] = [1, 2]
    charts = [
        PRICE,
        {**PRICE, "name": "a", "y": "volume", "by": "seller", "kind": "bar"},
    ]
    text = report(record(tmp_path / "run", {"market": table}, charts)).read_text()
    assert "<figure" not in text


@pytest.mark.parametrize("kind", ["line", "points", "bar"])
def test_numbers_that_no_axis_holds_are_gaps(tmp_path, kind):
    odd = [np.inf, -np.inf, 1e308, -1e308, np.nan, 1e99, -1e99, 1e-320]
    table = {"round": odd, "price": odd[::-1]}
    report(record(tmp_path / "run", {"market": table}, [{**PRICE, "kind": kind}]))


BAD = [
    ({"charts": 1}, "charts: must be a list, not a int"),
    ({"charts": [PRICE] * 21}, "charts: 21 charts, at most 20"),
    ({"charts": ["x"]}, "chart 1: must have keys and values, not be a str"),
    ({"charts": [PRICE, PRICE]}, "chart 'price': name = 'price': another figure has this name"),
    ({"name": "stakes"}, "another figure has this name"),
    ({"name": "../x"}, "chart 1: name = '../x': must be 1 to 60 of a-z, 0-9 and -"),
    ({"name": ""}, "must be 1 to 60"),
    ({"name": "a\n"}, "must be 1 to 60"),
    ({"name": "a" * 61}, "must be 1 to 60"),
    ({"title": "a" * 121}, "121 letters, at most 120"),
    ({"colour": "red"}, "unknown key 'colour'"),
    ({"titel": "x"}, "did you mean 'title'?"),
    ({"title": None}, "the key title is missing"),
    ({"title": 5}, "title = 5: must be text"),
    ({"title": "a\x1b[31m"}, "characters that cannot be printed"),
    ({"caption": "a\u202eb"}, "characters that cannot be printed"),
    ({"kind": "pie"}, "kind = 'pie': must be one of line, step, points, bar"),
    ({"table": "../other/market"}, "this run has no such table; "),
    ({"table": "markt"}, "table = 'markt': this run has no such table; did you mean 'market'?"),
    ({"y": "prise"}, "y = 'prise': table market has no such column; did you mean 'price'?"),
    ({"y": "seller"}, "y = 'seller': the column must hold numbers"),
    ({"x": "seller"}, "x = 'seller': the column must hold numbers"),
    ({"by": "parts"}, "by = 'parts': the column must hold numbers or names"),
    ({"x": "parts", "kind": "bar"}, "x = 'parts': the column must hold numbers or names"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), BAD)
def test_a_wrong_declaration_is_one_line(tmp_path, change, message):
    charts = change.get("charts", [{k: v for k, v in (PRICE | change).items() if v is not None}])
    result = record(tmp_path / "run", {**LOTTERY, **MARKET}, charts)
    with pytest.raises(RunError) as error:
        report(result)
    line = str(error.value)
    assert line.startswith(f"{result.path / 'manifest.json'}: chart")
    if message.startswith("chart"):
        assert line == f"{result.path / 'manifest.json'}: {message}"
    assert message in line
    assert line.isprintable()
    assert not list((tmp_path / "run" / "report").glob("*.png")), "checked before anything is drawn"


def test_a_damaged_table_is_named(tmp_path):
    result = record(tmp_path / "run", MARKET, [PRICE])
    file = result.path / "market.parquet"
    file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(RunError, match=r"market\.parquet: damaged"):
        report(result)


# --- labels, amounts, small screens --------------------------------------------------------------


def labels_on(sheet):
    """The boxes of the labels at the ends of lines."""
    sheet.draw_without_rendering()
    notes = [note for axes in sheet.axes for note in axes.texts if note.get_text() in ENDS]
    return [note.get_window_extent() for note in notes]


ENDS = ("honest", "adversary", "accuracy")


def test_labels_of_lines_that_end_close_together_do_not_overlap():
    days = [0.0, 3.0] * 3
    kinds = ["honest"] * 2 + ["adversary"] * 2 + ["accuracy"] * 2
    values = [100.0, 100.5, 100.0, 100.4, 75.0, 100.3]
    market = pd.DataFrame({"days": days, "line": kinds, "kind": kinds, "percent": values})
    rounds = {"round": [1, 1, 2, 2], "device": [0, 1, 0, 1], "adversary": [False, True] * 2}
    stakes = pd.DataFrame({**rounds, "balance": [10**13, 10**13, 10**13, 10**13 + 5]})
    by_name = {figure.name: figure for figure in run_figures()}
    with style():
        for name, table, labels in (("returns", market, 3), ("stakes", stakes, 2)):
            for width in (0.0, SCREEN):
                boxes = labels_on(canvas(by_name[name], table, width))
                assert len(boxes) == labels
                for i, box in enumerate(boxes):
                    assert box.count_overlaps(boxes[i + 1 :]) == 0, name


def test_names_of_a_legend_are_whole_where_there_is_room():
    kinds = ["offers less than the price", "the last datum was added in the same second"]
    rows = [(at, kind, 3) for at in (1, 2, 3) for kind in kinds]
    table = pd.DataFrame(rows, columns=["round", "kind", "count"])
    incidents = next(figure for figure in run_figures() if figure.name == "incidents")
    with style():
        for width in (0.0, SINGLE, SCREEN):
            sheet = canvas(incidents, table, width)
            sheet.draw_without_rendering()
            (legend,) = sheet.legends
            shown = [t.get_text() for t in legend.get_texts()]
            assert [" ".join(text.split()) for text in shown] == kinds
            assert sheet.axes[0].get_ylim()[0] < 0, "a mark at nothing is whole"
            assert legend.get_window_extent().x1 <= sheet.bbox.x1


@pytest.mark.parametrize("names", [2, 8])
def test_names_of_a_legend_that_have_no_room_are_cut_and_stay_different(names):
    long = [f"{'very long words ' * 30}{i}" for i in range(names)]
    lines = {name: (pd.Series([1, 2]), pd.Series([0, i])) for i, name in enumerate(long)}
    with style():
        sheet = blank(SCREEN, 2.7)
        label_curves(sheet.add_subplot(), lines)
        sheet.draw_without_rendering()
    (legend,) = sheet.legends
    texts = [t.get_text() for t in legend.get_texts()]
    assert len(set(texts)) == names
    assert all("…" in text for text in texts)
    assert legend.get_window_extent().x1 <= sheet.bbox.x1
    assert sheet.axes[0].get_window_extent().height > 0.25 * sheet.bbox.height


def test_a_legend_of_a_sweep_has_the_whole_name():
    name = "validators vote twice, payments wait"
    labels = labels_of({"rule": [name, "b"]}).drawn()
    table = pd.DataFrame(
        [(rule, at, 0.5, 0.4, 0.6, 3) for rule in (name, "b") for at in (1, 2)],
        columns=["rule", "round", "mean", "low", "high", "seeds"],
    ).astype({"rule": "category"})
    with style():
        sheet = draw_curves(table, Look(labels), label="accuracy").canvas
    (legend,) = sheet.legends
    assert {" ".join(t.get_text().split()) for t in legend.get_texts()} == {name, "b"}


def test_long_names_of_declared_lines_stand_above_them_whole(tmp_path):
    seller = "a seller whose name is rather long"
    table = {**MARKET["market"], "seller": [seller, "bob"] * 3}
    chart = {**PRICE, "by": "seller"}
    (figure,) = declared_figures(record(tmp_path / "run", {"market": table}, [chart]))
    with style():
        sheet = canvas(figure, figure.data(None))
    (legend,) = sheet.legends
    assert [" ".join(t.get_text().split()) for t in legend.get_texts()] == [seller, "bob"]


GROUPS = {"honest": 101.0, "bad": 94.0, "sybils": 94.2, "long group of racers": 100.8}


def market_table():
    """Two contributors of each group that end within eight per cent of the start."""
    rows = [
        (day, f"{name} {device}", "honest" if name == "honest" else "adversary", value)
        for name, last in GROUPS.items()
        for device in (0, 1)
        for day, value in ((0.0, 100.0), (3.0, last), (6.0, last))
    ]
    rows += [(day, "accuracy", "accuracy", 90.0 + day / 6) for day in (0.0, 6.0)]
    rows += [(day, ray := "trained on all data", ray, 92.0) for day in (0.0, 6.0)]
    return pd.DataFrame(rows, columns=["days", "line", "kind", "percent"])


def test_groups_of_a_market_are_told_apart_and_named_at_their_ends():
    with style():
        for width in (0.0, SCREEN):
            sheet = canvas(returns.FIGURE, market_table(), width)
            sheet.draw_without_rendering()
            (axes,) = sheet.axes
            shown = [t for t in axes.texts if t.get_text()]
            boxes = [t.get_window_extent() for t in shown]
            names = [t.get_text().lstrip("".join(SIGNS)).strip() for t in shown]
            assert sorted(names) == sorted([*GROUPS, "accuracy", "trained on all data"])
            assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
            orange = [line for line in axes.lines if line.get_color() == ADVERSARY]
            looks = {(str(line.get_linestyle()), line.get_marker()) for line in orange}
            assert len(looks) == 3, "one for each group of adversaries"
            low, high = axes.get_ylim()
            assert 85 < low < 90
            assert 101 < high < 105


def test_the_start_of_balances_is_always_in_view():
    table = market_table().assign(percent=20.0)
    low, high = returns.limits_of(table)
    assert low < 20 < 100 < high
    assert returns.limits_of(table.assign(percent=0.0))[0] == 0, "no balance is below nothing"
    assert returns.limits_of(table.assign(percent=100.0)) == (95, 105)


@pytest.mark.parametrize(
    ("value", "text"),
    [(12_000, "12,000"), (-1.5e6, "−1.5 M"), (8e10, "80 bn"), (1.25e13, "12,500 bn"), (0.0, "0")],
)
def test_large_amounts_have_room(value, text):
    assert thousands(value) == text


def test_slices_of_time_are_no_durations(tmp_path):
    """Of a market the length of a slice is given: only the last one lasts until all is done."""
    rounds = {"round": [1, 2, 3], "start_s": [0.0, 9.0, 18.0], "end_s": [9.0, 18.0, 30.0]}
    durations = next(figure for figure in run_figures() if figure.name == "block-times")
    for lengths, rows in (([9.0, 9.0, 12.0], 0), ([9.0, 8.0, 12.0], 3)):
        result = record(tmp_path / str(rows), {"rounds": {**rounds, "duration_s": lengths}})
        assert len(durations.data(result)) == rows


def test_no_panel_is_left_out_on_a_small_screen():
    table = pd.DataFrame(
        [
            (rule, attack, at, 0.5, 0.4, 0.6, 3)
            for rule in ("a rule with a long name", "b", "c")
            for attack in ("x", "y", "z")
            for at in (1, 2)
        ],
        columns=["rule", "attack", "round", "mean", "low", "high", "seeds"],
    )
    table = table.assign(color="one").astype(dict.fromkeys(["rule", "attack", "color"], "category"))
    table = table[["color", "rule", "attack", "round", "mean", "low", "high", "seeds"]]
    with style():
        wide = draw_curves(table, Look(), label="accuracy").canvas
        small = draw_curves(table, Look(width=SCREEN, stacked=True), label="accuracy").canvas
        small.draw_without_rendering()
    assert [len(sheet.axes) for sheet in (wide, small)] == [9, 9]
    lefts = {round(axes.get_position().x0, 3) for axes in small.axes}
    assert len(lefts) == 1, "one below the other"
    for axes in small.axes:
        assert axes.title.get_window_extent().x1 <= small.bbox.x1


def test_cells_of_a_matrix_have_numbers_on_a_small_screen():
    rows = [
        (who, rule, attack, sign * 4.9e10)
        for who, sign in (("honest", 1), ("adversary", -1))
        for rule in ("the same, clock of each", "free", "points", "deposits", "flat")
        for attack in ("nobody", "bad", "griefer", "label-flip")
    ]
    table = pd.DataFrame(rows, columns=["who", "rule", "attack", "utility"])
    table = table.astype({"rule": "category", "attack": "category"})
    payoffs = next(figure for figure in sweep_figures() if figure.name == "payoffs")
    with style():
        sheet = payoffs.draw(table, Look(width=SCREEN, stacked=True)).canvas
    for axes in sheet.axes:
        assert axes.get_title(loc="left").endswith("in billions")
        assert {text.get_text() for text in axes.texts} <= {"49.0", "−49.0"}
