"""What a user has in Python: a summary, progress, a view of the run while it is played."""

import inspect
import io
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from typer.testing import CliRunner

import fedstake as fs
from experiments import progress
from experiments.cli import app
from experiments.summary import GroupUtility
from experiments.view import RunView
from tests.conftest import TINY

DOCS = Path(__file__).parents[2] / "docs" / "how-to"


@pytest.fixture(scope="module")
def played(tiny, tmp_path_factory):
    """A tiny run with two free-riders, and what `on_start` and `on_round` saw of it."""
    groups = [{"name": "idle", "count": 2, "worker": "free-ride-zero"}]
    seen = []

    def look(view):
        seen.append(
            {
                "repr": repr(view),
                "scenario": view.scenario,
                "round_index": view.round_index,
                "time_s": view.time_s,
                "last": view.last,
                "balances": view.balances,
                "table": view.table("participants"),
                "journal": view.table("journal"),
                "world": view.world,
            }
        )

    scenario = tiny(adversaries=groups)
    place = tmp_path_factory.mktemp("python") / "run"
    result = fs.run(scenario, place, on_start=look, on_round=look)
    return result, seen


# --- summary ----------------------------------------------------------------------------------


def test_a_summary_is_what_the_command_prints(played):
    result, _ = played
    shown = CliRunner().invoke(
        app, ["run", str(result.path / "scenario.toml"), "--out", str(result.path)]
    )
    assert repr(result.summary()) in shown.output
    assert shown.output.startswith("already recorded")


def test_a_summary_says_what_the_tables_say(played):
    result, _ = played
    summary = result.summary()
    assert summary.title == "vbfl, seed 0"
    assert summary.values["final accuracy"] == f"{result.rounds['accuracy'].iloc[-1]:.3f}"
    rejected, accepted = result.rounds[["rejected_honest", "accepted_honest"]].sum()
    share = f"{rejected} of {rejected + accepted} ({rejected / (rejected + accepted) * 100:.1f} %)"
    assert summary.values["honest updates rejected"] == share
    people = result.participants.groupby(["group", "device"], observed=True)["utility"].sum()
    expected = people.groupby("group", observed=True).agg(["count", "mean", "min", "max"])
    for found in summary.utilities:
        assert found[1:] == pytest.approx(expected.loc[found.group].tolist())
    assert [u.group for u in summary.utilities] == ["honest", "idle"]


def test_a_summary_is_text_of_80_columns_html_and_frames(played):
    summary = played[0].summary()
    assert max(map(len, repr(summary).splitlines())) <= 80
    html = summary._repr_html_()
    assert html.count("<table>") == 2
    assert all(name in html for name in ("final accuracy", "idle", "utility per device"))
    assert summary.frame()["value"].tolist() == list(summary.values.values())
    assert summary.utility_frame()["devices"].tolist() == [6, 2]


def test_a_long_value_is_folded_and_a_name_is_literal():
    values = {"ran with less": "; ".join(["krum: f = 0, not 3, in 3 of 3 rounds"] * 5)}
    utility = GroupUtility("<b>\x1b[31m", 2, 1.5, 1.0, 2.0)
    summary = fs.Summary("a <title>", values, [utility], "STAKE")
    assert max(map(len, repr(summary).splitlines())) <= 80
    assert "\x1b" not in repr(summary)
    assert "<b>" not in summary._repr_html_()
    assert "a &lt;title&gt;" in summary._repr_html_()


def test_samples_that_nobody_uses_are_a_line_of_the_summary(tmp_path):
    few = {
        "rounds": 1,
        "training.epochs": 1,
        "data.partition": "shards",
        "data.shards_per_device": 30,
        "data.validation_fraction": 0.2,
    }
    result = fs.run(fs.load_scenario("digits-quick", few), tmp_path / "run")
    assert result.summary().values["training samples left over"] == "550 of 1,438 (38.2 %)"


def test_reprs_say_name_seed_and_accuracy(played):
    result, _ = played
    accuracy = result.summary().values["final accuracy"]
    assert (
        repr(result)
        == f"RunResult({str(result.path)!r}: vbfl, seed 0, 3 rounds, accuracy {accuracy})"
    )
    assert accuracy in result._repr_html_()
    assert result.incidents.columns.tolist()[:2] == ["round", "time_s"]


def test_a_damaged_run_has_a_repr_all_the_same(played, tmp_path):
    (tmp_path / "rounds.parquet").write_bytes(b"none")
    broken = fs.RunResult(tmp_path)
    assert "cannot be read" in repr(broken)
    assert "cannot be read" in broken._repr_html_()


