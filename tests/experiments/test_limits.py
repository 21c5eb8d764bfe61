"""Runs that misbehave as processes are failures of their own, and nobody else's."""

import contextlib
import ctypes
import os
import signal
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments import RunFailure, ScenarioError, sweep
from experiments.cli import app
from experiments.limits import LimitError, Limits, ProcessError, in_child
from experiments.many import execute
from experiments.rundir import failed_place
from experiments.sweeps.plan import load_spec
from tests.conftest import TINY
from tests.experiments.test_sweeps import FILE, content, rule, with_rule

SHORT = Limits(timeout_s=0.2)
LONG = Limits(timeout_s=3_600)


# --- a child ------------------------------------------------------------------------------------


def stubborn(tell):
    while True:
        with contextlib.suppress(BaseException):
            sum(range(1_000))


def hungry(tell):
    held = []
    while True:
        held.append(np.ones(10_000_000))


def busy_with_another(tell):
    tell({"stage": "begun"})
    if os.fork() == 0:
        time.sleep(3_600)
    time.sleep(3_600)


@pytest.mark.parametrize(
    ("work", "limits", "error", "words"),
    [
        (lambda tell: time.sleep(3_600), SHORT, LimitError, r"took longer than 0.2 s \(timeout\)"),
        (stubborn, SHORT, LimitError, "timeout"),
        (busy_with_another, SHORT, LimitError, "timeout"),
        (lambda tell: signal.pause(), SHORT, LimitError, "timeout"),
        (hungry, Limits(memory_bytes=700_000_000), LimitError, r"more than 0.7 GB of memory"),
        (lambda tell: os._exit(3), LONG, ProcessError, "ended itself with exit code 3"),
        (lambda tell: ctypes.string_at(0), LONG, ProcessError, "was ended by SIGSEGV"),
        (lambda tell: os.abort(), LONG, ProcessError, "was ended by SIGABRT"),
        (lambda tell: os.kill(os.getpid(), signal.SIGKILL), LONG, ProcessError, "by SIGKILL"),
    ],
)
def test_what_a_child_does_to_itself_is_told(work, limits, error, words):
    report = in_child(work, limits)
    assert isinstance(report.error, error)
    with pytest.raises(error, match=words):
        raise report.error


def test_a_child_that_ends_well_has_told_everything():
    def work(tell):
        tell({"stage": "begun"})
        tell({"text": "long" * 100_000})

    report = in_child(work, LONG)
    assert report.error is None
    assert report.messages == [{"stage": "begun"}, {"text": "long" * 100_000}]


def test_where_it_was_when_it_was_ended_is_told():
    for timeout_s in (0.2, 2.0, 20.0, 200.0):  # on a busy machine it may not have begun in time
        report = in_child(busy_with_another, Limits(timeout_s=timeout_s))
        if report.messages:
            break
    assert report.messages == [{"stage": "begun"}]
    assert "in busy_with_another" in "".join(report.error.__notes__)


# --- a run --------------------------------------------------------------------------------------


def test_within_the_limits_a_run_is_the_same(tiny, tmp_path):
    scenario = tiny(rounds=1)
    outcome = execute(scenario, tmp_path / "limited" / "runs", None, LONG)
    execute(scenario, tmp_path / "free" / "runs", None)
    assert outcome.manifest["run_id"] == scenario.run_id()
    assert content(tmp_path / "limited") == content(tmp_path / "free")


@pytest.mark.parametrize(
    ("body", "limits", "error"),
    [
        ("time.sleep(3_600)", Limits(timeout_s=2), "took longer than 2 s (timeout)"),
        ("os._exit(3)", LONG, "its process ended itself with exit code 3"),
        ("raise KeyboardInterrupt", LONG, "KeyboardInterrupt"),
    ],
)
def test_a_run_over_a_limit_is_a_failure(tiny, tmp_path, body, limits, error):
    scenario = tiny(rounds=1, payout__mechanism=rule(tmp_path, "bad", body))
    outcome = execute(scenario, tmp_path / "runs", None, limits)
    assert isinstance(outcome, RunFailure)
    assert error in outcome.error
    left = {path.name for path in (tmp_path / "runs").iterdir()}
    kept = {failed_place(tmp_path / "runs" / scenario.run_id()).name}
    assert left - kept == {"failures"}, "nothing is left but what it recorded until then"


@pytest.mark.parametrize(
    "raised",
    ["KeyboardInterrupt", "GeneratorExit", "BaseException('x')", "SystemExit(0)", "MemoryError"],
)
def test_whatever_a_plug_in_raises_is_a_failure_of_its_run(tiny, tmp_path, raised):
    scenario = tiny(rounds=1, payout__mechanism=rule(tmp_path, "bad", f"raise {raised}"))
    outcome = execute(scenario, tmp_path / "runs", None)
    assert isinstance(outcome, RunFailure)
    assert outcome.stage == "round 1"
    assert raised.partition("(")[0] in outcome.error


def test_ctrl_c_is_nobody_s_failure(tiny, tmp_path, listening):
    interrupts = rule(tmp_path, "slow", "os.kill(os.getpid(), 2)\ntime.sleep(60)")
    scenario = tiny(rounds=1, payout__mechanism=interrupts)
    with pytest.raises(KeyboardInterrupt):
        execute(scenario, tmp_path / "runs", None)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not (tmp_path / "runs" / "failures").exists()


# --- a sweep ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_one_worker_survives_its_plug_ins(tmp_path):
    """Twice: failed runs are tried again, and the sweep comes to its end again."""
    exits = rule(tmp_path, "exits", "os._exit(9)")
    stops = rule(tmp_path, "stops", "raise KeyboardInterrupt")
    for _ in range(2):
        results = sweep(with_rule(exits, stops, seeds=1), tmp_path / "out", workers=1)
        assert list(results.runs()["status"]) == ["done", "failed", "failed"]
    assert list(results.failures()["stage"]) == ["process", "round 1"]


@pytest.mark.slow
def test_the_command_takes_limits_and_the_file_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    slow = rule(tmp_path, "slow", "time.sleep(3_600)")
    text = FILE.replace("seeds = 2", "seeds = 1\nmemory = 64").replace(
        '"training.learning_rate" = [0.1, 0.2]', f'"payout.mechanism" = ["{slow}"]'
    )
    (tmp_path / "slow.toml").write_text(text)
    done = CliRunner().invoke(app, ["sweep", "slow.toml", "--workers", "1", "--timeout", "1"])
    assert done.exit_code == 1, done.output
    assert "1 run: 0 reused, 0 new, 1 failed" in done.output
    assert "took longer than 1 s (timeout)" in done.output


@pytest.mark.parametrize("limit", [{"timeout": 0}, {"memory": -1}, {"timeout": "soon"}])
def test_a_wrong_limit_costs_one_line(limit):
    with pytest.raises(ScenarioError, match=next(iter(limit))):
        load_spec({"scenario": "vbfl", "set": TINY, **limit})
