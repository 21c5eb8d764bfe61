"""Checkpoints: what they cost, what an interrupted run keeps, and what it says of it."""

import gzip
import json
import math
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from experiments import checkpoint, playing, run, sweep
from experiments.cli import app
from experiments.progress import Nowhere, Tell
from experiments.rundir import alive
from fedstake.errors import FedstakeWarning, Interrupted
from sim.protocols.vbfl.protocol import Vbfl
from sim.world import World
from tests.conftest import TINY


def digests(result):
    return {name: file["sha256"] for name, file in result.manifest["files"].items()}


def size(path):
    return sum(file.stat().st_size for file in path.iterdir())


def interrupt_in(monkeypatch, round):
    """Let Ctrl-C come in the middle of a round, when others have moved money already."""
    original = Vbfl.play_round

    def play_round(self):
        original(self)
        if self.kernel.clock.round == round:
            raise KeyboardInterrupt

    monkeypatch.setattr(Vbfl, "play_round", play_round)


# --- cost -----------------------------------------------------------------------------------------


def test_a_checkpoint_costs_what_is_new_since_the_one_before(tiny, tmp_path):
    world = World(tiny(rounds=40, adversaries__0__count=2))
    kept = checkpoint.Checkpoints(world.kernel.scenario, tmp_path / "kept")
    sizes, logs = [], []
    for _ in range(40):
        world.step()
        kept.note(world)
        kept.write()
        sizes.append(size(checkpoint.newest(world.kernel.scenario, tmp_path / "kept")))
        (log,) = (tmp_path / "kept").glob("*-log-*")
        logs.append(log.stat().st_size)
    world.close()
    assert sizes[-1] < 1.1 * sizes[4], "what is written whole does not grow with the rounds"
    first, last = logs[19] - logs[9], logs[39] - logs[29]
    assert last < 1.3 * first, "ten rounds add as much to the log, early or late"


def test_what_is_noted_is_never_noted_again(tiny, tmp_path):
    world = World(tiny(rounds=4))
    kept = checkpoint.Checkpoints(world.kernel.scenario, tmp_path / "kept")
    for _ in range(4):
        world.step()
        kept.note(world)
    kept.write()
    (log,) = (tmp_path / "kept").glob("*-log-*")
    lines = [json.loads(line) for line in gzip.decompress(log.read_bytes()).splitlines()]
    assert [[row[0] for row in line["rounds"]] for line in lines] == [[1], [2], [3], [4]]
    entries = [tuple(entry) for line in lines for entry in line["journal"]]
    assert entries == [*world.kernel.treasury.ledger.journal]
    world.close()


# --- when a checkpoint is written decides nothing -------------------------------------------------


@pytest.mark.parametrize(("every_s", "every"), [(0.0, 0), (math.inf, 2), (math.inf, 0)])
def test_results_do_not_depend_on_checkpoints(tiny, tmp_path, monkeypatch, every_s, every):
    whole = run(tiny(rounds=5), tmp_path / "whole")
    monkeypatch.setattr(playing, "CHECKPOINT_S", every_s)
    seen = []
    result = run(
        tiny(rounds=5),
        tmp_path / "run",
        checkpoint_every=every,
        on_round=lambda world: seen.append((tmp_path / "run.checkpoint").is_dir()),
    )
    assert any(seen) == (every_s == 0 or every > 0)
    assert digests(result) == digests(whole)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run", "whole"], "none is left"


@pytest.mark.parametrize("preset", ["vbfl", "fedavg", "coordinator"])
def test_interrupted_within_any_round_it_goes_on_to_the_same_bytes(
    tiny, tmp_path, monkeypatch, preset
):
    scenario = tiny(preset, rounds=4)
    whole = run(scenario, tmp_path / "whole")
    for done in (1, 2, 3):

        def stop(world, done=done):
            if world.round_index == done:
                raise KeyboardInterrupt

        with pytest.raises(Interrupted, match=rf"after round {done}; .* from round {done + 1}"):
            run(scenario, tmp_path / "run", on_round=stop)
    began = []
    result = run(scenario, tmp_path / "run", on_start=lambda world: began.append(world.round_index))
    assert began == [3]
    assert result.manifest["resumed"]
    assert digests(result) == digests(whole)
    assert not (tmp_path / "run.checkpoint").exists()