# --- a view of the run ------------------------------------------------------------------------


def test_a_view_shows_each_round(played):
    result, seen = played
    assert [s["round_index"] for s in seen] == [0, 1, 2, 3]
    assert seen[0]["last"] == {}
    assert seen[0]["table"].empty
    for s in seen[1:]:
        row = result.rounds.iloc[s["round_index"] - 1]
        assert s["last"]["accuracy"] == row["accuracy"]
        assert s["time_s"] == row["end_s"] == s["last"]["end_s"]
        people = result.participants
        rows = people[people["round"] <= s["round_index"]]
        assert s["table"].astype(object).equals(rows.astype(object))
        now = people[people["round"] == s["round_index"]]
        assert s["balances"] == dict(zip(now["device"], now["balance"], strict=True))
    assert seen[-1]["scenario"] == result.scenario
    assert seen[-1]["journal"].astype(object).equals(result.journal.astype(object))
    assert seen[2]["repr"] == "RunView(vbfl, seed 0: round 2 of 3)"


def test_every_documented_name_of_a_view_is_tested(played):
    names = {name for name in vars(RunView) if not name.startswith("_")}
    assert names == played[1][0].keys() - {"repr", "journal"}
    assert all(vars(RunView)[name].__doc__ for name in names)


def test_the_page_has_every_name_of_a_view():
    page = (DOCS / "follow-a-run.md").read_text()
    explained = set(re.findall(r"^\| `(\w+)(?:\(name\))?` \|", page, re.MULTILINE))
    names = {name for name in vars(RunView) if not name.startswith("_")}
    assert names <= explained


def test_the_page_has_the_signatures_of_pools_and_stakes():
    page = (DOCS / "hold-pools-and-stakes.md").read_text()
    for name in ("accounts", "open", "members", "locked", "close"):
        method = getattr(fs.PayoutRule, name)
        signature = str(inspect.signature(method)).replace("'", "").replace("|", "\\|")
        assert f"| `{name}{signature}` |" in page


def test_a_view_names_the_tables_that_there_are(tiny, tmp_path):
    def look(view):
        view.table("nothing")

    with pytest.raises(fs.RunError, match=r"no table 'nothing'; it records .*participants"):
        fs.run(tiny(), tmp_path / "run", on_start=look)


def test_watching_changes_nothing(played, tiny, tmp_path):
    result, _ = played
    again = fs.run(result.scenario, tmp_path / "run")
    assert again.digest() == result.digest()


# --- progress ---------------------------------------------------------------------------------


@pytest.fixture
def terminal(monkeypatch):
    """A stderr that is a terminal, or none; what is printed there."""

    def open_one(watched):
        file = io.StringIO()
        fresh = Console(file=file, force_terminal=watched, width=80)
        monkeypatch.setattr(progress, "err_console", fresh)
        return file

    return open_one


def steps(asked):
    with progress.progress("task", 20, asked=asked) as tell:
        for done in range(1, 21):
            tell(done)


@pytest.mark.parametrize(
    ("watched", "asked", "shown"),
    [
        (False, None, False),
        (False, True, True),
        (True, None, True),
        (True, False, False),
    ],
)
def test_progress_is_shown_where_somebody_watches_or_asks(terminal, watched, asked, shown):
    file = terminal(watched)
    steps(asked)
    assert bool(file.getvalue()) == shown
    if shown and not watched:
        lines = file.getvalue().splitlines()
        assert lines[0].startswith("task: 2/20")
        assert lines[-1] == "task: 20/20"
        assert len(lines) == 10


def test_progress_calls_a_function(terminal):
    file, calls = terminal(True), []
    steps(lambda done, total: calls.append((done, total)))
    assert calls == [(n, 20) for n in range(1, 21)]
    assert file.getvalue() == ""


def test_progress_of_another_kind_is_refused():
    with pytest.raises(TypeError, match="progress = 'yes': must be True, False, None"):
        steps("yes")


def test_progress_in_a_notebook_is_one_line_that_changes(terminal, monkeypatch):
    file, shown = terminal(False), []
    handle = SimpleNamespace(update=lambda line: shown.append(line))

    def display(line, display_id):
        assert display_id
        shown.append(line)
        return handle

    kernel = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: kernel))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    steps(None)
    assert repr(shown[-1]) == "task: 20/20"
    assert shown[-1]._repr_html_() == '<progress value="20" max="20"></progress> task: 20/20'
    assert len(shown) == 21
    assert file.getvalue() == ""


