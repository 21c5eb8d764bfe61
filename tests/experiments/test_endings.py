"""How runs end before their end: a failure keeps what was recorded, SIGTERM what was played."""

import os
import signal

import pytest
from typer.testing import CliRunner

from experiments import RunError, load_scenario, open_run, report, run, sweep
from experiments.cli import app
from experiments.limits import Limits, ProcessError, in_child
from experiments.reports import open_recorded
from experiments.rundir import failed_place
from fedstake.errors import KEPT
from mechanisms.failures import PluginFailedError
from sim.protocols.vbfl.game import VbflGame
from tests.conftest import TINY
from tests.experiments.test_sweeps import asked, content, rule, with_rule

LONG = Limits(timeout_s=3_600)
TWICE = 'with open(HERE / "settled", "a") as file: file.write("x")\n'
"""Counts how often blocks were settled, over all processes."""
IN_ROUND_2 = TWICE + 'if (HERE / "settled").stat().st_size == 2: '


def tiny_file(tmp_path, mechanism):
    """The file of a tiny scenario with a rule."""
    import tomli_w

    file = tmp_path / "tiny.toml"
    scenario = load_scenario("vbfl", {**TINY, "payout.mechanism": mechanism})
    file.write_text(tomli_w.dumps(scenario.to_dict()))
    return str(file)