def test_the_round_in_progress_is_not_finished(tiny, tmp_path, monkeypatch):
    whole = run(tiny(), tmp_path / "whole")
    with monkeypatch.context() as patched:
        interrupt_in(patched, 3)
        with pytest.raises(Interrupted, match=r"after round 2; .* goes on from round 3"):
            run(tiny(), tmp_path / "run")
        with pytest.raises(Interrupted, match=r"after round 2; .* goes on from round 3"):
            run(tiny(), tmp_path / "run")
    assert digests(run(tiny(), tmp_path / "run")) == digests(whole)


def test_what_is_said_is_true(tiny, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        interrupt_in(patched, 1)
        with pytest.raises(Interrupted, match=r"before the end of round 1; .* begins again"):
            run(tiny(), tmp_path / "run")
        assert list(tmp_path.iterdir()) == []
    with monkeypatch.context() as patched:
        interrupt_in(patched, 3)
        with pytest.raises(Interrupted, match="after round 2; the same command without --force"):
            run(tiny(), tmp_path / "run", force=True)
    began = []
    run(tiny(), tmp_path / "run", on_start=lambda world: began.append(world.round_index))
    assert began == [2]


def test_force_begins_again_and_forgets_the_checkpoints(tiny, tmp_path):
    world = World(tiny())
    world.step()
    checkpoint.save(world, tmp_path / "run.checkpoint")
    world.close()
    began = []
    run(tiny(), tmp_path / "run", force=True, on_start=lambda w: began.append(w.round_index))
    assert began == [0]
    assert not (tmp_path / "run.checkpoint").exists()


# --- disks and other processes --------------------------------------------------------------------


def full(*_):
    raise OSError(28, "No space left on device")


def test_a_disk_that_is_full_costs_the_checkpoint_and_not_the_run(tiny, tmp_path, monkeypatch):
    whole = run(tiny(), tmp_path / "whole")
    monkeypatch.setattr(os, "fsync", full)

    def space_again(world):
        if world.round_index == 2:
            monkeypatch.undo()

    with pytest.warns(FedstakeWarning, match=r"run\.checkpoint: No space left .* the run goes on"):
        result = run(tiny(), tmp_path / "run", checkpoint_every=1, on_round=space_again)
    assert digests(result) == digests(whole)
    assert not (tmp_path / "run.checkpoint").exists()


def test_ctrl_c_on_a_full_disk_says_that_nothing_was_kept(tiny, tmp_path, monkeypatch):
    interrupt_in(monkeypatch, 2)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Interrupted, match=r"after round 1, which could not be kept \(.*No space"):
        run(tiny(), tmp_path / "run")


def test_what_a_failed_attempt_left_in_the_log_is_written_over(tiny, tmp_path):
    scenario = tiny()
    world = World(scenario)
    kept = checkpoint.Checkpoints(scenario, tmp_path / "kept")
    for _ in range(2):
        world.step()
        kept.note(world)
        kept.write()
        (log,) = (tmp_path / "kept").glob("*-log-*")
        with log.open("ab") as file:
            file.write(b'{"rounds": [[')
    checkpoint.resume(scenario, tmp_path / "kept").close()
    world.step()
    kept.note(world)
    kept.write()
    world.close()
    lines = gzip.decompress(log.read_bytes()).splitlines()
    assert [len(json.loads(line)["rounds"]) for line in lines] == [1, 1, 1]


def test_a_damaged_log_is_told_and_never_gets_into_a_result(tiny, tmp_path):
    scenario = tiny()
    world = World(scenario)
    kept = checkpoint.Checkpoints(scenario, tmp_path / "run.checkpoint")
    for _ in range(2):
        world.step()
        kept.note(world)
        kept.write()
        ends = kept._log.size
    world.close()
    (log,) = (tmp_path / "run.checkpoint").glob("*-log-*")
    body = bytearray(log.read_bytes())
    body[ends - 10] ^= 1
    log.write_bytes(bytes(body))
    with pytest.warns(checkpoint.DamagedCheckpointWarning, match="going on from round 1"):
        checkpoint.resume(scenario, tmp_path / "run.checkpoint").close()