def test_run_and_sweep_take_progress(tiny, tmp_path):
    calls = []
    fs.run(tiny(), tmp_path / "run", progress=lambda *n: calls.append(n))
    assert calls == [(1, 3), (2, 3), (3, 3)]
    calls.clear()
    spec = {"name": "s", "scenario": "vbfl", "set": TINY | {"rounds": 1}, "seeds": 2}
    receipts = []
    options = {"workers": 1, "progress": lambda *n: calls.append(n)}
    fs.sweep(spec, tmp_path / "s", on_receipt=receipts.append, **options)
    assert calls == [(1, 2), (2, 2)]
    assert len(receipts) == 2
    shown = fs.Results.open(tmp_path / "s")
    assert repr(shown) == f"Results({str(tmp_path / 's')!r}: 2 of 2 runs, factors [])"
    assert "honest_utility" in shown._repr_html_()


# --- what functions take ----------------------------------------------------------------------

READERS = {
    "report": lambda given: fs.report(given),
    "compare": lambda given: fs.compare(given),
    "compare_payouts": lambda given: fs.compare_payouts(given),
    "open_run": lambda given: fs.open_run(given),
    "Results.open": lambda given: fs.Results.open(given),
    "run(extend)": lambda given: fs.run("digits-quick", extend=given),
    "sweep(reuse)": lambda given: fs.sweep("digits-quick", seeds=1, reuse=given),
    "dry_run": lambda given: fs.dry_run(given),
    "replay_run": lambda given: fs.replay_run(given),
    "play_run": lambda given: fs.play_run(given),
}


@pytest.mark.parametrize("name", READERS)
def test_a_function_that_reads_refuses_what_has_no_folder_in_a_line(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(fs.InputError, match="must be the folder of what was recorded") as error:
        READERS[name](42)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_function_that_reads_takes_a_folder_or_what_was_opened(played, tmp_path):
    run = played[0]
    for number, given in enumerate((run, run.path, str(run.path))):
        page = fs.report(given, tmp_path / "page", figures="stakes", formats="svg")
        assert page.is_file()
        assert fs.open_run(given).run_id == run.run_id
        with pytest.warns(match="keeps no state"):
            longer = fs.run(
                run.scenario, tmp_path / f"longer-{number}", set={"rounds": 4}, extend=given
            )
        assert len(longer.rounds) == 4
        with pytest.raises(fs.RunError, match="no tape"):
            fs.compare_payouts(given)
        with pytest.raises(fs.FedstakeError, match="--token none-such"):
            fs.dry_run(given, fs.ReplayOptions(token="none-such"))
    spec = {"name": "s", "scenario": "vbfl", "set": TINY | {"rounds": 1}, "seeds": 1}
    results = fs.sweep(spec, tmp_path / "s", workers=1)
    for given in (results, results.folder, str(results.folder)):
        assert fs.Results.open(given).folder == results.folder
        assert fs.report(given, tmp_path / "page", figures="stake-fans", formats="svg").is_file()
    for number, given in enumerate((results, [results], str(results.folder))):
        again = fs.sweep(spec, tmp_path / f"s{number}", reuse=given, workers=1)
        assert (again.runs()["status"] == "done").all()


def test_a_run_takes_keys_as_a_sweep_does(tmp_path):
    short = TINY | {"rounds": 1}
    by_name = fs.run("vbfl", tmp_path / "a", set=short)
    by_scenario = fs.run(fs.load_scenario("vbfl", short), tmp_path / "b", set={"seed": 3})
    assert by_name.settings["rounds"] == 1
    assert by_scenario.settings["seed"] == 3
    with pytest.raises(fs.InputError, match="did you mean 'rounds'"):
        fs.run("vbfl", tmp_path / "c", set={"rouds": 1})
    with pytest.raises(fs.InputError, match="set is of type list: must be a table"):
        fs.run("vbfl", tmp_path / "c", set=["rounds"])


@pytest.mark.parametrize(
    "call",
    [
        lambda keys: fs.run("digits-quick", keys),
        lambda keys: fs.sweep("digits-quick", keys, seeds=1),
        lambda keys: fs.bench("flat", keys),
        lambda keys: fs.audit("flat", None, keys),
    ],
)
def test_keys_in_the_place_of_a_folder_say_what_to_write(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(fs.InputError, match=r"to change keys .* write set=\{'rounds': 3\}"):
        call({"rounds": 3})
    assert not list(tmp_path.iterdir())


def test_a_table_in_the_place_of_a_scenario_says_what_to_write():
    for call in (fs.run, fs.load_scenario, lambda keys: fs.audit("flat", keys)):
        with pytest.raises(fs.InputError, match="keys to change go into set"):
            call({"rounds": 3})