def fedstake(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


# --- failures -----------------------------------------------------------------------------------


def test_a_run_that_fails_keeps_its_journal_and_a_report_shows_it(tiny, tmp_path):
    bad = rule(tmp_path, "bad", IN_ROUND_2 + "raise KeyError('missing')")
    scenario = tiny(payout__mechanism=bad, payout__initial_balance=5)
    with pytest.raises(PluginFailedError) as raised:
        run(scenario, tmp_path / "run")
    kept = tmp_path / "run.failed"
    assert raised.value.__notes__ == [f"{KEPT}{kept}"]
    assert not (tmp_path / "run").exists()
    failed = open_recorded(kept)
    assert failed.failed["stage"] == "round 2"
    assert "bad.py" in failed.failed["error"]
    assert failed.failed["error"].endswith("KeyError: 'missing'")
    assert failed.rounds["round"].tolist() == [1]
    assert failed.journal["amount"].tolist() == [5] * 8
    assert (
        "failed in round 2: bad.py"
        in report(failed, tmp_path / "page", figures="accuracy").read_text()
    )
    with pytest.raises(RunError, match=r"run\.failed: its run failed; `fedstake report` shows"):
        open_run(kept)


def test_the_command_says_where_it_is_and_what_ends_well_leaves_nothing(tmp_path):
    file = tiny_file(tmp_path, rule(tmp_path, "bad", IN_ROUND_2 + "raise KeyError('missing')"))
    done = fedstake("run", file, "--out", tmp_path / "run")
    assert done.exit_code == 1
    assert done.output.strip().endswith(f"KeyError: 'missing'; {KEPT}{tmp_path / 'run.failed'}")
    assert fedstake("run", file, "--out", tmp_path / "run").exit_code == 0, "the third settlement"
    assert not failed_place(tmp_path / "run").exists()


def test_nobody_s_folder_is_replaced_and_an_error_of_the_caller_keeps_nothing(tiny, tmp_path):
    bad = rule(tmp_path, "bad", "raise KeyError('missing')")
    (tmp_path / "run.failed").mkdir()
    (tmp_path / "run.failed" / "thesis.txt").write_text("mine")
    with pytest.raises(PluginFailedError):
        run(tiny(payout__mechanism=bad), tmp_path / "run")
    assert [p.name for p in (tmp_path / "run.failed").iterdir()] == ["thesis.txt"]

    def stop(world):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        run(tiny(), tmp_path / "other", on_round=stop)
    assert not failed_place(tmp_path / "other").exists()


def test_a_sweep_says_which_failed_runs_are_kept(tmp_path, monkeypatch):
    original = VbflGame.begin_round

    def crash(self):
        original(self)
        if self.clock.round == 2:
            raise RuntimeError("boom")

    spec = asked(seeds=1, design=[], set={**TINY, "rounds": 2})
    with monkeypatch.context() as patched:
        patched.setattr(VbflGame, "begin_round", crash)
        failures = sweep(spec, tmp_path / "out", workers=1).failures()
    (kept,) = failures["kept"]
    assert open_recorded(kept).rounds["round"].tolist() == [1]
    results = sweep(spec, tmp_path / "out", workers=1)
    assert list(results.runs()["status"]) == ["done"]
    assert not os.path.exists(kept)


# --- SIGTERM ------------------------------------------------------------------------------------


def test_sigterm_keeps_a_checkpoint_and_ends_with_143(tmp_path):
    ends = rule(tmp_path, "ends", IN_ROUND_2 + "os.kill(os.getpid(), 15)")
    file = tiny_file(tmp_path, ends)
    done = fedstake("run", file, "--out", tmp_path / "run")
    assert done.exit_code == 143, done.output
    assert "interrupted after round 1; the same command goes on from round 2" in done.output
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    done = fedstake("run", file, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert open_run(tmp_path / "run").manifest["resumed"]


def test_in_python_the_process_ends_by_sigterm_as_it_would_have(tiny, tmp_path):
    ends = rule(tmp_path, "ends", IN_ROUND_2 + "os.kill(os.getpid(), 15)")
    scenario = tiny(payout__mechanism=ends)
    report = in_child(lambda tell: run(scenario, tmp_path / "run"), LONG)
    assert isinstance(report.error, ProcessError)
    assert "SIGTERM" in str(report.error)
    assert (tmp_path / "run.checkpoint").is_dir()
    assert run(scenario, tmp_path / "run").manifest["resumed"]


@pytest.mark.slow
def test_a_worker_of_a_sweep_that_is_ended_keeps_a_checkpoint(tmp_path):
    ends = rule(tmp_path, "ends", IN_ROUND_2 + "os.kill(os.getpid(), 15)")
    spec = with_rule(ends, seeds=1, set={**TINY, "rounds": 2})
    results = sweep(spec, tmp_path / "out", workers=1)
    assert list(results.runs()["status"]) == ["done", "failed"], "its process died"
    results = sweep(spec, tmp_path / "out", workers=1)
    assert list(results.runs()["status"]) == ["done", "done"]
    last = results.run(results.runs()["run_id"].iloc[1])
    assert last.manifest["resumed"]


# --- limits -------------------------------------------------------------------------------------


def test_run_and_compare_take_limits(tiny, tmp_path):
    file = tiny_file(tmp_path, rule(tmp_path, "slow", "time.sleep(3_600)"))
    for option, value, words in (
        ("--timeout", "0.5", r"took longer than 0.5 s (timeout)"),
        ("--memory", "0.001", r"took more than 0.001 GB of memory (memory)"),
    ):
        done = fedstake("run", file, "--out", tmp_path / "run", option, value)
        assert done.exit_code == 1, done.output
        assert words in done.output.splitlines()[-1]
        done = fedstake("run", file, option, "-1")
        assert done.exit_code == 2
        assert f"{option} -1: must be a number above 0" in done.output
    taped = run(tiny(rounds=1, record__tape=True), tmp_path / "taped").path
    done = fedstake("compare", taped, "--memory", "0.001")
    assert done.exit_code == 1
    assert "taped: took more than 0.001 GB of memory" in done.output


def test_within_the_limits_a_command_is_the_same(tmp_path):
    file = tiny_file(tmp_path, "flat")
    for name, options in (("free", ()), ("limited", ("--timeout", "3600"))):
        done = fedstake("run", file, "--out", tmp_path / name / "runs" / "x", *options)
        assert done.exit_code == 0, done.output
    assert content(tmp_path / "free") == content(tmp_path / "limited")
    done = fedstake("compare", tmp_path / "free" / "runs" / "x", "--timeout", "3600")
    assert done.exit_code == 2, "the exit code of the work"