def test_a_log_of_another_process_stays_until_that_process_has_ended(tiny, tmp_path):
    scenario = tiny()
    folder = tmp_path / "run.checkpoint"
    folder.mkdir()
    other = folder / f"{scenario.run_id()[:12]}-log-{os.getppid()}-00000000"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    stale = folder / f"{scenario.run_id()[:12]}-log-{ended.pid}-00000000"
    for log in (other, stale):
        log.write_text("{}")
    run(scenario, tmp_path / "run", checkpoint_every=1)
    assert other.exists()
    assert not stale.exists()


def test_a_process_whose_log_was_deleted_begins_another(tiny, tmp_path):
    """Two processes play one run, and the first that ends cleans up."""
    scenario = tiny()
    whole = run(scenario, tmp_path / "whole")

    def clean(world):
        if world.round_index == 1:
            (tmp_path / "run.checkpoint").rename(tmp_path / "gone")
        if world.round_index == 2:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="after round 2"):
        run(scenario, tmp_path / "run", checkpoint_every=1, on_round=clean)
    assert digests(run(scenario, tmp_path / "run")) == digests(whole)


# --- the command ----------------------------------------------------------------------------------

RULE = """
import os, signal
from pathlib import Path
from fedstake import PayoutRule, Settlement
class Impatient(PayoutRule):
    name = summary = reference = "impatient"
    def settle(self, block):
        marker = Path({marker!r})
        if block.round == 3 and not marker.exists():
            marker.write_text("once")
            os.kill(os.getpid(), signal.SIGINT)
        return Settlement()
"""


@pytest.mark.slow
def test_ctrl_c_keeps_the_rounds_and_the_same_command_goes_on(tmp_path, monkeypatch):
    """The rule sends the signal itself, in its third round, once."""
    (tmp_path / "rule.py").write_text(RULE.format(marker=str(tmp_path / "marker")))
    words = [
        "run", "digits-quick", "--out", "run",
        "--set", "rounds=5", "--set", "payout.mechanism=rule.py:Impatient",
    ]  # fmt: skip
    stopped = subprocess.run(
        [sys.executable, "-m", "experiments.cli", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=listen,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert stopped.returncode == 130, stopped.stderr
    last = stopped.stderr.splitlines()[-1]
    assert last == ("fedstake: interrupted after round 2; the same command goes on from round 3"), (
        stopped.stderr
    )
    assert "Traceback" not in stopped.stderr
    monkeypatch.chdir(tmp_path)
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 0, again.output
    assert "digits-quick: goes on from round 3 of 5" in again.output
    assert sorted(p.name for p in tmp_path.iterdir()) == ["marker", "rule.py", "run"]


def listen():
    """Let Ctrl-C reach a process that a shell's background job would keep it from."""
    import signal

    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_the_time_left_counts_what_this_process_has_done(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("experiments.progress.time.monotonic", lambda: now[0])
    tell = Tell("run", 1000, None, Nowhere())
    tell.begin(900)
    now[0] += 10
    assert tell._time_left(910) == "about 90 s left"
    assert Tell("run", 1000, None, Nowhere())._time_left(0) == ""


def test_ctrl_c_in_a_sweep_says_what_is_true_of_a_sweep(tiny, tmp_path):
    spec = {"name": "s", "scenario": "vbfl", "set": TINY, "seeds": 3}

    def stop(receipt):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="1 of 3 runs ended and are kept, the same command goes"):
        sweep(spec, tmp_path / "s", workers=1, on_receipt=stop)
    ended = []
    sweep(spec, tmp_path / "s", workers=1, on_receipt=ended.append)
    assert len(ended) == 2


def test_a_process_that_nobody_has_waited_for_is_not_alive():
    """Its log would stay beside the run, as after a kill of a sweep whose workers nobody reaps."""
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert not alive(ended.pid)
    ended.wait()
    assert not alive(ended.pid)
    assert alive(os.getpid())
