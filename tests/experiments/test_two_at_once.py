"""Several processes on one folder: they wait for each other, nothing is lost, readers see it whole.

Only processes that a test started are ended, by their ids.
"""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from experiments import Results, RunError, sweep
from experiments.folders import exclusive
from experiments.sweeps.drive import Sweep
from fedstake.errors import FedstakeWarning
from tests.experiments.test_growing import FEWER
from tests.experiments.test_sweeps import content

ROOT = Path(__file__).parents[2]


def start(code, *words):
    """Run Python code that prints a line when it is ready and waits for one to begin."""
    command = [sys.executable, "-c", code, *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)


# --- the lock -----------------------------------------------------------------------------------

HOLD = """
import sys
from pathlib import Path
from experiments.folders import exclusive
with exclusive(Path(sys.argv[1]), "here", "plays"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.slow
def test_who_waits_is_told_for_whom_and_a_killed_process_holds_nothing(tmp_path):
    process = start(HOLD, tmp_path)
    try:
        assert process.stdout.readline() == "held\n"
        got = threading.Event()

        def take():
            with (
                pytest.warns(FedstakeWarning, match=f"process {process.pid} on .* plays; waiting"),
                exclusive(tmp_path, "here", "plays"),
            ):
                got.set()

        waiting = threading.Thread(target=take)
        waiting.start()
        assert not got.wait(0.2)
        process.kill()
        waiting.join()
        assert got.is_set()
    finally:
        process.kill()
        process.communicate()
    with exclusive(tmp_path, "here", "plays"):
        pass


def test_two_sweeps_at_once_play_every_run_once(tmp_path):
    found = []

    def play():
        found.append(Sweep(FEWER, tmp_path / "out").play(workers=1))

    threads = [threading.Thread(target=play) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((o.found, o.done) for o in found) == [(0, 2), (2, 0), (2, 0)]
    lines = (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()
    assert len({json.loads(line)["run_id"] for line in lines}) == len(lines) == 2


def test_a_sweep_that_begins_while_another_looks_at_the_folder_is_the_same_sweep(
    tmp_path, monkeypatch
):
    """Not something else: it finds files that were not there a moment before."""
    begun = []
    real = Sweep._others

    def others(self):
        if not begun:
            begun.append("once")
            begun.append(Sweep(FEWER, self.folder).play(workers=1))
        return real(self)

    monkeypatch.setattr(Sweep, "_others", others)
    outcome = Sweep(FEWER, tmp_path / "out").play(workers=1)
    assert (outcome.found, outcome.done) == (2, 0)


# --- compacting ---------------------------------------------------------------------------------

COMPACT = """
import sys
from experiments import Results
print("ready", flush=True)
sys.stdin.readline()
for _ in range(4):
    assert Results.open(sys.argv[1]).compact(remove=True) == 2
"""


@pytest.mark.slow
def test_compacting_at_once_loses_nothing_and_readers_see_all(tmp_path):
    out = tmp_path / "out"
    sweep(FEWER, out, workers=1)
    before = Results.open(out).journal()
    stale = Results.open(out)
    processes = [start(COMPACT, out) for _ in range(2)]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        while any(process.poll() is None for process in processes):
            assert Results.open(out).journal().equals(before)
            assert stale.journal().equals(before), "one that was opened earlier reads on"
        assert [process.returncode for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert Results.open(out).journal().equals(before)
    assert len(list((out / "compact").iterdir())) == 2, "the index and one part"
    assert Sweep(FEWER, out).todo == []


def test_nothing_goes_before_the_index_is_on_disk(tmp_path, monkeypatch):
    """The order of what is written, made durable and removed."""
    out = tmp_path / "out"
    sweep(FEWER, out, workers=1)
    Results.open(out).compact()
    order = []
    real_write, real_rmtree = Results.compact.__globals__["write_file"], shutil.rmtree

    def write(path, body):
        order.append("index")
        real_write(path, body)

    def rmtree(path, **options):
        if out in Path(path).parents:
            order.append("remove")
        real_rmtree(path, **options)

    monkeypatch.setattr("experiments.results.write_file", write)
    monkeypatch.setattr("experiments.results.sync", lambda folder: order.append("sync"))
    monkeypatch.setattr(shutil, "rmtree", rmtree)
    Results.open(out).compact(remove=True)
    at = order.index("index")
    assert order[:at] == ["sync", "sync"], "the tables are on disk before they are named"
    assert order[at + 1] == "sync", "the name is on disk before anything goes"
    assert "remove" not in order[: at + 2]


@pytest.mark.parametrize("remove", [False, True])
def test_an_index_that_names_a_deleted_part_is_mended_by_the_sweep(tmp_path, remove):
    """What two compactions at once left behind before there was a lock."""
    out = tmp_path / "out"
    sweep(FEWER, out, workers=1)
    tables = content(out)
    Results.open(out).compact(remove=remove)
    shutil.rmtree(next((out / "compact").glob("part-*")))
    with pytest.raises(RunError, match=r"names part-.*, which is not there; the same `fedstake sw"):
        Results.open(out)
    with pytest.warns(FedstakeWarning, match="names part-"):
        outcome = Sweep(FEWER, out).play(workers=1)
    assert outcome.done == (2 if remove else 0)
    assert content(out) == tables
    assert len(Results.open(out).outcomes()) == 2


def test_an_index_that_cannot_be_read_is_mended_by_the_sweep(tmp_path):
    out = tmp_path / "out"
    sweep(FEWER, out, workers=1)
    Results.open(out).compact(remove=True)
    (out / "compact" / "index.json").write_text("{")
    with pytest.warns(FedstakeWarning, match=r"index.json: unreadable"):
        assert Sweep(FEWER, out).play(workers=1).done == 2
